"""Who is not let in, and what he is told: a wrong password and an unknown name are one; a fault of ours is another."""

from __future__ import annotations

import imaplib
import poplib
from typing import TYPE_CHECKING

import pytest

from servers.clients import WAYS, Visitor
from servers.zproxy import two_mailboxes

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certificates import Authority
    from servers.dovecot import StartDovecot
    from servers.zproxy import StartZproxy, Zproxy
    from zcontrol.demo.dovecot import MailboxServer

REFUSED = {
    "wrong password": ("siti@tgg.net.id", "wrong"),
    "unknown name": ("nobody@tgg.net.id", "demo"),
    "locked": ("gesang@gec-course.com", "demo"),
}
ACCOUNTS_CSV = """\
account,home,status
siti@tgg.net.id,mbox-1,
gesang@gec-course.com,mbox-1,locked
satrio@gec-course.com,mbox-2,maintenance
sarbini@gec-course.com,mbox-7,
budi@tgg.net.id,mbox-2,
"""


@pytest.fixture
def running(
    start_zproxy: StartZproxy, tmp_path: Path, authority: Authority, mailboxes: dict[str, MailboxServer]
) -> Zproxy:
    config = two_mailboxes(tmp_path, authority, mailboxes)
    (tmp_path / "accounts.csv").write_text(ACCOUNTS_CSV)
    return start_zproxy(config)


@pytest.fixture
def visitor(running: Zproxy, authority: Authority) -> Visitor:
    return Visitor(zproxy=running, context=authority.client_context())


def test_wrong_password_unknown_name_and_locked_account_are_told_alike(visitor: Visitor) -> None:
    imap = {what: _refusal(visitor, "IMAPS", *login) for what, login in REFUSED.items()}
    pop3 = {what: _refusal(visitor, "POP3S", *login) for what, login in REFUSED.items()}
    assert len(set(imap.values())) == 1, imap
    assert len(set(pop3.values())) == 1, pop3
    assert imap["locked"].startswith("[AUTHENTICATIONFAILED]")
    assert pop3["locked"].startswith("-ERR [AUTH]")


@pytest.mark.parametrize(
    ("what", "account"), [("maintenance", "satrio@gec-course.com"), ("unknown home", "sarbini@gec-course.com")]
)
def test_a_temporary_fault_is_never_told_as_a_wrong_password(what: str, account: str, visitor: Visitor) -> None:
    assert _refusal(visitor, "IMAPS", account, "demo").startswith("[UNAVAILABLE]"), what
    assert _refusal(visitor, "POP3S", account, "demo").startswith("-ERR [SYS/TEMP]"), what


def test_a_mailbox_server_that_is_down_is_a_temporary_fault(
    start_dovecot: StartDovecot, start_zproxy: StartZproxy, tmp_path: Path, authority: Authority
) -> None:
    servers = {name: start_dovecot(name, "siti@tgg.net.id", "budi@tgg.net.id") for name in ("mbox-1", "mbox-2")}
    running = start_zproxy(two_mailboxes(tmp_path, authority, servers))
    visitor = Visitor(zproxy=running, context=authority.client_context())
    servers["mbox-2"].stop()
    assert _refusal(visitor, "IMAPS", "budi@tgg.net.id", "demo").startswith("[UNAVAILABLE]")
    assert _refusal(visitor, "POP3S", "budi@tgg.net.id", "demo").startswith("-ERR [SYS/TEMP]")
    assert "siti@tgg.net.id" in visitor.read_first(WAYS["IMAPS"], "siti@tgg.net.id")


def test_a_refused_login_leaves_the_connection_open_for_another_try(visitor: Visitor) -> None:
    with visitor.imap(WAYS["IMAPS"]) as client:
        with pytest.raises(imaplib.IMAP4.error):
            client.login("siti@tgg.net.id", "wrong")
        client.login("siti@tgg.net.id", "demo")
        assert client.select(readonly=True)[0] == "OK"


@pytest.mark.parametrize("way", ["IMAP", "POP3"])
def test_no_password_is_taken_in_clear_where_tls_is_required(way: str, visitor: Visitor) -> None:
    strict = WAYS[way].__class__(listener=f"{WAYS[way].listener}_strict")
    with visitor.connect(strict) as client, client.makefile("rb") as said:
        greeting = said.readline()
        client.sendall(b"a LOGIN siti@tgg.net.id demo\r\n" if way == "IMAP" else b"USER siti@tgg.net.id\r\n")
        answer = said.readline()
    if way == "IMAP":
        assert b"LOGINDISABLED" in greeting
        assert answer.startswith(b"a NO [PRIVACYREQUIRED]")
    else:
        assert answer.startswith(b"-ERR")


def test_no_password_is_in_any_file_of_the_product(visitor: Visitor) -> None:
    _refusal(visitor, "IMAPS", "siti@tgg.net.id", "Tr0ub4dor")
    visitor.zproxy.__exit__()
    written = [path for path in visitor.zproxy.directory.rglob("*") if path.is_file()]
    assert visitor.zproxy.records_file in written
    assert [path for path in written if b"Tr0ub4dor" in path.read_bytes()] == []


def _refusal(visitor: Visitor, way: str, name: str, password: str) -> str:
    if WAYS[way].protocol == "imap":
        with visitor.imap(WAYS[way]) as client, pytest.raises(imaplib.IMAP4.error) as refused:
            client.login(name, password)
        return refused.value.args[0].decode()
    client = visitor.pop3(WAYS[way])
    client.user(name)
    with pytest.raises(poplib.error_proto) as refused:
        client.pass_(password)
    client.close()
    return refused.value.args[0].decode()
