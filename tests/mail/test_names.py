"""What people type as their name, and whose mailbox opens: the way from SNI through the directory to the backend."""

from __future__ import annotations

import imaplib
from typing import TYPE_CHECKING

import pytest

from servers.clients import WAYS, Visitor
from servers.dovecot import login_from
from servers.zproxy import two_mailboxes

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certificates import Authority
    from servers.dovecot import StartDovecot
    from servers.zproxy import StartZproxy, Zproxy
    from zcontrol.demo.dovecot import MailboxServer

SITI, SATRIO, BUDI = "siti@tgg.net.id", "satrio@gec-course.com", "budi@tgg.net.id"
# A mailbox server that lets everybody act as everybody: only the proxy keeps them apart.
MASTER = "passdb {\n  driver = static\n  args = password=demo\n  master = yes\n}\n"
ACCOUNTS_CSV = """\
account,home,id,aliases,status,may_act_as
siti@tgg.net.id,mbox-1,0c1f-siti,s.lestari@tgg.net.id postmaster@tgg.net.id,,
gesang@gec-course.com,MBOX-1,,,,
sarbini@gec-course.com,mbox-2,,,locked,
satrio@gec-course.com,mbox-2,,,,budi@tgg.net.id
budi@tgg.net.id,mbox-2,,,,
"""


@pytest.fixture
def running(
    start_zproxy: StartZproxy, tmp_path: Path, authority: Authority, mailboxes: dict[str, MailboxServer]
) -> Zproxy:
    config = two_mailboxes(tmp_path, authority, mailboxes)
    (tmp_path / "accounts.csv").write_text(ACCOUNTS_CSV)
    config["names"] |= {
        "detail_separator": "+",
        "strip_suffixes": ["/tb"],
        "windows_domains": {"GEC": "gec-course.com"},
        "domain_aliases": {"gec.example": "gec-course.com"},
    }
    return start_zproxy(config)


@pytest.mark.parametrize(
    ("host", "typed", "account"),
    [
        ("mail.tgg.net.id", "siti", "siti@tgg.net.id"),
        ("mail.gec-course.com", "gesang", "gesang@gec-course.com"),
        ("mail.gec-course.com", "siti@tgg.net.id", "siti@tgg.net.id"),
        ("mail.tgg.net.id", "SITI@TGG.NET.ID", "siti@tgg.net.id"),
        ("mail.tgg.net.id", "s.lestari@tgg.net.id", "siti@tgg.net.id"),
        ("mail.tgg.net.id", "postmaster", "siti@tgg.net.id"),
        ("mail.tgg.net.id", "siti+news@tgg.net.id", "siti@tgg.net.id"),
        ("mail.tgg.net.id", "budi/tb", "budi@tgg.net.id"),
        ("mail.tgg.net.id", "GEC\\gesang", "gesang@gec-course.com"),
        ("mail.tgg.net.id", "gesang@gec.example", "gesang@gec-course.com"),
    ],
)
def test_a_typed_name_opens_the_mailbox_it_means(
    host: str, typed: str, account: str, running: Zproxy, authority: Authority
) -> None:
    visitor = Visitor(zproxy=running, context=authority.client_context(), host=host)
    assert f"The account {account} lives on" in visitor.read_first(WAYS["IMAPS"], typed)


def test_only_one_who_may_act_as_another_opens_the_others_mailbox(
    start_dovecot: StartDovecot, start_zproxy: StartZproxy, tmp_path: Path, authority: Authority
) -> None:
    servers = {name: start_dovecot(name, SITI, BUDI, lines=MASTER) for name in ("mbox-1", "mbox-2")}
    config = two_mailboxes(tmp_path, authority, servers)
    (tmp_path / "accounts.csv").write_text(ACCOUNTS_CSV)
    visitor = Visitor(zproxy=start_zproxy(config), context=authority.client_context())
    with visitor.imap(WAYS["IMAPS"]) as client:
        client.authenticate("PLAIN", lambda _: f"{BUDI}\0{SATRIO}\0demo".encode())
        client.select(readonly=True)
        assert f"The account {BUDI} lives on".encode() in client.fetch("1", "BODY.PEEK[]")[1][0][1]
    with visitor.imap(WAYS["IMAPS"]) as client, pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.authenticate("PLAIN", lambda _: f"{SITI}\0{SATRIO}\0demo".encode())


def test_nobody_but_the_account_itself_is_told_of_in_the_backends_log(
    running: Zproxy, authority: Authority, mailboxes: dict[str, MailboxServer]
) -> None:
    visitor = Visitor(zproxy=running, context=authority.client_context())
    visitor.read_first(WAYS["POP3S"], "postmaster")
    assert login_from(mailboxes["mbox-1"], visitor.address).user == "siti@tgg.net.id"
