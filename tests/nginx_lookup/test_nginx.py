"""A real nginx before real mailbox servers and a real MTA, told by us where each login goes."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from servers.dovecot import logins
from servers.nginx import PORTS, nginx
from servers.offices import Offices
from servers.postfix import PORTS as MTA_PORTS
from servers.postfix import delivered
from servers.raw_client import plain
from servers.slapd import BASE, person, start_slapd, with_password
from servers.waiting import until
from servers.zproxy import HOMES, Zproxy, backend, directory_file
from zcontrol.demo.accounts import PASSWORD
from zcontrol.demo.dovecot import PORTS as MAILBOX_PORTS
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.nginx import Nginx
    from servers.slapd import Slapd, StartSlapd
    from servers.zproxy import Config
    from zcontrol.demo.dovecot import MailboxServer

__all__ = ["start_slapd"]

SECRET = "only-for-tests-0123"
PORT = 7072
BUDI, SATRIO = "budi@tgg.net.id", "satrio@gec-course.com"
# nginx speaks no TLS to it.
MTA_LINES = "smtpd_tls_auth_only = no\nsmtpd_authorized_xclient_hosts = 127.0.0.0/8\n"
WRONG = "[AUTHENTICATIONFAILED] Authentication failed."


@contextmanager
def told_by_us(directory: Path, config: Config) -> Iterator[Nginx]:
    """nginx and the control plane that it asks; no edge of ours is there."""
    address = f"{own_address()}:{PORT}"
    lookup = {"address": address, "secret": SECRET, "wait": "1s"}
    with (
        Zproxy(directory, config | {"nginx_lookup": lookup}, role="control"),
        nginx(directory, f"{address}/service/extension/nginx-lookup", secret=SECRET) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, mailboxes: dict[str, MailboxServer]) -> Iterator[Nginx]:
    directory = tmp_path_factory.mktemp("nginx")
    plain = {service: {"port": MAILBOX_PORTS[service]} for service in ("imap", "pop3")}
    config = {
        "directory": directory_file(directory / "accounts.csv", HOMES),
        "names": {"default_domain": "tgg.net.id"},
        "backends": [backend(server, **plain) for server in mailboxes.values()],
    }
    with told_by_us(directory, config) as running:
        yield running


def imap(proxied: Nginx) -> imaplib.IMAP4:
    return imaplib.IMAP4(proxied.address, PORTS["imap"], timeout=20)


@pytest.mark.parametrize("account", HOMES)
def test_every_account_reaches_its_own_server_by_imap(account: str, proxied: Nginx) -> None:
    with imap(proxied) as client:
        client.login(account, PASSWORD)
        client.select(readonly=True)
        assert HOMES[account].encode() in client.fetch("1", "BODY.PEEK[]")[1][0][1]


@pytest.mark.parametrize("account", HOMES)
def test_every_account_reaches_its_own_server_by_pop3(account: str, proxied: Nginx) -> None:
    with closing(poplib.POP3(proxied.address, PORTS["pop3"], timeout=20)) as client:
        client.user(account)
        client.pass_(PASSWORD)
        assert HOMES[account].encode() in b"\n".join(client.retr(1)[1])
        client.quit()


def test_a_bare_name_is_qualified_and_logs_in_as_the_account(
    proxied: Nginx, mailboxes: dict[str, MailboxServer]
) -> None:
    with imap(proxied) as client:
        client.login("BUDI", PASSWORD)
    home = mailboxes[HOMES[BUDI]]
    until(lambda: any(login.user == "budi@tgg.net.id" for login in logins(home)))


def test_a_wrong_password_and_an_unknown_name_are_told_alike(proxied: Nginx) -> None:
    said = []
    for name in ("budi@tgg.net.id", "nobody@tgg.net.id"):
        client = imap(proxied)
        with pytest.raises(imaplib.IMAP4.error) as caught:
            client.login(name, "wrong")
        client.shutdown()
        said.append(caught.value.args[0])
    assert said[0] == said[1] == WRONG.encode()


def test_who_shows_no_secret_gets_nobody_in(tmp_path: Path, proxied: Nginx) -> None:
    with nginx(tmp_path, proxied.asks, secret="another one entirely") as stranger:
        client = imap(stranger)
        with pytest.raises(imaplib.IMAP4.abort):
            client.login("budi@tgg.net.id", PASSWORD)
        client.shutdown()


@pytest.fixture(scope="module")
def offices(authority: Authority) -> Iterator[Offices]:
    with Offices(authority, mta_lines=MTA_LINES) as both:
        yield both


@contextmanager
def sending(directory: Path, offices: Offices, slapd: Slapd) -> Iterator[Nginx]:
    config = {
        "directory": {"ldap": {"urls": [slapd.url], "base": BASE}},
        "verify": {"ldap": {"bind": True}},
        "backends": [
            backend(server, submission={"port": MTA_PORTS["submission"]}) for server in offices.mailboxes.values()
        ],
    }
    with told_by_us(directory, config) as running:
        yield running


@pytest.mark.parametrize("listener", ["smtp", "smtp_xclient"])
def test_mail_is_sent_by_whoever_proves_himself_and_by_nobody_else(
    listener: str, tmp_path: Path, offices: Offices, start_slapd: StartSlapd
) -> None:
    slapd = start_slapd(
        *(
            with_password(person(f"u{number}", mail=account, mailHost=home), PASSWORD)
            for number, (account, home) in enumerate(HOMES.items())
        )
    )
    address = own_address()
    with sending(tmp_path, offices, slapd) as proxied:

        def client() -> smtplib.SMTP:
            where = (proxied.address, PORTS[listener])
            return smtplib.SMTP(*where, "laptop.example", timeout=20, source_address=(address, 0))

        with client() as sender:
            sender.login(BUDI, PASSWORD)
            sender.sendmail(BUDI, [SATRIO], f"Subject: by {listener}\r\n\r\nHello.\r\n")
        assert delivered(offices.mailboxes[HOMES[SATRIO]], SATRIO, f"by {listener}")
        told = address if listener == "smtp_xclient" else "127.0.0.1"
        assert BUDI in [message.user for message in offices.mtas[HOMES[BUDI]].queued_from(told)]
        for name in (BUDI, "nobody@tgg.net.id"):
            with client() as sender:
                assert auth(sender, name, "wrong") == (535, b"5.7.8 Authentication failed.")
                # He may not send all the same.
                assert sender.docmd("MAIL", f"FROM:<{name}>")[0] == 530
        slapd.stop()
        with client() as sender:
            assert auth(sender, BUDI, PASSWORD) == (451, b"4.3.0 Temporary failure, try again later.")


def auth(client: smtplib.SMTP, name: str, password: str) -> tuple[int, bytes]:
    """One try, and what is said to it."""
    client.ehlo()
    return client.docmd("AUTH", "PLAIN " + plain(name, password).decode())
