"""EdgeService: edges hold a stream by which they get the pool, invalidations, who is down and what verifies.

They tell what they see by it.

A slow edge costs no memory: nothing is queued for it, what it has not been sent yet is worked out when it reads again.
"""

# ruff: noqa: N802 - gRPC names its methods

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, final

import grpc
import structlog

from zcontrol.pool.delta import delta
from zcontrol.v1 import edge_pb2, edge_pb2_grpc, pool_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from zcontrol.pool.store import PoolStore
    from zcontrol.pool.votes import Votes

log = structlog.get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


@final
class EdgeService(edge_pb2_grpc.EdgeServiceServicer):
    """Keeps every attached edge at the current pool, and its votes; `epoch` is that of the last invalidation."""

    def __init__(self, store: PoolStore, epoch: Callable[[], int], votes: Votes, verifiers: edge_pb2.Verifiers) -> None:
        self._store = store
        self._epoch = epoch
        self._votes = votes
        self._verifiers = verifiers
        self._keys: dict[str, edge_pb2.RotatingKeys] = {}
        self._edges: dict[str, _Edge] = {}

    async def follow_pool(self) -> None:
        """Tell the edges of every new pool, until the store ends its watches."""
        async for _ in self._store.watch():
            self._wake()

    def invalidate(self, invalidation: edge_pb2.Invalidation) -> None:
        """Tell every attached edge; one that attaches later learns the epoch."""
        for edge in self._edges.values():
            edge.invalidate(invalidation)

    @property
    def verifies(self) -> bool:
        """Whether edges were told that anything proves a client."""
        return self._verifiers.passwords or self._verifiers.tokens

    def use(self, verifiers: edge_pb2.Verifiers) -> None:
        """Tell every edge what verifies from now on, if that is news."""
        self._verifiers = verifiers
        self._wake()

    def tell_keys(self, purpose: str, keys: edge_pb2.RotatingKeys) -> None:
        """Tell every edge of the keys for a purpose from now on, if that is news."""
        self._keys[purpose] = keys
        self._wake()

    # grpc.aio takes a coroutine that writes as well as the iterator that the generated type knows.
    async def Watch(  # type: ignore[override]
        self, request_iterator: AsyncIterator[edge_pb2.EdgeReport], context: Context
    ) -> None:
        """Serve one edge until it leaves or attaches again elsewhere."""
        first = await anext(request_iterator, None)
        if first is None or not 0 < len(first.attach.edge_id) <= LONGEST_ID:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message is an Attach with an edge_id")
            return
        edge = self._attach(first.attach)
        reading = asyncio.create_task(self._read(edge, request_iterator), name=f"reports of {edge.id}")
        writing = asyncio.create_task(self._write(edge, context), name=f"updates to {edge.id}")
        try:
            await asyncio.wait([reading, writing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            writing.cancel()
            self._detach(edge)
            await asyncio.wait([reading, writing])
        if edge.superseded:
            await context.abort(grpc.StatusCode.ABORTED, f"{edge.id} has attached again; an edge_id must be unique")

    def _attach(self, attach: edge_pb2.Attach) -> _Edge:
        if before := self._edges.get(attach.edge_id):
            before.supersede()
        edge = _Edge(attach, self._epoch())
        self._edges[edge.id] = edge
        self._votes.forget(edge.id)
        log.info("an edge has attached", edge=edge.id, holds=attach.pool_version, again=before is not None)
        self._wake()
        return edge

    def _detach(self, edge: _Edge) -> None:
        if self._edges.get(edge.id) is edge:
            del self._edges[edge.id]
            self._votes.forget(edge.id)
            log.info("an edge has left", edge=edge.id)
            self._wake()

    async def _read(self, edge: _Edge, reports: AsyncIterator[edge_pb2.EdgeReport]) -> None:
        async for report in reports:
            match report.WhichOneof("report"):
                case "ack":
                    edge.acked(report.ack.pool_version)
                case "nack":
                    log.warning("an edge refuses the pool", edge=edge.id, **_fields(report.nack))
                    edge.nacked(report.nack.pool_version)
                case "health":
                    self._log_health(edge, report.health)
                    if not edge.superseded:
                        self._votes.report(edge.id, report.health)
                        edge.votes = True
                    self._wake()

    async def _write(self, edge: _Edge, context: Context) -> None:
        while not edge.superseded:
            edge.changed.clear()
            while update := edge.next_update(self._store.current, self._votes, self._verifiers, self._keys):
                await context.write(update)
            await edge.wait()

    def _wake(self) -> None:
        for edge in self._edges.values():
            edge.changed.set()

    def _log_health(self, edge: _Edge, report: edge_pb2.HealthReport) -> None:
        for endpoint in report.endpoints:
            if not endpoint.up:
                log.warning("an edge calls an endpoint down", edge=edge.id, **_fields(endpoint))


class _Edge:
    """What one edge was told, and what it said to it."""

    def __init__(self, attach: edge_pb2.Attach, epoch: int) -> None:
        self.id = attach.edge_id
        self.changed = asyncio.Event()
        self.superseded = False
        # Before its first report an edge may still hold a list from before a restart of control: it stays in force.
        self.votes = False
        self._held = attach.pool_version
        self._epoch = epoch
        self._sent: pool_pb2.Pool | None = None
        self._refused: int | None = None
        self._unanswered: int | None = None
        self._by_change = False
        self._answer_by = 0.0
        self._invalidation: edge_pb2.Invalidation | None = None
        self._members_down: frozenset[str] | None = None
        self._verifiers: edge_pb2.Verifiers | None = None
        self._keys: dict[str, edge_pb2.RotatingKeys] = {}

    def supersede(self) -> None:
        """Another stream speaks for this edge now."""
        self.superseded = True
        self.changed.set()

    def acked(self, version: int) -> None:
        """The edge serves with that pool."""
        if version == self._unanswered:
            self._unanswered = None
            self.changed.set()

    def nacked(self, version: int) -> None:
        """The edge keeps what it had; a change is tried again as a snapshot, a snapshot waits for the next version."""
        if version == self._unanswered:
            self._refused = None if self._by_change else version
            self._sent = self._unanswered = None
            self.changed.set()

    def invalidate(self, invalidation: edge_pb2.Invalidation) -> None:
        """Add to what the edge must be told next."""
        self._invalidation = _merged(self._invalidation, invalidation)
        self.changed.set()

    async def wait(self) -> None:
        """Until something changes, or an answer is overdue."""
        try:
            async with asyncio.timeout_at(self._answer_by if self._unanswered is not None else None):
                await self.changed.wait()
        except TimeoutError:
            log.warning("an edge neither takes nor refuses the pool", edge=self.id, version=self._unanswered)
            self._unanswered = None

    def next_update(
        self,
        pool: pool_pb2.Pool,
        votes: Votes,
        verifiers: edge_pb2.Verifiers,
        keys: Mapping[str, edge_pb2.RotatingKeys],
    ) -> edge_pb2.EdgeUpdate | None:
        """The next thing to tell; it counts as told once it is returned."""
        if verifiers != self._verifiers:
            # First of all: by it the edge judges the login styles in a pool.
            self._verifiers = verifiers
            return edge_pb2.EdgeUpdate(verifiers=verifiers)
        for purpose, told in keys.items():
            if told != self._keys.get(purpose):
                self._keys[purpose] = told
                update = edge_pb2.EdgeUpdate()
                getattr(update, purpose).CopyFrom(told)
                return update
        if self._unanswered is None and pool.version != self._refused and self._version() != pool.version:
            return self._pool_update(pool)
        if self._invalidation is not None:
            invalidation, self._invalidation = self._invalidation, None
            return edge_pb2.EdgeUpdate(invalidation=invalidation)
        if self.votes and (down := votes.members_down(pool)) != self._members_down:
            self._members_down = down
            return edge_pb2.EdgeUpdate(members_down=edge_pb2.MembersDown(backends=sorted(down)))
        return None

    def _version(self) -> int | None:
        return None if self._sent is None else self._sent.version

    def _pool_update(self, pool: pool_pb2.Pool) -> edge_pb2.EdgeUpdate:
        before, self._sent, self._unanswered = self._sent, pool, pool.version
        self._by_change = before is not None
        self._answer_by = asyncio.get_running_loop().time() + ANSWER_SECONDS
        if before is not None:
            return edge_pb2.EdgeUpdate(change=delta(before, pool))
        # The store that gave the edge its pool has grown past it: if it is empty now somebody emptied it. A store that
        # was lost begins at 0 again, and the edge is right to keep what it has.
        force = not pool.backends and 0 < self._held <= pool.version
        return edge_pb2.EdgeUpdate(snapshot=edge_pb2.Snapshot(pool=pool, force=force, epoch=self._epoch))


def _merged(one: edge_pb2.Invalidation | None, other: edge_pb2.Invalidation) -> edge_pb2.Invalidation:
    """Both in one, at the later epoch; too many names, or none in either, are all."""
    if one is None:
        return other
    merged = edge_pb2.Invalidation(epoch=max(one.epoch, other.epoch))
    lists = ("accounts", "account_ids", "domains", "homes")
    if all(sum(len(getattr(each, name)) for name in lists) for each in (one, other)):
        merged.MergeFrom(one)
        merged.MergeFrom(other)
        merged.epoch = max(one.epoch, other.epoch)
    if sum(len(getattr(merged, name)) for name in lists) > NAMES_AN_INVALIDATION:
        return edge_pb2.Invalidation(epoch=merged.epoch)
    return merged


def _fields(message: Any) -> dict[str, Any]:  # noqa: ANN401 - any message of ours
    return {field.name: value for field, value in message.ListFields()}


LONGEST_ID = 256
# An edge that says nothing to a pool for so long is sent the next one all the same.
ANSWER_SECONDS = 10.0
# More names cost an edge more than dropping everything does.
NAMES_AN_INVALIDATION = 10_000
