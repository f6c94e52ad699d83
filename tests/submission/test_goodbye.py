"""Sessions that an operator ends: 421 between two messages, never within one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc

from servers.fake_mta import offering
from servers.front import ALICE, BOB
from servers.relays import Relays
from servers.waiting import until
from zcontrol.v1 import session_pb2, session_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from servers.raw_client import RawClient

BEGUN = [b"MAIL FROM:<alice@example.net>", b"RCPT TO:<bob@example.net>", b"DATA"]
GOODBYE = b"421 4.3.2 you have moved\r\n"
# Longer than a session must be quiet before it is spoken into.
QUIET_SECONDS = 2.5
PATIENCE_MS = 60_000
# An MTA that goes on to take XCLIENT, so that a guard stands between.
GUARDED = offering("PIPELINING", "XCLIENT ADDR")


def begin_message(client: RawClient) -> None:
    assert [client.ask(line + b"\r\n")[:3] for line in BEGUN] == [b"250", b"250", b"354"]
    client.send(b"Subject: half\r\n\r\n")


def kick_all(relays: Relays, clients: Iterable[RawClient]) -> int:
    """Kick whoever is logged in, and return how many are gone."""
    with grpc.insecure_channel(relays.zproxy.api) as channel:
        sessions = session_pb2_grpc.SessionServiceStub(channel)
        until(lambda: len(sessions.List(session_pb2.ListSessionsRequest()).sessions) == len(list(clients)))
        everybody = session_pb2.KickRequest(all=True, text="you have moved", patience_ms=PATIENCE_MS)
        return sessions.Kick(everybody).sessions


def test_a_kick_is_told_by_421_and_a_message_under_way_is_finished_before(tmp_path: Path) -> None:
    with (
        Relays(tmp_path, farm_1=GUARDED, farm_2=GUARDED) as relays,
        ThreadPoolExecutor() as pool,
        relays.session(ALICE) as alice_idle,
        relays.session(ALICE) as alice_busy,
        relays.session(BOB) as bob_idle,
        relays.session(BOB) as bob_busy,
    ):
        begin_message(alice_busy)
        begin_message(bob_busy)
        kicked = pool.submit(kick_all, relays, (alice_idle, alice_busy, bob_idle, bob_busy))
        assert [alice_idle.rest(), bob_idle.rest()] == [GOODBYE, GOODBYE]
        for busy in (alice_busy, bob_busy):
            assert busy.heard_within(QUIET_SECONDS / 2) == (b"",)
        for busy in (alice_busy, bob_busy):
            assert busy.ask(b"other half\r\n.\r\n") == b"250 DATA\r\n"
        assert [alice_busy.rest(), bob_busy.rest()] == [GOODBYE, GOODBYE]
        assert kicked.result() == 4
        told = [conversation.commands for mta in relays.mtas.values() for conversation in mta.conversations]
        assert told.count([*BEGUN, b"Subject: half\r\n\r\nother half\r\n.\r\n"]) == 2


def test_a_stop_is_told_by_421(tmp_path: Path) -> None:
    with Relays(tmp_path, timeouts={"shutdown": "60s"}) as relays, relays.session(ALICE) as client:
        relays.zproxy.process.terminate()
        assert client.rest().startswith(b"421 4.3.2 ")
