"""Sessions ended by an operator: those he means, told so where their protocol can, and gone when the answer comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from servers.clients import WAYS, Visitor
from servers.waiting import until
from zcontrol.v1 import session_pb2, session_pb2_grpc

if TYPE_CHECKING:
    from servers.certificates import Authority
    from servers.zproxy import Zproxy

SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"


@pytest.mark.parametrize("by", ["account", "backend", "client_address", "id"])
def test_a_kick_is_answered_when_the_sessions_are_gone(by: str, zproxy: Zproxy, authority: Authority) -> None:
    visitor, neighbour = (Visitor(zproxy=zproxy, context=authority.client_context()) for _ in range(2))
    kicked = visitor.imap(WAYS["IMAPS"])
    kicked.login(BUDI, "demo")
    with neighbour.imap(WAYS["IMAP"]) as other, grpc.insecure_channel(zproxy.api) as channel:
        other.login(SITI, "demo")
        sessions = session_pb2_grpc.SessionServiceStub(channel)
        everything = session_pb2.ListSessionsRequest(filter=session_pb2.SessionFilter(account=BUDI))
        (listed,) = until(lambda: sessions.List(everything).sessions)
        mine = {"account": BUDI, "backend": "mbox-2", "client_address": visitor.address, "id": listed.id}
        who = session_pb2.SessionFilter(**{by: mine[by]})
        answer = sessions.Kick(session_pb2.KickRequest(filter=who, text="you have moved", patience_ms=10_000))
        assert answer.sessions == 1
        assert len(sessions.List(everything).sessions) == 0
        assert kicked.file.read().strip() == b"* BYE you have moved"
        assert other.noop()[0] == "OK"
    kicked.shutdown()
