"""The mailbox servers themselves, without a proxy: what tests read from their logs is what clients did."""

from __future__ import annotations

import imaplib
import poplib
import socket
from typing import TYPE_CHECKING

import pytest

from servers.dovecot import login_from
from zcontrol.demo.accounts import ACCOUNTS, PASSWORD
from zcontrol.demo.dovecot import PORTS

if TYPE_CHECKING:
    from servers.certificates import Authority
    from servers.dovecot import StartDovecot
    from zcontrol.demo.dovecot import MailboxServer


@pytest.mark.parametrize("name", ACCOUNTS)
def test_each_account_finds_its_one_message_on_its_server(name: str, mailboxes: dict[str, MailboxServer]) -> None:
    for account in ACCOUNTS[name]:
        with imaplib.IMAP4(mailboxes[name].address, PORTS["imap"]) as client:
            client.login(account, PASSWORD)
            assert client.select(readonly=True) == ("OK", [b"1"])
            assert f"Subject: You are on {name}".encode() in client.fetch("1", "BODY.PEEK[]")[1][0][1]


def test_an_account_of_the_other_server_is_refused(mailboxes: dict[str, MailboxServer]) -> None:
    client = imaplib.IMAP4(mailboxes["mbox-1"].address, PORTS["imap"])
    with client, pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login(ACCOUNTS["mbox-2"][0], PASSWORD)


def test_the_address_in_an_imap_id_is_logged_as_the_clients(start_dovecot: StartDovecot) -> None:
    server = start_dovecot("mbox-9", "siti@tgg.net.id")
    with imaplib.IMAP4(server.address, PORTS["imap"]) as client:
        client.xatom("ID", '("x-originating-ip" "198.51.100.7" "x-session-id" "seven")')
        client.login("siti@tgg.net.id", PASSWORD)
    login = login_from(server, "198.51.100.7")
    assert (login.service, login.session) == ("imap", "seven")


def test_the_address_in_a_proxy_header_is_logged_as_the_clients(
    start_dovecot: StartDovecot, authority: Authority
) -> None:
    server = start_dovecot("mbox-9", "siti@tgg.net.id")
    context = authority.client_context()
    with socket.create_connection((server.address, PORTS["pop3s_proxy"])) as plain:
        plain.sendall(b"PROXY TCP4 198.51.100.8 203.0.113.1 4711 995\r\n")
        with context.wrap_socket(plain, server_hostname="mbox-9.example") as client, client.makefile("rb") as lines:
            client.sendall(b"USER siti@tgg.net.id\r\nPASS demo\r\nQUIT\r\n")
            assert lines.read().splitlines()[-1].startswith(b"+OK")
    login = login_from(server, "198.51.100.8")
    assert (login.service, login.tls) == ("pop3", True)


def test_lines_of_the_test_win_over_the_servers_own(start_dovecot: StartDovecot) -> None:
    server = start_dovecot("mbox-9", "siti@tgg.net.id", lines="imap_capability = IMAP4rev1 IDLE\n")
    with imaplib.IMAP4(server.address, PORTS["imap"]) as client:
        assert client.capabilities[:2] == ("IMAP4REV1", "IDLE")
        assert "LITERAL+" not in client.capabilities


def test_a_stopped_server_leaves_nothing_behind(start_dovecot: StartDovecot) -> None:
    server = start_dovecot("mbox-9", "siti@tgg.net.id")
    with imaplib.IMAP4(server.address, PORTS["imap"]) as client:
        client.login("siti@tgg.net.id", PASSWORD)
    server.stop()
    assert not server.setting.directory.exists()
    with pytest.raises(ConnectionRefusedError):
        poplib.POP3(server.address, PORTS["pop3"])
