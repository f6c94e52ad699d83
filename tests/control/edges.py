"""Edges that speak the streams and serve nobody."""

# ruff: noqa: ANN401 - the types that mypy-protobuf makes for grpc.aio stubs exist for type checkers only

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import grpc.aio

from zcontrol.v1 import edge_pb2, session_pb2

DEADLINE = 5.0
# What an edge is told besides the pool and what concerns it.
NOT_OF_THE_POOL = ("verifiers", "ticket_keys", "cookie_keys")


class FakeEdge:
    """One edge's Watch stream, an update at a time."""

    def __init__(self, stub: Any, edge_id: str) -> None:
        self.id = edge_id
        self._stream = stub.Watch()
        # What control said last that it verifies; none: nothing yet.
        self.verifiers: edge_pb2.Verifiers | None = None

    async def attach(self, holds: int = 0) -> None:
        await self.report(attach=edge_pb2.Attach(edge_id=self.id, pool_version=holds))

    async def report(self, **report: Any) -> None:
        await self._stream.write(edge_pb2.EdgeReport(**report))

    async def update(self) -> edge_pb2.EdgeUpdate:
        """The next update but for what control verifies and keys, unanswered."""
        while (update := await self._read()).WhichOneof("update") in NOT_OF_THE_POOL:
            if update.HasField("verifiers"):
                self.verifiers = update.verifiers
        return update

    async def told_keys(self, purpose: str) -> edge_pb2.RotatingKeys:
        """The keys for a purpose, which come before news of the pool."""
        while (kind := (update := await self._read()).WhichOneof("update")) != purpose:
            assert kind in NOT_OF_THE_POOL, update
        return cast("edge_pb2.RotatingKeys", getattr(update, purpose))

    async def told_verifiers(self) -> edge_pb2.Verifiers:
        """What the next update says that control verifies."""
        update = await self._read()
        assert update.HasField("verifiers"), update
        return update.verifiers

    async def _read(self) -> edge_pb2.EdgeUpdate:
        async with asyncio.timeout(DEADLINE):
            update: Any = await self._stream.read()
        assert update is not grpc.aio.EOF, await self._stream.details()
        return cast("edge_pb2.EdgeUpdate", update)

    async def taken(self) -> edge_pb2.EdgeUpdate:
        """The next update; a pool is acknowledged."""
        update = await self.update()
        kind = update.WhichOneof("update")
        if kind == "snapshot":
            await self.ack(update.snapshot.pool.version)
        elif kind == "change":
            await self.ack(update.change.version)
        return update

    async def ack(self, version: int) -> None:
        await self.report(ack=edge_pb2.Ack(pool_version=version))

    async def nack(self, version: int, reason: str = "no") -> None:
        await self.report(nack=edge_pb2.Nack(pool_version=version, reason=reason))

    async def health(self, **down: bool) -> None:
        """Tell of the IMAP endpoint of each backend whether it is up; `web_1` is `web-1`."""
        endpoints = [
            edge_pb2.EndpointHealth(
                backend=name.replace("_", "-"), service="imap", up=up, reason="" if up else "refused"
            )
            for name, up in down.items()
        ]
        await self.report(health=edge_pb2.HealthReport(endpoints=endpoints))

    async def ending(self) -> tuple[grpc.StatusCode, str]:
        """How control ended the stream."""
        async with asyncio.timeout(DEADLINE):
            return await self._stream.code(), await self._stream.details()

    def leave(self) -> None:
        self._stream.cancel()


Answer = Callable[[session_pb2.SessionQuery], session_pb2.SessionAnswer | None]


class FakeSessions:
    """One edge's Serve stream, answering by a function; None is no answer at all."""

    def __init__(self, stub: Any, edge_id: str, answer: Answer) -> None:
        self.asked: list[session_pb2.SessionQuery] = []
        self._edge_id = edge_id
        self._answer = answer
        self._stream = stub.Serve()
        self._serving: asyncio.Task[None] | None = None
        self.was_asked = asyncio.Event()

    async def attach(self) -> None:
        await self._stream.write(session_pb2.SessionAnswer(edge_id=self._edge_id))
        self._serving = asyncio.create_task(self._serve())

    async def say(self, answer: session_pb2.SessionAnswer) -> None:
        """Send an answer that nobody asked for."""
        await self._stream.write(answer)

    async def _serve(self) -> None:
        async for query in self._stream:
            self.asked.append(query)
            answer = self._answer(query)
            self.was_asked.set()
            if answer is not None:
                answer.id = query.id
                await self._stream.write(answer)

    async def leave(self) -> None:
        self._stream.cancel()
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])
