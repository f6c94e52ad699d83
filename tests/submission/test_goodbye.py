"""Sessions that an operator ends: 421 between two messages, never within one."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from servers.fake_mta import offering
from servers.front import ALICE
from servers.relays import Relays
from servers.waiting import until
from zcontrol.v1 import session_pb2, session_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGUN = [b"MAIL FROM:<alice@example.net>", b"RCPT TO:<bob@example.net>"]
# Longer than a session must be quiet before it is spoken into.
QUIET_SECONDS = 2.5
PATIENCE_MS = 30_000
MTAS = {"spliced": offering("PIPELINING"), "guarded": offering("PIPELINING", "XCLIENT ADDR")}


@pytest.fixture(scope="module", params=MTAS)
def relays(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relays]:
    with Relays(tmp_path_factory.mktemp("relays"), mta=MTAS[request.param]) as running:
        yield running


@contextmanager
def kicking(relays: Relays) -> Iterator[None]:
    """Within the block Alice is being kicked; at its end she must be gone."""
    who = session_pb2.SessionFilter(account=ALICE)
    told: list[int] = []
    with grpc.insecure_channel(relays.zproxy.api) as channel:
        sessions = session_pb2_grpc.SessionServiceStub(channel)
        until(lambda: sessions.List(session_pb2.ListSessionsRequest(filter=who)).sessions)

        def kick() -> None:
            request = session_pb2.KickRequest(filter=who, text="you have moved", patience_ms=PATIENCE_MS)
            told.append(sessions.Kick(request).sessions)

        kick_ = threading.Thread(target=kick)
        kick_.start()
        yield
        kick_.join()
    assert told == [1]


def test_a_kick_between_messages_is_told_by_421(relays: Relays) -> None:
    with relays.session(ALICE) as client:
        assert client.ask(b"NOOP\r\n").startswith(b"250 ")
        with kicking(relays):
            assert client.rest() == b"421 4.3.2 you have moved\r\n"


def test_a_message_under_way_is_finished_before_the_421(relays: Relays) -> None:
    with relays.session(ALICE) as client:
        for line in BEGUN:
            assert client.ask(line + b"\r\n").startswith(b"250 ")
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        client.send(b"Subject: half\r\n\r\n")
        with kicking(relays):
            assert client.heard_within(QUIET_SECONDS) == (b"",)
            assert client.ask(b"other half\r\n.\r\n") == b"250 DATA\r\n"
            assert client.rest() == b"421 4.3.2 you have moved\r\n"
    commands = relays.mtas["mta"].conversations[-1].commands
    assert commands == [*BEGUN, b"DATA", b"Subject: half\r\n\r\nother half\r\n.\r\n"]


def test_a_stop_tells_421_too(relays: Relays) -> None:
    """The last of this module: the product is gone afterwards."""
    relays.zproxy.config["timeouts"]["shutdown"] = "20s"
    relays.zproxy.reload()
    with relays.session(ALICE) as client:
        relays.zproxy.process.terminate()
        assert client.rest().startswith(b"421 4.3.2 ")
    relays.zproxy.process.wait(20)
