"""Clients that are slow in one phase: each has a deadline, and is told so where its protocol can tell."""

from __future__ import annotations

import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from servers.front import TIMEOUTS, Front
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority

LOGIN_SECONDS = 2.0
HANDSHAKE_SECONDS = 1.0
# What a busy machine may add.
SLACK_SECONDS = 3.0
EARLY_SECONDS = 0.2
# A dripping client sends its next octets when it has heard nothing for so long.
RHYTHM_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Slow:
    """A client, what it says at once and what it goes on to say, and the deadline that must end it."""

    listener: str
    deadline: float
    says: bytes = b""
    drips: bytes = b""
    told: bytes = b""
    """How its last line begins; empty: it hears nothing after the deadline."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    seconds: float
    last_line: bytes


def half_a_hello() -> bytes:
    hello = ssl.MemoryBIO()
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname=HOSTNAME).do_handshake()
    return hello.read()[:100]


IMAP = {"listener": "imap", "deadline": LOGIN_SECONDS, "told": b"* BYE"}
POP3 = {"listener": "pop3", "deadline": LOGIN_SECONDS, "told": b"-ERR [SYS/TEMP]"}
SLOW = {
    "IMAP, silent after the greeting": Slow(**IMAP),
    "IMAP, half a command": Slow(**IMAP, says=b"a NOO"),
    "IMAP, half a literal": Slow(**IMAP, says=b"a LOGIN {5}\r\nal"),
    "IMAP, challenge not answered": Slow(**IMAP, says=b"a AUTHENTICATE PLAIN\r\n"),
    "IMAP, command that drips": Slow(**IMAP, says=b"a ", drips=b"x"),
    "IMAP, NOOP again and again": Slow(**IMAP, drips=b"a NOOP\r\n"),
    "POP3, silent after the greeting": Slow(**POP3),
    "POP3, half a command": Slow(**POP3, says=b"NOO"),
    "POP3, name without password": Slow(**POP3, says=b"USER alice@example.net\r\n"),
    "POP3, challenge not answered": Slow(**POP3, says=b"AUTH LOGIN\r\n"),
    "POP3, NOOP again and again": Slow(**POP3, drips=b"NOOP\r\n"),
    "IMAPS, no hello": Slow(listener="imaps", deadline=HANDSHAKE_SECONDS),
    "POP3S, half a hello": Slow(listener="pop3s", deadline=HANDSHAKE_SECONDS, says=half_a_hello()),
    "POP3S, hello that drips": Slow(
        listener="pop3s", deadline=HANDSHAKE_SECONDS, says=b"\x16\x03\x01\x02\0", drips=b"\x01"
    ),
    "STARTTLS without hello": Slow(listener="imap", deadline=HANDSHAKE_SECONDS, says=b"s STARTTLS\r\n", told=b"s OK"),
    "STLS without hello": Slow(listener="pop3", deadline=HANDSHAKE_SECONDS, says=b"STLS\r\n", told=b"+OK"),
    "no PROXY header": Slow(listener="imap_proxied", deadline=HANDSHAKE_SECONDS),
    "PROXY header that drips": Slow(
        listener="pop3_proxied", deadline=HANDSHAKE_SECONDS, says=b"PROXY UNKNOWN ", drips=b"x"
    ),
}


def endure(front: Front, slow: Slow) -> Ending:
    began = time.monotonic()
    heard = b""
    with front.client(slow.listener) as client:
        client.send(slow.says)
        while got := client.heard_within(RHYTHM_SECONDS):
            heard += got.octets
            client.try_send(slow.drips)
    *_, last_line = heard.splitlines() or [b""]
    return Ending(seconds=time.monotonic() - began, last_line=last_line)


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[dict[str, Ending]]:
    """All of them at once, so that the deadlines are waited for only once."""
    timeouts = TIMEOUTS | {"login": f"{LOGIN_SECONDS}s", "handshake": f"{HANDSHAKE_SECONDS}s"}
    with (
        Front(tmp_path_factory.mktemp("slow"), authority, timeouts=timeouts) as front,
        front.untouched(),
        ThreadPoolExecutor(len(SLOW)) as people,
    ):
        ended = {what: people.submit(endure, front, slow) for what, slow in SLOW.items()}
        yield {what: ending.result() for what, ending in ended.items()}


@pytest.mark.parametrize("what", SLOW)
def test_it_is_ended_at_its_deadline_and_told_so(what: str, endings: dict[str, Ending]) -> None:
    slow, ending = SLOW[what], endings[what]
    assert slow.deadline - EARLY_SECONDS < ending.seconds < slow.deadline + SLACK_SECONDS
    assert ending.last_line.startswith(slow.told)
    assert slow.told or not ending.last_line


def test_a_client_that_does_not_read_is_not_waited_for(front: Front) -> None:
    """NOOPs whose answers pile up: the proxy stops reading, and other clients do not notice."""
    with front.greeted("imap") as deaf, front.greeted("imap") as other:
        assert deaf.flood(b"a NOOP\r\n" * 8192, octets=64 << 20) < 64 << 20
        assert other.ask(b"b NOOP\r\n").startswith(b"b OK")
