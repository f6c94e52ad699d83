"""Bodies both ways: what arrives is what was sent, and where it is not, the generator says so."""

from __future__ import annotations

import contextlib
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from servers.load import fake_backend, figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from load.conftest import Loaded

    Damage = Callable[[bytes, int], bytes]

OCTETS = 300_000
TRANSFERS = 6
# Beyond greeting, login and head, well within the first body.
PLACE = 200_000


@pytest.mark.parametrize("tls", ["off", "implicit"])
@pytest.mark.parametrize(
    ("direction", "protocol"), [("fetch", "imap"), ("append", "imap"), ("get", "http"), ("put", "http")]
)
def test_every_body_arrives_as_it_was_sent(direction: str, protocol: str, tls: str, loaded: Loaded) -> None:
    options = loaded.options(protocol, tls) | {"direction": direction, "octets": OCTETS, "transfers": TRANSFERS}
    moved = figures("bulk", concurrency=2, **options)
    assert (moved["transfers"], moved["octets"], moved["errors"]) == (TRANSFERS, TRANSFERS * OCTETS, {})
    counted = loaded.counted()
    assert (counted["messages"], counted["octets"], counted["errors"]) == (TRANSFERS, TRANSFERS * OCTETS, [])


@pytest.mark.parametrize("keep_alive", [True, False])
def test_requests_are_answered_over_connections_kept_or_made_anew(*, keep_alive: bool, loaded: Loaded) -> None:
    options = loaded.options("http", "implicit") | {"path": "/1k", "requests": 100, "concurrency": 4}
    asked = figures("http", keep_alive=keep_alive, **options)
    assert (asked["requests"], asked["octets"], asked["errors"]) == (100, 100_000, {})
    assert figures("http", upload="20k", **options)["errors"] == {}
    counted = loaded.counted()
    # Basic is in every request.
    assert (counted["logins"], counted["strangers"]) == (200, 0)
    assert counted["octets"] == 100 * (1_000 + 20_000)


def _wrong(octets: bytes, at: int) -> bytes:
    return octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]


def _short(octets: bytes, at: int) -> bytes:
    return octets[:at]


@pytest.mark.parametrize(
    ("direction", "damage", "error"),
    [
        ("fetch", _wrong, "is wrong"),
        ("fetch", _short, "ended after"),
        ("get", _wrong, "is wrong"),
        ("get", _short, "ended after"),
    ],
)
def test_a_damaged_body_is_found_by_who_receives_it(direction: str, damage: Damage, error: str) -> None:
    with fake_backend() as backend:
        port = backend.imap_port if direction == "fetch" else backend.http_port
        with _damaging(port, damage, to_client=True) as target:
            moved = figures("bulk", direction=direction, octets=OCTETS, transfers=1, account="u", target=target)
    (text,) = moved["errors"]
    assert error in text
    assert (moved["transfers"], moved["octets"]) == (0, 0)


@pytest.mark.parametrize(
    ("direction", "damage", "error"),
    [
        ("append", _wrong, "APPEND: NO octet"),
        ("append", _short, "APPEND: "),
        ("put", _wrong, "PUT: the checksum is another"),
        ("put", _short, "PUT: "),
    ],
)
def test_a_damaged_body_is_found_by_who_sent_it(direction: str, damage: Damage, error: str) -> None:
    with fake_backend() as backend:
        port = backend.imap_port if direction == "append" else backend.http_port
        with _damaging(port, damage, to_client=False) as target:
            moved = figures("bulk", direction=direction, octets=OCTETS, transfers=1, account="u", target=target)
        (text,) = moved["errors"]
        assert text.startswith(error)
        assert moved["octets"] == 0


@contextmanager
def _damaging(port: int, damage: Damage, *, to_client: bool) -> Iterator[str]:
    """Stand between client and backend, and damage what goes one way; `damage` may end it."""
    way = (damage, None) if to_client else (None, damage)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_relay, args=(listening, port, *way))
        thread.start()
        host, own_port = listening.getsockname()
        yield f"{host}:{own_port}"
        thread.join()


def _relay(listening: socket.socket, port: int, down: Damage | None, up: Damage | None) -> None:
    client, _ = listening.accept()
    with client, socket.create_connection(("127.0.0.1", port)) as backend:
        threads = [
            threading.Thread(target=_carry, args=way) for way in ((backend, client, down), (client, backend, up))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _carry(source: socket.socket, sink: socket.socket, damage: Damage | None) -> None:
    carried = 0
    with contextlib.suppress(OSError):
        while octets := source.recv(65536):
            at = PLACE - carried
            carried += len(octets)
            sent = damage(octets, at) if damage and 0 <= at < len(octets) else octets
            sink.sendall(sent)
            if len(sent) < len(octets):
                break
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
