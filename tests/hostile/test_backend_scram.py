"""Mailbox servers that break a SCRAM exchange, slow ones and such as cannot be relayed to; clients that let us wait."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import pytest

from servers.fake_backend import FakeBackend
from servers.fake_mailbox import imap_session
from servers.raw_client import RawClient
from servers.said import TEMPORARY, WRONG
from servers.scram import Scram
from servers.waiting import until
from servers.zproxy import directory_file, listener
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.fake_backend import Behaviour, Conversation
    from servers.zproxy import StartZproxy, Zproxy

ALICE, NOBODY = "alice@example.net", "nobody@example.net"
GREETING = b"* OK [CAPABILITY IMAP4rev1 SASL-IR IDLE AUTH=PLAIN AUTH=SCRAM-SHA-256] ready\r\n"
BINDS = GREETING.replace(b"256]", b"256 AUTH=SCRAM-SHA-256-PLUS]")
LOGIN_SECONDS, BACKEND_SECONDS, SLOW_SECONDS = 3.0, 0.7, 0.4
UNAVAILABLE = TEMPORARY["imap"]


def greets(conversation: Conversation) -> tuple[bytes, bytes]:
    """Answer up to the login, and return its tag and the client's nonce; nothing if the proxy leaves before."""
    conversation.send(GREETING)
    for line in conversation.lines():
        tag, _, rest = line.partition(b" ")
        if rest.startswith(b"AUTHENTICATE SCRAM-SHA-256 "):
            return tag, base64.b64decode(rest.split()[2]).rpartition(b"r=")[2]
        conversation.send(tag + b" OK done\r\n")
    return b"", b""


def asks(conversation: Conversation, nonce: bytes) -> bytes:
    """Ask for the proof, and return it."""
    return answer(conversation, b"r=" + nonce + b"0123456789abcdef,s=c2FsdHNhbHQ=,i=5000")


def answer(conversation: Conversation, challenge: bytes) -> bytes:
    conversation.send(b"+ " + base64.b64encode(challenge) + b"\r\n")
    return base64.b64decode(conversation.line())


def refuses_the_proof(conversation: Conversation) -> None:
    tag, nonce = greets(conversation)
    asks(conversation, nonce)
    conversation.send(tag + b" NO [AUTHENTICATIONFAILED] not you\r\n")
    conversation.hold()


def is_slow_to_ask(conversation: Conversation) -> None:
    tag, nonce = greets(conversation)
    if not conversation.ended.wait(SLOW_SECONDS):
        asks(conversation, nonce)
        conversation.send(tag + b" NO [AUTHENTICATIONFAILED] not you\r\n")
        conversation.hold()


def says_what_is_wrong(conversation: Conversation) -> None:
    tag, nonce = greets(conversation)
    asks(conversation, nonce)
    assert answer(conversation, b"e=invalid-proof") == b""
    conversation.send(tag + b" NO not you\r\n")
    conversation.hold()


def refuses_the_name(conversation: Conversation) -> None:
    tag, _ = greets(conversation)
    conversation.send(tag + b" NO [AUTHENTICATIONFAILED] never heard of\r\n")
    conversation.hold()


def closes_at_the_proof(conversation: Conversation) -> None:
    _, nonce = greets(conversation)
    asks(conversation, nonce)
    conversation.close()


def hangs_at_the_proof(conversation: Conversation) -> None:
    _, nonce = greets(conversation)
    asks(conversation, nonce)
    conversation.hold()


def lets_in_unsigned(conversation: Conversation) -> None:
    tag, nonce = greets(conversation)
    asks(conversation, nonce)
    conversation.send(tag + b" OK in\r\n")
    imap_session(conversation)


def asks_with_a_nonce_of_its_own(conversation: Conversation) -> None:
    greets(conversation)
    asks(conversation, b"foreign")
    conversation.hold()


def is_busy(conversation: Conversation) -> None:
    tag, _ = greets(conversation)
    conversation.send(tag + b" NO [UNAVAILABLE] busy\r\n")
    conversation.hold()


class Place:
    """A proxy before one backend, which does what a test says."""

    def __init__(self, zproxy: Zproxy, backend: FakeBackend) -> None:
        self.zproxy = zproxy
        self.backend = backend

    def client(self) -> RawClient:
        client = RawClient(self.zproxy.listeners["imap"])
        assert client.line().startswith(b"* OK")
        return client

    def offered(self) -> bytes:
        with self.client() as client:
            return client.ask(b"a CAPABILITY\r\n")


@pytest.fixture
def place(tmp_path: Path, start_zproxy: StartZproxy) -> Iterator[Place]:
    with FakeBackend(refuses_the_proof, address=own_address(), port=1430) as backend:
        endpoint = {"port": backend.port}
        zproxy = start_zproxy(
            {
                "listeners": [listener("imap", "imap", "off")],
                "timeouts": {
                    "login": f"{LOGIN_SECONDS}s",
                    "backend_login": f"{BACKEND_SECONDS}s",
                    "auth_failure_delay": "0.1s",
                },
                "health": {"interval": "1h", "fall": 1},
                "directory": directory_file(tmp_path / "accounts.csv", {ALICE: "mbox"}),
                "backends": [{"name": "mbox", "host": backend.address, "endpoints": {"imap": endpoint}}],
            }
        )
        place = Place(zproxy, backend)
        until(lambda: b"SCRAM-SHA-256" in place.offered())
        yield place


def first(client: RawClient, name: str) -> tuple[Scram, bytes]:
    scram = Scram(mechanism="SCRAM-SHA-256", name=name, password="wrong")
    said = base64.b64encode(scram.first())
    return scram, client.ask(b"a AUTHENTICATE SCRAM-SHA-256 " + said + b"\r\n")


def proved(client: RawClient, name: str) -> bytes:
    scram, line = first(client, name)
    assert line.startswith(b"+ "), line
    return client.ask(base64.b64encode(scram.last(base64.b64decode(line[2:]))) + b"\r\n")


@pytest.mark.parametrize("refuses", [refuses_the_proof, says_what_is_wrong, refuses_the_name])
def test_whatever_way_a_server_refuses_a_client_it_is_asked_once_and_refused_in_our_words(
    refuses: Behaviour, place: Place
) -> None:
    place.backend.behaviour = refuses
    with place.client() as client:
        assert [proved(client, name) for name in (ALICE, NOBODY)] == [WRONG["imap"]] * 2


@pytest.mark.parametrize("fails", [closes_at_the_proof, hangs_at_the_proof, lets_in_unsigned])
def test_a_server_that_fails_behind_the_proof_is_a_temporary_failure(fails: Behaviour, place: Place) -> None:
    place.backend.behaviour = fails
    with place.client() as client:
        assert proved(client, ALICE) == UNAVAILABLE


@pytest.mark.parametrize("fails", [asks_with_a_nonce_of_its_own, is_busy])
def test_a_server_that_fails_before_the_proof_has_nobody_asked(fails: Behaviour, place: Place) -> None:
    place.backend.behaviour = fails
    with place.client() as client:
        line = first(client, ALICE)[1]
        assert line == UNAVAILABLE or line.startswith(b"a NO [UNAVAILABLE] busy"), line


def test_a_user_who_does_not_exist_is_asked_as_late_as_others_are(place: Place) -> None:
    place.backend.behaviour = is_slow_to_ask
    with place.client() as client:
        assert proved(client, ALICE) == WRONG["imap"]
        began = time.monotonic()
        assert first(client, NOBODY)[1].startswith(b"+ ")
        assert time.monotonic() - began >= SLOW_SECONDS


def test_a_client_that_lets_us_wait_is_told_goodbye_and_its_server_is_not_to_blame(place: Place) -> None:
    with place.client() as client:
        assert first(client, ALICE)[1].startswith(b"+ ")
        # Longer than the server may take.
        assert client.rest() == b"* BYE login took too long\r\n"
    assert place.zproxy.record_from(client.address)["error"] == "client was too slow at response"
    with place.client() as client:
        assert proved(client, ALICE) == WRONG["imap"]


def test_a_client_that_leaves_takes_its_connection_to_the_server_along(place: Place) -> None:
    with place.client() as client:
        assert first(client, ALICE)[1].startswith(b"+ ")
        conversation = place.backend.conversations[-1]
    assert conversation.ended.wait(LOGIN_SECONDS)
    assert place.zproxy.record_from(client.address)["error"] == "client left"


def test_a_client_that_breaks_off_is_on_record(place: Place) -> None:
    with place.client() as client:
        first(client, ALICE)
        client.ask(b"*\r\n")
        assert place.zproxy.refusal_of(client.address)["error"].startswith("client broke off the exchange")
        assert client.ask(b"b NOOP\r\n") == b"b OK Noop completed.\r\n"


def test_a_server_that_can_bind_the_channel_is_not_relayed_to(tmp_path: Path, start_zproxy: StartZproxy) -> None:
    def binds(conversation: Conversation) -> None:
        conversation.send(BINDS)
        conversation.hold()

    with FakeBackend(binds, address=own_address(), port=1430) as backend:
        zproxy = start_zproxy(
            {
                "listeners": [listener("imap", "imap", "off")],
                "directory": directory_file(tmp_path / "accounts.csv", {ALICE: "mbox"}),
                "backends": [{"name": "mbox", "host": backend.address, "endpoints": {"imap": {"port": backend.port}}}],
            }
        )
        place = Place(zproxy, backend)
        offered = until(lambda: b"IDLE" in place.offered() and place.offered())
        assert b"SCRAM" not in offered
