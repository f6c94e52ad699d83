"""TLS to the backend: verified, begun by the very answer to STARTTLS, and never fallen back from; else nobody logs in.

Whatever goes wrong, the client gets a temporary failure, and his password goes nowhere.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from servers.certificates import Authority
from servers.fake_mailbox import IMAP_GREETING, PASSWORD, POP3_GREETING
from servers.front import CERTIFIED, IMPLICIT, STARTTLS, Front, behaves, server_context, within
from servers.raw_client import plain
from servers.said import TEMPORARY, WELCOME, log_in

if TYPE_CHECKING:
    from pathlib import Path

    from servers.fake_backend import Behaviour, Conversation

GREETING = {"imap": IMAP_GREETING, "pop3": POP3_GREETING}
HOME = {STARTTLS: "mbox-starttls", IMPLICIT: "mbox-implicit"}
TLS = {STARTTLS: "starttls", IMPLICIT: "implicit"}
# Far above what `hasty` waits for a backend, far below what `front` does; a busy machine may take its part of it.
IN_TIME_SECONDS = 4
LAST_YEAR = datetime.now(UTC) - timedelta(days=365)
both = pytest.mark.parametrize("protocol", ["imap", "pop3"])
secured = pytest.mark.parametrize("account", [STARTTLS, IMPLICIT])


def fails_for_now(front: Front, protocol: str, account: str, behaviour: Behaviour) -> str:
    """Log in where the backend does that; returns why it failed, as recorded."""
    response = plain(account, PASSWORD)
    with front.behaving(HOME[account], protocol, behaviour) as backend, front.greeted(f"{protocol}s") as client:
        before = len(backend.conversations)
        with within(IN_TIME_SECONDS):
            assert client.ask(log_in(protocol, account)) == TEMPORARY[protocol]
        (told,) = backend.conversations[before:]
        assert told.ended.wait(IN_TIME_SECONDS)
        assert response not in told.heard
        assert b"AUTH" not in told.heard
    return front.zproxy.refusal_of(client.address)["error"]


def answering_starttls(answer: bytes) -> Behaviour:
    """Answer STARTTLS so, `TAG` being the command's, and then nothing."""

    def answers(conversation: Conversation) -> None:
        tag, _, _ = conversation.line().partition(b" ")
        conversation.send(answer.replace(b"TAG", tag))
        conversation.hold()

    return answers


def says_nothing(conversation: Conversation) -> None:
    conversation.hold()


def greeting_first(protocol: str, behaviour: Behaviour) -> Behaviour:
    def greets(conversation: Conversation) -> None:
        conversation.send(GREETING[protocol])
        behaviour(conversation)

    return greets


@both
@secured
def test_a_backend_with_the_right_certificate_is_logged_in_to(account: str, protocol: str, front: Front) -> None:
    with front.greeted(protocol) as client:
        accepted = client.ask(log_in(protocol, account))
        assert accepted.startswith(WELCOME[protocol])
        told = front.backends[HOME[account]][protocol].told_of(client.address)
        assert plain(account, PASSWORD) in told.heard


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        ("imap", b"TAG OK go on\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"),
        ("imap", b"TAG OK go on\r\nzproxy2 OK injected\r\n"),
        ("imap", b"TAG OK go on\r\n\x16"),
        ("pop3", b"+OK go on\r\n+OK injected\r\n"),
        ("pop3", b"+OK go on\r\n\x16"),
    ],
)
def test_bytes_glued_behind_the_answer_to_starttls_end_the_login(protocol: str, answer: bytes, front: Front) -> None:
    """CVE-2021-38371 class: they would be read as if they had come inside TLS."""
    why = fails_for_now(front, protocol, STARTTLS, greeting_first(protocol, answering_starttls(answer)))
    assert "bytes behind its answer to STARTTLS" in why


@pytest.mark.parametrize(
    ("protocol", "greeting", "answer"),
    [
        ("imap", b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n", b""),
        ("imap", IMAP_GREETING, b"TAG NO not now\r\n"),
        ("imap", IMAP_GREETING, b"TAG BAD what?\r\n"),
        ("pop3", POP3_GREETING, b"-ERR what?\r\n"),
    ],
)
def test_a_backend_that_does_not_offer_starttls_is_told_no_password(
    protocol: str, greeting: bytes, answer: bytes, front: Front
) -> None:
    def strips(conversation: Conversation) -> None:
        conversation.send(greeting)
        answering_starttls(answer)(conversation)

    assert "lacks a capability the login needs" in fails_for_now(front, protocol, STARTTLS, strips)


def test_a_backend_that_is_logged_in_already_is_told_no_password(front: Front) -> None:
    def preauthenticates(conversation: Conversation) -> None:
        conversation.send(b"* PREAUTH [CAPABILITY IMAP4rev1] logged in as root\r\n")
        conversation.hold()

    assert "broke the protocol at greeting" in fails_for_now(front, "imap", STARTTLS, preauthenticates)


@both
@secured
def test_a_certificate_for_another_name_is_refused(account: str, protocol: str, front: Front) -> None:
    certificate = front.authority.issue("another.example", "127.0.0.1")
    why = fails_for_now(front, protocol, account, showing(server_context(certificate), account, protocol))
    assert "not valid for name" in why


def test_a_certificate_for_thousands_of_other_names_is_told_briefly(front: Front) -> None:
    """Each login would write all of them into the records."""
    certificate = front.authority.issue(*(f"mail-{number}.example" for number in range(2000)))
    why = fails_for_now(front, "imap", IMPLICIT, showing(server_context(certificate), IMPLICIT, "imap"))
    assert "not valid for name" in why
    assert len(why) < 1000


@both
@secured
def test_a_certificate_of_an_unknown_authority_is_refused(
    account: str, protocol: str, front: Front, tmp_path: Path
) -> None:
    certificate = Authority(tmp_path).issue(CERTIFIED)
    why = fails_for_now(front, protocol, account, showing(server_context(certificate), account, protocol))
    assert "UnknownIssuer" in why


@both
@secured
def test_a_certificate_that_has_run_out_is_refused(account: str, protocol: str, front: Front) -> None:
    certificate = front.authority.issue(CERTIFIED, not_after=LAST_YEAR)
    why = fails_for_now(front, protocol, account, showing(server_context(certificate), account, protocol))
    assert "Expired" in why or "expired" in why


@both
def test_junk_instead_of_a_handshake_is_a_temporary_failure(protocol: str, front: Front) -> None:
    def talks_in_clear(conversation: Conversation) -> None:
        conversation.send(GREETING[protocol])
        conversation.hold()

    assert "TLS to the backend failed" in fails_for_now(front, protocol, IMPLICIT, talks_in_clear)


@both
@secured
def test_no_handshake_at_all_is_a_temporary_failure_in_time(account: str, protocol: str, hasty: Front) -> None:
    leave = b"TAG OK\r\n" if protocol == "imap" else b"+OK\r\n"
    falls_silent = greeting_first(protocol, answering_starttls(leave))
    behaviour = falls_silent if account == STARTTLS else says_nothing
    # Of the two deadlines, for the handshake and for all of the login, either may come first.
    assert "backend was too slow at" in fails_for_now(hasty, protocol, account, behaviour)


def showing(context: ssl.SSLContext, account: str, protocol: str) -> Behaviour:
    """Behave well, but with that certificate."""
    return dict(behaves(TLS[account], context))[protocol]


def test_a_backend_that_asks_for_our_certificate_is_shown_it(
    front: Front, authority: Authority, tmp_path: Path
) -> None:
    asking = server_context(authority.issue(CERTIFIED))
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(authority.ca_file)
    ours = {"ca_file": str(authority.ca_file), **authority.issue("edge-1.example").config}
    with Front(tmp_path, authority, backend_tls=ours) as certified:
        for account in (STARTTLS, IMPLICIT):
            behaviour = showing(asking, account, "imap")
            fails_for_now(front, "imap", account, behaviour)
            with certified.behaving(HOME[account], "imap", behaviour):
                assert certified.answer("imap", account).startswith(WELCOME["imap"])
