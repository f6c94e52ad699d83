"""Who is not let in to send mail, what he is told, and that his password goes nowhere."""

from __future__ import annotations

import smtplib
import time
from typing import TYPE_CHECKING

import pytest

from servers.clients import SENDING, Visitor
from servers.raw_client import RawClient, plain
from servers.zproxy import HOMES
from zcontrol.demo.accounts import HOSTNAME, PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certificates import Authority
    from servers.offices import Offices
    from servers.zproxy import StartZproxy, Zproxy

SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"
RESPONSE = plain(SITI, PASSWORD)
BEFORE_TLS = {
    "AUTH PLAIN with initial response": (b"AUTH PLAIN " + RESPONSE, b"538 5.7.11 "),
    "AUTH PLAIN": (b"AUTH PLAIN", b"538 5.7.11 "),
    "AUTH LOGIN": (b"AUTH LOGIN", b"538 5.7.11 "),
    "MAIL": (b"MAIL FROM:<siti@tgg.net.id>", b"530 5.7.0 "),
    "RCPT": (b"RCPT TO:<siti@tgg.net.id>", b"530 5.7.0 "),
    "DATA": (b"DATA", b"530 5.7.0 "),
    "XCLIENT": (b"XCLIENT ADDR=192.0.2.1", b"550 5.7.1 "),
}
# The config's auth_failure_delay, less a tenth.
SHORTEST_DELAY_SECONDS = 0.2 * 0.9
# Longer only by what a busy machine adds: a refusal of Postfix and one of ours wait for the same moment.
LONGEST_DELAY_SECONDS = 2.0


def greeted(zproxy: Zproxy) -> RawClient:
    client = RawClient(zproxy.listeners["submission"])
    assert client.line() == f"220 {HOSTNAME} ESMTP ready.\r\n".encode()
    client.send(b"EHLO [127.0.0.1]\r\n")
    while client.line()[3:4] == b"-":
        pass
    return client


@pytest.mark.parametrize("what", BEFORE_TLS)
def test_nothing_but_starttls_is_to_be_had_before_it(what: str, submission: Zproxy) -> None:
    said, refusal = BEFORE_TLS[what]
    with greeted(submission) as client:
        assert client.ask(said + b"\r\n").startswith(refusal)
        assert client.ask(b"NOOP\r\n").startswith(b"250 ")
        assert client.ask(b"QUIT\r\n").startswith(b"221 ")
        assert client.rest() == b""
        record = submission.record_from(client.address)
    assert not {"account", "backend"} & record.keys()


def test_auth_is_offered_behind_tls_only(submission: Zproxy, authority: Authority) -> None:
    with RawClient(submission.listeners["submission"]) as client:
        client.line()
        assert [word for word in _offered(client) if word.startswith((b"AUTH", b"STARTTLS"))] == [b"STARTTLS"]
        assert client.ask(b"STARTTLS\r\n").startswith(b"220 ")
        client.secure(authority.client_context(), HOSTNAME)
        assert [word for word in _offered(client) if word.startswith((b"AUTH", b"STARTTLS"))] == [b"AUTH PLAIN LOGIN"]


def _offered(client: RawClient) -> list[bytes]:
    client.send(b"EHLO [127.0.0.1]\r\n")
    lines = [client.line()]
    while lines[-1][3:4] == b"-":
        lines.append(client.line())
    return [line[4:].strip() for line in lines[1:]]


@pytest.mark.parametrize("way", SENDING)
def test_a_wrong_password_and_an_unknown_user_are_told_the_same_at_the_same_moment(way: str, sender: Visitor) -> None:
    for name, password in ((SITI, "wrong"), (BUDI, "wrong"), ("nobody@tgg.net.id", PASSWORD)):
        client = sender.smtp(SENDING[way])
        client.ehlo()
        began = time.monotonic()
        answer = client.docmd("AUTH", "PLAIN " + plain(name, password).decode())
        waited = time.monotonic() - began
        assert answer == (535, b"5.7.8 Authentication failed.")
        assert SHORTEST_DELAY_SECONDS <= waited < LONGEST_DELAY_SECONDS
        client.quit()


def test_a_refused_login_leaves_the_connection_open_for_the_right_one(sender: Visitor) -> None:
    for account in (SITI, BUDI):
        with sender.smtp(SENDING["465"]) as client:
            with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
                client.login(account, "wrong")
            client.login(account, PASSWORD)
            assert client.noop()[0] == 250


def test_the_fourth_wrong_password_finds_the_connection_closed(sender: Visitor) -> None:
    with sender.smtp(SENDING["465"]) as client:
        client.ehlo()
        said = "PLAIN " + plain(SITI, "wrong").decode()
        assert [client.docmd("AUTH", said)[0] for _ in range(3)] == [535, 535, 535]
        assert client.getreply()[0] == 421


def test_a_temporary_fault_is_never_told_as_a_wrong_password(
    start_zproxy: StartZproxy, tmp_path: Path, offices: Offices, authority: Authority
) -> None:
    config = offices.config(tmp_path)
    accounts = "account,home,status\nsatrio@gec-course.com,mbox-2,maintenance\nsarbini@gec-course.com,mbox-7,\n"
    (tmp_path / "accounts.csv").write_text(accounts)
    visitor = Visitor(zproxy=start_zproxy(config), context=authority.client_context())
    for account in ("satrio@gec-course.com", "sarbini@gec-course.com"):
        assert account in HOMES
        with visitor.smtp(SENDING["587"]) as client:
            client.ehlo()
            answer = client.docmd("AUTH", "PLAIN " + plain(account, PASSWORD).decode())
            assert answer == (454, b"4.7.0 Temporary failure, please try again later.")
