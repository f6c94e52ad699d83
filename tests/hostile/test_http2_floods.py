"""Floods of HTTP/2's cheap frames: whoever sends them is sent away, memory stays flat, and others are served meanwhile.

Rapid reset (CVE-2023-44487), CONTINUATION without end (VU#421644), settings, pings and empty frames (CVE-2019-9511 to
9518), bombs of HPACK, and resets that the server is made to do (CVE-2025-8671).
"""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING

import pytest
from h2.errors import ErrorCodes

from servers.fake_web import streams
from servers.front import within
from servers.process import resident_bytes
from servers.site import Site
from servers.waiting import settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers.certificates import Authority
    from servers.http_client import Http2

FRAMES = 50_000
AT_ONCE = 500
GROWTH = 16 << 20
"""What a process may grow by: the longest flood is ten times as long."""
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind: int, flags: int, stream: int, said: bytes = b"") -> bytes:
    return struct.pack(">I", len(said))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + said


def head(client: Http2, path: str = "/flood") -> bytes:
    return client.protocol.encoder.encode(client.pseudo("GET", path))


def rapid_reset(client: Http2) -> Iterator[bytes]:
    block = head(client)
    for stream in range(1, 2 * FRAMES, 2):
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
        yield frame(RST_STREAM, 0, stream, struct.pack(">I", ErrorCodes.CANCEL))


def made_to_reset(client: Http2) -> Iterator[bytes]:
    """A window that grows by nothing is a stream's error, which the server has to answer by its own reset."""
    block = head(client)
    for stream in range(1, 2 * FRAMES, 2):
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
        yield frame(WINDOW_UPDATE, 0, stream, bytes(4))


def continuations(client: Http2) -> Iterator[bytes]:
    yield frame(HEADERS, END_STREAM, 1, head(client))
    # A field that goes on and on, and needs no table.
    for _ in range(FRAMES):
        yield frame(CONTINUATION, 0, 1, b"\x00\x01a\x7f\x81\x7f" + b"b" * 256)


def empty_continuations(client: Http2) -> Iterator[bytes]:
    yield frame(HEADERS, END_STREAM, 1, head(client))
    for _ in range(FRAMES):
        yield frame(CONTINUATION, 0, 1)


def empty_fields(client: Http2) -> Iterator[bytes]:
    """CVE-2019-9516: fields without name and value, which a sum of octets does not see."""
    yield frame(HEADERS, END_STREAM, 1, head(client))
    for _ in range(FRAMES):
        yield frame(CONTINUATION, 0, 1, b"\x00\x00\x00" * 1000)


def settings(_: Http2) -> Iterator[bytes]:
    for _ in range(FRAMES):
        yield frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535) * 10)


def pings(_: Http2) -> Iterator[bytes]:
    for number in range(FRAMES):
        yield frame(PING, 0, 0, struct.pack(">Q", number))


def empty_data(client: Http2) -> Iterator[bytes]:
    block = client.protocol.encoder.encode(client.pseudo("POST", "/flood"))
    yield frame(HEADERS, END_HEADERS, 1, block)
    for _ in range(FRAMES):
        yield frame(DATA, 0, 1)


def priorities(_: Http2) -> Iterator[bytes]:
    for number in range(FRAMES):
        yield frame(PRIORITY, 0, 2 * number + 1, struct.pack(">IB", 2 * number + 3, 16))


def bombs(client: Http2) -> Iterator[bytes]:
    """One octet each says 4000 again."""
    block = head(client) + b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000
    yield frame(HEADERS, END_HEADERS | END_STREAM, 1, block)
    for stream in range(3, FRAMES // 10, 2):
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream, head(client) + b"\xbe" * 10_000)


SENT_AWAY: list[Callable[[Http2], Iterator[bytes]]] = [
    rapid_reset,
    made_to_reset,
    continuations,
    empty_continuations,
    empty_fields,
    empty_data,
    bombs,
]
BORNE: list[Callable[[Http2], Iterator[bytes]]] = [settings, pings, priorities]
"""Of these each one is dealt with as it comes, so who sends them does no harm; he may be sent away all the same."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("floods"), authority) as running:
        yield running


@pytest.fixture
def _flat(site: Site) -> Iterator[None]:
    """The process does not grow, however long the flood."""
    with site.http2() as client:
        assert client.get("/").status == 200
    before = settled(lambda: resident_bytes(site.zproxy.process.pid))
    yield
    assert resident_bytes(site.zproxy.process.pid) < before + GROWTH


def flood(client: Http2, frames: Iterator[bytes], site: Site) -> None:
    """Send all, or until no more is taken; somebody else is served meanwhile."""
    for number, parts in enumerate(iter(lambda: b"".join(itertools.islice(frames, AT_ONCE)), b"")):
        if not client.send_unless_stuck(parts):
            return
        if number % (FRAMES // AT_ONCE // 4) == 0:
            with within(2), site.http1() as other:
                assert other.get("/other").status == 200


@pytest.mark.usefixtures("_flat")
@pytest.mark.parametrize("frames", SENT_AWAY)
def test_who_floods_is_sent_away(frames: Callable[[Http2], Iterator[bytes]], site: Site) -> None:
    with site.http2() as client:
        flood(client, frames(client), site)
        client.rest()


@pytest.mark.usefixtures("_flat")
@pytest.mark.parametrize("frames", BORNE)
def test_what_costs_nothing_is_borne(frames: Callable[[Http2], Iterator[bytes]], site: Site) -> None:
    with site.http2() as client:
        flood(client, frames(client), site)


@pytest.mark.usefixtures("_flat")
def test_answers_that_nobody_takes_are_not_held(site: Site) -> None:
    """CVE-2019-9517: a hundred at once, and no window for any of them."""
    with site.answering("/film", streams(100_000_000)), site.http2() as client:
        block = client.protocol.encoder.encode(client.pseudo("GET", "/film"))
        client.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
        client.send(b"".join(frame(HEADERS, END_HEADERS | END_STREAM, stream, block) for stream in range(1, 201, 2)))
        settled(lambda: resident_bytes(site.zproxy.process.pid))
        with within(2), site.http1() as other:
            assert other.get("/other").status == 200
