"""Each way to tell a mailbox server where its client is, and the one way to be told: a PROXY header.

mbox-1 is told by IMAP ID and POP3 XCLIENT, mbox-2 by PROXY v2.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from servers.clients import Visitor, Way
from servers.dovecot import login_from

if TYPE_CHECKING:
    from servers.certificates import Authority
    from servers.zproxy import Zproxy
    from zcontrol.demo.dovecot import MailboxServer

ACCOUNTS = {"mbox-1": "gesang@gec-course.com", "mbox-2": "sarbini@gec-course.com"}


@pytest.fixture
def visitor(zproxy: Zproxy, authority: Authority) -> Visitor:
    return Visitor(zproxy=zproxy, context=authority.client_context())


@pytest.mark.parametrize(
    ("server", "last"), [("mbox-1", 21), ("mbox-2", 22)], ids=["told by ID and XCLIENT", "told by PROXY v2"]
)
@pytest.mark.parametrize("header", ["v1", "v2"])
def test_the_address_in_a_proxy_header_reaches_the_mailbox_server(
    header: str, server: str, last: int, visitor: Visitor, mailboxes: dict[str, MailboxServer]
) -> None:
    for protocol, third in (("imap", 100), ("pop3", 200)):
        client_address = f"198.51.{third + int(header[1])}.{last}"
        octets = bytes(int(part) for part in client_address.split("."))
        first = {
            "v1": f"PROXY TCP4 {client_address} 203.0.113.9 40000 143\r\n".encode(),
            "v2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + octets + bytes([203, 0, 113, 9, 0x9C, 0x40, 0, 143]),
        }[header]
        _log_in(visitor, protocol, ACCOUNTS[server], first)
        assert login_from(mailboxes[server], client_address).user == ACCOUNTS[server]


def test_an_ipv6_client_is_told_as_one(visitor: Visitor, mailboxes: dict[str, MailboxServer]) -> None:
    for server, account in ACCOUNTS.items():
        client_address = f"2001:db8::{server[-1]}"
        first = f"PROXY TCP6 {client_address} 2001:db8::ff 40000 143\r\n".encode()
        _log_in(visitor, "imap", account, first)
        assert login_from(mailboxes[server], client_address).user == account


def test_an_address_that_the_client_claims_in_its_own_id_is_dropped(
    visitor: Visitor, mailboxes: dict[str, MailboxServer]
) -> None:
    forged = "198.51.100.67"
    with visitor.imap(Way(listener="imap")) as client:
        client.xatom("ID", f'("name" "tester" "x-originating-ip" "{forged}")')
        client.login("gesang@gec-course.com", "demo")
        # Behind the login it is the mailbox server that must not believe it.
        # imaplib would not say it any more.
        client.send(f'z ID ("x-originating-ip" "{forged}")\r\n'.encode())
        assert client.readline().startswith(b"* ID")
        assert client.readline().startswith(b"z OK")
    assert login_from(mailboxes["mbox-1"], visitor.address).user == "gesang@gec-course.com"
    assert forged not in mailboxes["mbox-1"].log_file.read_text()


def _log_in(visitor: Visitor, protocol: str, account: str, first: bytes) -> None:
    if protocol == "imap":
        with visitor.imap(Way(listener="imap_proxied"), first=first) as client:
            client.login(account, "demo")
        return
    with closing(visitor.pop3(Way(listener="pop3_proxied"), first=first)) as client:
        client.user(account)
        client.pass_("demo")
        client.quit()
