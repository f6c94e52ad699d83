"""SessionService: who is connected, over all edges, and ending them.

Edges keep the sessions; control asks every edge on the stream that the edge opened, and merges what they say.
"""

# ruff: noqa: N802 - gRPC names its methods

from __future__ import annotations

import asyncio
import collections
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple, final

import grpc
import structlog

from zcontrol.access.caller import leave
from zcontrol.v1 import session_pb2, session_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = structlog.get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


class Answers(NamedTuple):
    """What the edges said: those that left meanwhile said nothing, and hold nothing that control can reach."""

    answers: list[session_pb2.SessionAnswer]
    # Why an edge's answer is missing, e.g. `edge-2 did not answer within 5 s`.
    missing: list[str]


@final
class SessionService(session_pb2_grpc.SessionServiceServicer):
    """Asks all attached edges at once."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}

    async def List(
        self, request: session_pb2.ListSessionsRequest, context: Context
    ) -> session_pb2.ListSessionsResponse:
        """Every matching session, oldest first, as many as the limit allows."""
        limit = min(request.limit or LISTED, LONGEST_LIST)
        asked = session_pb2.ListSessionsRequest(filter=request.filter, limit=limit)
        lists = [answer.list for answer in await self._ask_all(context, session_pb2.SessionQuery(list=asked))]
        sessions = sorted(
            itertools.chain.from_iterable(found.sessions for found in lists),
            key=lambda session: (session.started.ToNanoseconds(), session.id),
        )
        truncated = len(sessions) > limit or any(found.truncated for found in lists)
        return session_pb2.ListSessionsResponse(sessions=sessions[:limit], truncated=truncated)

    async def Count(
        self, request: session_pb2.CountSessionsRequest, context: Context
    ) -> session_pb2.CountSessionsResponse:
        """How many match, by backend and by service."""
        counts = [answer.count for answer in await self._ask_all(context, session_pb2.SessionQuery(count=request))]
        return session_pb2.CountSessionsResponse(
            sessions=sum(count.sessions for count in counts),
            by_backend=_sum(count.by_backend for count in counts),
            by_service=_sum(count.by_service for count in counts),
        )

    async def Kick(self, request: session_pb2.KickRequest, context: Context) -> session_pb2.KickResponse:
        """End matching sessions; answers when they are gone on every edge."""
        if problem := _kick_problem(request):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        remaining = context.time_remaining()
        patience = KICK_SECONDS + request.patience_ms / 1000 if remaining is None else remaining
        # What is left after this is for counting those who stayed, while the caller still listens.
        within = patience * (1 - RESERVED)
        said = await self._ask(session_pb2.SessionQuery(kick=request), within)
        ended = sum(answer.kick.sessions for answer in said.answers)
        leave(f"{ended} sessions ended")
        log.info("sessions were kicked", ended=ended, missing=said.missing, **_named(request.filter))
        if said.missing:
            left = await self.count(request.filter, patience * RESERVED / 2)
            told = f"{ended} sessions ended, {left} are left after {within:.1f} s: {'; '.join(said.missing)}"
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, told)
        return session_pb2.KickResponse(sessions=ended)

    # grpc.aio takes a coroutine that writes as well as the iterator that the generated type knows.
    async def Serve(  # type: ignore[override]
        self, request_iterator: AsyncIterator[session_pb2.SessionAnswer], context: Context
    ) -> None:
        """An edge's side: its first message names it, then it answers queries until it leaves."""
        first = await anext(request_iterator, None)
        if first is None or not first.edge_id or first.id:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message names the edge, with id 0")
            return
        edge = _Edge()
        if before := self._edges.get(first.edge_id):
            before.leave()
        self._edges[first.edge_id] = edge
        writing = asyncio.create_task(edge.write(context), name=f"queries to {first.edge_id}")
        try:
            async for answer in request_iterator:
                edge.answered(answer)
        finally:
            writing.cancel()
            edge.leave()
            if self._edges.get(first.edge_id) is edge:
                del self._edges[first.edge_id]

    async def count(self, matching: session_pb2.SessionFilter, within: float) -> int:
        """How many sessions match on the edges that answer in time."""
        asked = session_pb2.CountSessionsRequest(filter=matching)
        said = await self._ask(session_pb2.SessionQuery(count=asked), within)
        return sum(answer.count.sessions for answer in said.answers)

    async def count_of(self, backend: str) -> int:
        """How many sessions a backend holds, for whoever has just changed it."""
        return await self.count(session_pb2.SessionFilter(backend=backend), COUNT_SECONDS)

    async def _ask_all(self, context: Context, query: session_pb2.SessionQuery) -> list[session_pb2.SessionAnswer]:
        remaining = context.time_remaining()
        within = ANSWER_SECONDS if remaining is None else min(ANSWER_SECONDS, remaining * (1 - RESERVED))
        said = await self._ask(query, within)
        if said.missing:
            # A list that silently lacks an edge would be believed.
            await context.abort(grpc.StatusCode.UNAVAILABLE, "; ".join(said.missing))
        return said.answers

    async def _ask(self, query: session_pb2.SessionQuery, within: float) -> Answers:
        asked = {edge_id: edge.ask(query) for edge_id, edge in self._edges.items()}
        if asked:
            await asyncio.wait(asked.values(), timeout=within)
        said = Answers([], [])
        for edge_id, future in asked.items():
            answer = future.result() if future.done() else None
            if not future.done():
                future.cancel()
                said.missing.append(f"{edge_id} did not answer within {within:.1f} s")
            elif answer is not None and answer.WhichOneof("answer") == "error":
                said.missing.append(f"{edge_id}: {answer.error}")
            elif answer is not None:
                said.answers.append(answer)
        return said


class _Edge:
    """One edge's stream: queries out, answers in, matched by id."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._unsent: asyncio.Queue[session_pb2.SessionQuery] = asyncio.Queue()
        self._asked: dict[int, asyncio.Future[session_pb2.SessionAnswer | None]] = {}

    def ask(self, query: session_pb2.SessionQuery) -> asyncio.Future[session_pb2.SessionAnswer | None]:
        """The edge's answer, or None if it leaves before."""
        numbered = session_pb2.SessionQuery(id=next(self._ids))
        numbered.MergeFrom(query)
        future: asyncio.Future[session_pb2.SessionAnswer | None] = asyncio.get_running_loop().create_future()
        self._asked[numbered.id] = future
        future.add_done_callback(lambda _: self._asked.pop(numbered.id, None))
        self._unsent.put_nowait(numbered)
        return future

    def answered(self, answer: session_pb2.SessionAnswer) -> None:
        """Take an answer; one that nobody waits for any more is dropped."""
        future = self._asked.get(answer.id)
        if future is not None and not future.done():
            future.set_result(answer)

    def leave(self) -> None:
        """Tell everybody who waits that nothing will come."""
        for future in list(self._asked.values()):
            if not future.done():
                future.set_result(None)

    async def write(self, context: Context) -> None:
        """Send queries as they come."""
        while True:
            query = await self._unsent.get()
            # Who asked may have given up while a slow edge did not read.
            if query.id in self._asked:
                await context.write(query)


def _kick_problem(request: session_pb2.KickRequest) -> str:
    if not request.all and not request.filter.ByteSize():
        return "filter: nothing set would kick everybody; set a filter, or all = true if you mean it"
    if request.all and request.filter.ByteSize():
        return "all: means everybody, but a filter is set; keep one of the two"
    if len(request.text) > LONGEST_TEXT or not (request.text.isascii() and request.text.isprintable()):
        return f"text: must be at most {LONGEST_TEXT} printable ASCII characters"
    return ""


def _sum(counts: Any) -> dict[str, int]:  # noqa: ANN401 - protobuf's map type has no name of its own
    total: collections.Counter[str] = collections.Counter()
    for count in counts:
        total.update(dict(count))
    return dict(total)


def _named(matching: session_pb2.SessionFilter) -> dict[str, str]:
    return {field.name: value for field, value in matching.ListFields()}


LISTED = 1000
# About 2 MB of answer, half of gRPC's usual message cap.
LONGEST_LIST = 10_000
LONGEST_TEXT = 128
# An edge answers from memory.
ANSWER_SECONDS = 5.0
# A change of the pool is not kept waiting for long: it is durable already, and a slow edge only counts as none.
COUNT_SECONDS = 2.0
# For sessions to end where the caller sets no deadline.
KICK_SECONDS = 30.0
# The part of a caller's deadline kept for telling him about it.
RESERVED = 0.2
