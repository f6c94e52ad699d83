"""Backends that do what no mailbox server should: the client gets a temporary failure under its own tag, in time.

Never a wrong password, for which clients throw away the one they have saved; never a bare close.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.fake_mailbox import IMAP_GREETING, POP3_GREETING, imap_until_login, pop3_until_login
from servers.front import ALICE, IMPLICIT, Front, within
from servers.said import NOOP, WELCOME, log_in

if TYPE_CHECKING:
    from servers.fake_backend import Behaviour, Conversation

# Far above what `hasty` waits for a backend, far below what `front` does; a busy machine may take its part of it.
IN_TIME_SECONDS = 4
AT_ONCE_SECONDS = 0.1
HUGE = 16 << 20
MILLION = 1_000_000
UNAVAILABLE = {"imap": b"a NO [UNAVAILABLE] ", "pop3": b"-ERR [SYS/TEMP] "}
# Words of the record's reason.
SLOW, LONG, BROKEN, EARLY = "too slow", "more than the login may hold", "broke the protocol", "before it was asked for"
CLOSED, RESET, EVASIVE = "unexpected end of file", "connection reset", "neither yes nor no"


def closes(conversation: Conversation) -> None:
    conversation.close()


def resets(conversation: Conversation) -> None:
    conversation.reset()


def hangs(conversation: Conversation) -> None:
    conversation.hold()


def says(*parts: bytes) -> Behaviour:
    """Say that at once, whatever the proxy says."""

    def talks(conversation: Conversation) -> None:
        for part in parts:
            conversation.send(part)
        conversation.hold()

    return talks


def at_imap_login(then: Behaviour | bytes) -> Behaviour:
    """Behave up to the login; `TAG` is the login's."""

    def misbehaves(conversation: Conversation) -> None:
        conversation.send(IMAP_GREETING)
        tag, _ = imap_until_login(conversation) or (b"", b"")
        behaviour = says(then.replace(b"TAG", tag)) if isinstance(then, bytes) else then
        behaviour(conversation)

    return misbehaves


def at_pop3_login(then: Behaviour | bytes) -> Behaviour:
    def misbehaves(conversation: Conversation) -> None:
        conversation.send(POP3_GREETING)
        pop3_until_login(conversation)
        behaviour = says(then) if isinstance(then, bytes) else then
        behaviour(conversation)

    return misbehaves


def never_ends_its_capabilities(conversation: Conversation) -> None:
    conversation.send(POP3_GREETING)
    conversation.line()
    conversation.send(b"+OK\r\n")
    conversation.line()
    conversation.send(b"+OK\r\n" + b"X-MORE\r\n" * MILLION)


IN_ANY = {
    "closes": (closes, CLOSED),
    "resets": (resets, RESET),
    "hangs": (hangs, SLOW),
    "greets with binary": (says(bytes(range(256)) + b"\r\n"), BROKEN),
    "greets with HTTP": (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), BROKEN),
    "greets as an SMTP server": (says(b"220 mx.example ESMTP\r\n"), BROKEN),
    "greets with an alert of TLS": (says(b"\x15\x03\x01\x00\x02\x02\x0a\r\n"), BROKEN),
    "greets with 16 MiB": (says(b"x" * HUGE), LONG),
    "greets with an empty line": (says(b"\r\n"), BROKEN),
}
IMAP = IN_ANY | {
    "greets with PREAUTH": (says(b"* PREAUTH [CAPABILITY IMAP4rev1] logged in as root\r\n"), BROKEN),
    "greets with BYE": (says(b"* BYE overloaded\r\n"), "said goodbye"),
    "greets with half a line": (says(b"* OK he"), SLOW),
    "greets with a literal of 2^63": (says(b"* OK hi\r\n* ID {9223372036854775808}\r\n"), LONG),
    "greets with 16 MiB in a line that ends": (says(b"* OK ", b"x" * HUGE, b"\r\n"), LONG),
    "greets with a million lines": (says(b"* OK hi\r\n", b"* OK still here\r\n" * MILLION), LONG),
    "greets with NUL": (says(b"* OK he\0llo\r\n"), BROKEN),
    "greets with LF alone": (says(b"* OK hello\n"), BROKEN),
    "answers before it is asked": (says(IMAP_GREETING + b"zproxy1 OK in\r\nzproxy2 OK in\r\n"), BROKEN),
    "gives leave before it is asked": (says(IMAP_GREETING + b"+ \r\n"), BROKEN),
    "closes at the login": (at_imap_login(closes), CLOSED),
    "resets at the login": (at_imap_login(resets), RESET),
    "hangs at the login": (at_imap_login(hangs), SLOW),
    "says BYE at the login": (at_imap_login(b"* BYE overloaded\r\n"), "said goodbye"),
    "says BAD at the login": (at_imap_login(b"TAG BAD what?\r\n"), EVASIVE),
    "says junk at the login": (at_imap_login(b"Traceback (most recent call last):\r\n"), BROKEN),
    "says a million lines at the login": (at_imap_login(b"* OK still here\r\n" * MILLION), LONG),
    "says 16 MiB at the login": (at_imap_login(b"x" * HUGE), LONG),
    "answers another's login": (at_imap_login(b"a OK in\r\n"), BROKEN),
    "asks for more than there is": (at_imap_login(b"+ \r\n"), BROKEN),
    "answers OK without an end": (at_imap_login(b"TAG OK [CAPABILITY IMAP4rev1"), SLOW),
    "logs in and never says what it can do": (at_imap_login(b"TAG OK in\r\n"), SLOW),
    "is down": (at_imap_login(b"TAG NO [UNAVAILABLE] Down.\r\n"), "refused"),
    "has a code of its own": (at_imap_login(b"TAG NO [X-REPLICA-LAG] Later.\r\n"), EVASIVE),
}
POP3 = IN_ANY | {
    "greets with -ERR": (says(b"-ERR overloaded\r\n"), "said goodbye"),
    "greets with half a line": (says(b"+OK he"), SLOW),
    "greets with a million lines": (says(b"+OK hi\r\n" * MILLION), EARLY),
    "greets with 16 MiB in a line that ends": (says(b"+OK ", b"x" * HUGE, b"\r\n"), LONG),
    "greets with NUL": (says(b"+OK he\0llo\r\n"), BROKEN),
    "greets with LF alone": (says(b"+OK hello\n"), BROKEN),
    "answers before it is asked": (says(POP3_GREETING + b"+OK\r\n+OK\r\n.\r\n+OK in\r\n"), EARLY),
    "never ends its capabilities": (never_ends_its_capabilities, LONG),
    "closes at the login": (at_pop3_login(closes), CLOSED),
    "resets at the login": (at_pop3_login(resets), RESET),
    "hangs at the login": (at_pop3_login(hangs), SLOW),
    "says junk at the login": (at_pop3_login(b"Traceback (most recent call last):\r\n"), BROKEN),
    "says 16 MiB at the login": (at_pop3_login(b"x" * HUGE), LONG),
    "asks for more than there is": (at_pop3_login(b"+ \r\n+ \r\n"), EARLY),
    "answers OK without an end": (at_pop3_login(b"+OK in"), SLOW),
    "is down": (at_pop3_login(b"-ERR [SYS/TEMP] Down.\r\n"), "refused"),
}
CASES = [("imap", what) for what in IMAP] + [("pop3", what) for what in POP3]
FAULTS = {"imap": IMAP, "pop3": POP3}


def fails_for_now(front: Front, protocol: str) -> str:
    """Log in: a temporary failure comes in time, and the connection stays. Returns why, as recorded."""
    with front.greeted(protocol) as client:
        with within(IN_TIME_SECONDS):
            answer = client.ask(log_in(protocol, ALICE))
        assert answer.startswith(UNAVAILABLE[protocol])
        assert b"OK" in client.ask(NOOP[protocol])
    return front.zproxy.refusal_of(client.address)["error"]


@pytest.mark.parametrize(("protocol", "what"), CASES)
def test_a_login_at_a_backend_that_misbehaves_fails_for_now(
    protocol: str, what: str, front: Front, hasty: Front
) -> None:
    behaviour, why = FAULTS[protocol][what]
    proxy = hasty if why == SLOW else front
    with proxy.behaving("mbox", protocol, behaviour) as backend:
        assert why in fails_for_now(proxy, protocol)
        assert backend.conversations[-1].ended.wait(IN_TIME_SECONDS)


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_a_login_at_a_backend_that_is_down_fails_for_now_and_succeeds_when_it_is_back(
    protocol: str, front: Front
) -> None:
    with front.backends["mbox"][protocol].down():
        assert "refused" in fails_for_now(front, protocol)
    with front.greeted(protocol) as client:
        assert b"OK" in client.ask(log_in(protocol, ALICE))


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_a_login_at_a_backend_that_nothing_is_heard_of_fails_for_now(protocol: str, hasty: Front) -> None:
    with hasty.backends["mbox"][protocol].unreachable():
        assert fails_for_now(hasty, protocol) == "backend was too slow at connect"


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_a_login_that_waits_for_its_backend_holds_no_other_up(protocol: str, front: Front) -> None:
    with front.behaving("mbox", protocol, hangs), front.greeted(protocol) as stuck:
        stuck.send(log_in(protocol, ALICE))
        with within(IN_TIME_SECONDS):
            assert front.answer(protocol, IMPLICIT).startswith(WELCOME[protocol])
        assert stuck.heard_within(AT_ONCE_SECONDS).octets == b""
