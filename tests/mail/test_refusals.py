"""Who is not let in by a real mailbox server, and what he is told; refusals in detail are in `hostile/`."""

from __future__ import annotations

import imaplib
import poplib
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from servers.clients import WAYS, Visitor
from servers.zproxy import two_mailboxes

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certificates import Authority
    from servers.zproxy import StartZproxy
    from zcontrol.demo.dovecot import MailboxServer

ACCOUNTS_CSV = """\
account,home,status
siti@tgg.net.id,mbox-1,
satrio@gec-course.com,mbox-2,maintenance
sarbini@gec-course.com,mbox-7,
"""


@pytest.fixture
def visitor(
    start_zproxy: StartZproxy, tmp_path: Path, authority: Authority, mailboxes: dict[str, MailboxServer]
) -> Visitor:
    config = two_mailboxes(tmp_path, authority, mailboxes)
    (tmp_path / "accounts.csv").write_text(ACCOUNTS_CSV)
    return Visitor(zproxy=start_zproxy(config), context=authority.client_context())


@pytest.mark.parametrize(
    ("what", "account"), [("maintenance", "satrio@gec-course.com"), ("unknown home", "sarbini@gec-course.com")]
)
def test_a_temporary_fault_is_never_told_as_a_wrong_password(what: str, account: str, visitor: Visitor) -> None:
    with visitor.imap(WAYS["IMAPS"]) as client, pytest.raises(imaplib.IMAP4.error) as refused:
        client.login(account, "demo")
    assert refused.value.args[0].startswith(b"[UNAVAILABLE]"), what
    with closing(visitor.pop3(WAYS["POP3S"])) as client:
        client.user(account)
        with pytest.raises(poplib.error_proto) as refused:
            client.pass_("demo")
        assert refused.value.args[0].startswith(b"-ERR [SYS/TEMP]"), what


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_password_leaves_the_connection_open_for_the_right_one(way: str, visitor: Visitor) -> None:
    if WAYS[way].protocol == "imap":
        with visitor.imap(WAYS[way]) as client:
            with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
                client.login("siti@tgg.net.id", "wrong")
            client.login("siti@tgg.net.id", "demo")
            assert client.select(readonly=True) == ("OK", [b"1"])
        return
    with closing(visitor.pop3(WAYS[way])) as client:
        client.user("siti@tgg.net.id")
        with pytest.raises(poplib.error_proto, match="AUTH"):
            client.pass_("wrong")
        client.user("siti@tgg.net.id")
        client.pass_("demo")
        assert client.stat()[0] == 1
        client.quit()
