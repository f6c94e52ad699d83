"""SessionService asks all edges, merges what they say, and never takes silence for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from control.edges import Answer, FakeSessions
from zcontrol.v1 import pool_pb2
from zcontrol.v1 import session_pb2 as pb

if TYPE_CHECKING:
    from control.conftest import Running

Serve = Callable[[str, Answer], Awaitable[FakeSessions]]


@pytest.fixture
async def serve(running: Running) -> AsyncIterator[Serve]:
    """Attach an edge's session stream; returns when control has heard of it."""
    edges: list[FakeSessions] = []

    async def serve(edge_id: str, answer: Answer) -> FakeSessions:
        edge = FakeSessions(running.sessions, edge_id, answer)
        edges.append(edge)
        await edge.attach()
        while not edge.was_asked.is_set():
            await running.sessions.Count(pb.CountSessionsRequest())
        return edge

    yield serve
    for edge in edges:
        await edge.leave()


def holding(*sessions: pb.Session) -> Answer:
    """An edge that answers truthfully of these, whatever the filter."""

    def answer(query: pb.SessionQuery) -> pb.SessionAnswer:
        match query.WhichOneof("query"):
            case "list":
                limit = query.list.limit
                return pb.SessionAnswer(
                    list=pb.ListSessionsResponse(sessions=sessions[:limit], truncated=len(sessions) > limit)
                )
            case "count":
                by_backend = dict.fromkeys({found.backend for found in sessions}, 1)
                return pb.SessionAnswer(
                    count=pb.CountSessionsResponse(
                        sessions=len(sessions), by_backend=by_backend, by_service={"imap": len(sessions)}
                    )
                )
            case _:
                return pb.SessionAnswer(kick=pb.KickResponse(sessions=len(sessions)))

    return answer


def but_silent_to(kind: str, answer: Answer) -> Answer:
    return lambda query: None if query.WhichOneof("query") == kind else answer(query)


def session(number: int, backend: str = "mbox-1") -> pb.Session:
    found = pb.Session(id=f"s{number}", backend=backend, account="siti@tgg.net.id")
    found.started.FromSeconds(number)
    return found


async def refused(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_list_merges_the_edges_oldest_first(running: Running, serve: Serve) -> None:
    await serve("edge-1", holding(session(2), session(4)))
    await serve("edge-2", holding(session(1), session(3)))
    listed = await running.sessions.List(pb.ListSessionsRequest())
    assert [found.id for found in listed.sessions] == ["s1", "s2", "s3", "s4"]
    assert not listed.truncated
    short = await running.sessions.List(pb.ListSessionsRequest(limit=3))
    assert ([found.id for found in short.sessions], short.truncated) == (["s1", "s2", "s3"], True)


async def test_the_filter_reaches_every_edge_as_it_was_given(running: Running, serve: Serve) -> None:
    edges = [await serve(name, holding()) for name in ("edge-1", "edge-2")]
    wanted = pb.SessionFilter(account="siti@tgg.net.id", client_address="10.0.0.1")
    await running.sessions.List(pb.ListSessionsRequest(filter=wanted))
    assert [edge.asked[-1].list.filter for edge in edges] == [wanted, wanted]


async def test_count_adds_up(running: Running, serve: Serve) -> None:
    await serve("edge-1", holding(session(1), session(2, "mbox-2")))
    await serve("edge-2", holding(session(3)))
    count = await running.sessions.Count(pb.CountSessionsRequest())
    assert (count.sessions, dict(count.by_backend)) == (3, {"mbox-1": 2, "mbox-2": 1})
    assert dict(count.by_service) == {"imap": 3}


async def test_without_edges_there_are_no_sessions(running: Running) -> None:
    assert (await running.sessions.Count(pb.CountSessionsRequest())).sessions == 0


async def test_a_list_that_lacks_an_edge_is_no_list(running: Running, serve: Serve) -> None:
    await serve("edge-1", holding(session(1)))
    await serve("edge-2", but_silent_to("list", holding()))
    code, told = await refused(running.sessions.List(pb.ListSessionsRequest(), timeout=1))
    assert (code, "edge-2 did not answer" in told) == (grpc.StatusCode.UNAVAILABLE, True)


async def test_an_edges_own_error_is_passed_on(running: Running, serve: Serve) -> None:
    def answer(query: pb.SessionQuery) -> pb.SessionAnswer | None:
        return holding()(query) if query.HasField("count") else pb.SessionAnswer(error="shutting down")

    await serve("edge-1", answer)
    code, told = await refused(running.sessions.List(pb.ListSessionsRequest()))
    assert (code, told) == (grpc.StatusCode.UNAVAILABLE, "edge-1: shutting down")


async def test_kick_answers_with_all_that_were_ended(running: Running, serve: Serve) -> None:
    await serve("edge-1", holding(session(1), session(2)))
    await serve("edge-2", holding(session(3)))
    kicked = await running.sessions.Kick(pb.KickRequest(filter=pb.SessionFilter(backend="mbox-1")))
    assert kicked.sessions == 3


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (pb.KickRequest(), "set a filter, or all = true"),
        (pb.KickRequest(all=True, filter=pb.SessionFilter(id="x")), "keep one of the two"),
        (pb.KickRequest(all=True, text="bye\r\n* OK"), "printable ASCII"),
        (pb.KickRequest(all=True, text="x" * 129), "at most 128"),
        (pb.KickRequest(all=True, text="selamat jalan é"), "printable ASCII"),
    ],
)
async def test_a_kick_that_may_be_a_mistake_is_refused(running: Running, request_: pb.KickRequest, told: str) -> None:
    code, details = await refused(running.sessions.Kick(request_))
    assert (code, told in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_a_kick_that_takes_too_long_says_how_many_are_left(running: Running, serve: Serve) -> None:
    await serve("edge-1", holding(session(1)))
    await serve("edge-2", but_silent_to("kick", holding(session(2), session(3))))
    code, told = await refused(running.sessions.Kick(pb.KickRequest(all=True), timeout=1))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "1 sessions ended, 3 are left" in told
    assert "edge-2 did not answer" in told


async def test_an_edge_that_leaves_during_a_kick_counts_as_gone(running: Running, serve: Serve) -> None:
    await serve("edge-1", holding(session(1)))
    leaving = await serve("edge-2", but_silent_to("kick", holding(session(2))))
    leaving.was_asked.clear()
    kick = asyncio.ensure_future(running.sessions.Kick(pb.KickRequest(all=True)))
    await leaving.was_asked.wait()
    await leaving.leave()
    assert (await kick).sessions == 1


async def test_an_answer_that_nobody_waits_for_is_dropped(running: Running, serve: Serve) -> None:
    edge = await serve("edge-1", holding(session(1)))
    await edge.say(pb.SessionAnswer(id=999, error="late"))
    assert (await running.sessions.Count(pb.CountSessionsRequest())).sessions == 1


async def test_a_stream_that_does_not_name_its_edge_is_refused(running: Running) -> None:
    stream = running.sessions.Serve()
    await stream.write(pb.SessionAnswer(id=1))
    assert await stream.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_drain_and_remove_tell_how_many_sessions_the_backend_holds(running: Running, serve: Serve) -> None:
    edge = await serve("edge-1", holding(session(1), session(2)))
    drained = await running.pool.Drain(pool_pb2.DrainRequest(name="MBOX-1"))
    assert (drained.sessions, edge.asked[-1].count.filter.backend) == (2, "mbox-1")
    assert (await running.pool.RemoveBackend(pool_pb2.RemoveBackendRequest(name="mbox-1"))).sessions == 2
