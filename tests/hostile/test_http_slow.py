"""Clients that are slow on purpose: each has a time for each thing, and keeps nobody else waiting."""

from __future__ import annotations

import itertools
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from servers.fake_web import says, streams
from servers.front import TIMEOUTS, within
from servers.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers.certificates import Authority
    from servers.http_client import Http1

TIMES = {"http_header": "1s", "http_stall": "1s", "http_body": "3s", "http_idle": "2s", "handshake": "1s"}
SECONDS = 8
"""Within them all of these end: some are looked at every few seconds only."""
HEAD = b"GET /slow HTTP/1.1\r\nHost: mail.tgg.net.id\r\n"
CROWD = 200


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("slow"), authority, timeouts=TIMEOUTS | TIMES) as running:
        yield running


def drip(client: Http1, octets: Iterator[bytes]) -> None:
    """Send an octet now and then, until the connection ends."""
    for octet in octets:
        client.try_send(octet)
        if client.heard_within(0.2) is None:
            return


HEADS: dict[str, Callable[[], Iterator[bytes]]] = {
    "nothing": lambda: iter([]),
    "half a head": lambda: iter([HEAD]),
    "a head by the octet": lambda: (bytes([octet]) for octet in HEAD + b"X-A: " + b"b" * 10_000),
    "a head by the field": lambda: itertools.chain([HEAD], (b"X-A: b\r\n" for _ in itertools.count())),
    "empty lines": lambda: (b"\r\n" for _ in itertools.count()),
}


@pytest.mark.parametrize("octets", HEADS.values(), ids=HEADS)
def test_a_head_has_to_come(octets: Callable[[], Iterator[bytes]], site: Site) -> None:
    with site.untouched(), within(SECONDS), site.http1() as client:
        drip(client, octets())
        client.rest()


def test_a_connection_of_http2_that_asks_for_nothing_ends(site: Site) -> None:
    with site.untouched(), within(SECONDS), site.http2() as client:
        client.rest()


def test_half_a_block_of_fields_is_waited_for_no_longer(site: Site) -> None:
    with site.untouched(), within(SECONDS), site.http2() as client:
        block = client.protocol.encoder.encode(client.pseudo("GET", "/slow"))
        client.send(len(block).to_bytes(3) + b"\x01\x01\x00\x00\x00\x01" + block)
        client.rest()


BODIES: dict[str, Callable[[], Iterator[bytes]]] = {
    "half a body": lambda: iter([b"x" * 50]),
    "a body by the octet": lambda: (b"x" for _ in range(99)),
}


@pytest.mark.parametrize("octets", BODIES.values(), ids=BODIES)
def test_a_body_has_to_come(octets: Callable[[], Iterator[bytes]], site: Site) -> None:
    with within(SECONDS), site.http1() as client:
        client.begin("POST", "/body", "Content-Length: 100")
        drip(client, octets())
        client.rest()
    assert not any(request.path == "/body" for web in site.webs.values() for request in web.requests)


def test_a_body_of_http2_has_to_come(site: Site) -> None:
    with within(SECONDS), site.http2() as client:
        stream = client.begin("POST", "/body")
        client.say(stream, b"x" * 50, end=False)
        assert client.answer(stream).status in (0, 408)


@pytest.mark.parametrize("version", ["http1", "http2"])
def test_who_takes_nothing_of_an_answer_does_not_hold_the_server(version: str, site: Site) -> None:
    path = f"/film/{version}"
    with site.answering(path, streams(100_000_000)), getattr(site, version)() as client:
        client.begin("GET", path, **({"end": True} if version == "http2" else {}))
        assert site.asked(path).conversation.ended.wait(SECONDS)


def test_a_crowd_of_slow_ones_keeps_nobody_waiting(site: Site) -> None:
    with ExitStack() as stack:
        for _ in range(CROWD):
            stack.enter_context(site.http1(listener="http")).send(HEAD)
        with within(2), site.http1() as client:
            assert client.get("/quick").status == 200


def test_a_server_that_waits_keeps_nobody_waiting(site: Site) -> None:
    going = threading.Event()

    def waits(conversation: object, request: object) -> None:
        going.wait(SECONDS)
        says(200)(conversation, request)  # type: ignore[arg-type]

    with site.answering("/waits", waits), ExitStack() as stack:
        clients = [stack.enter_context(site.http1()) for _ in range(20)]
        for client in clients:
            client.begin("GET", "/waits")
        with within(2), site.http1() as other:
            assert other.get("/quick").status == 200
        going.set()
        assert [client.answer().status for client in clients] == [200] * len(clients)
