"""PoolService: the pool as the API changes it, each change durable before it is acknowledged."""

# ruff: noqa: N802 - gRPC names its methods

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, final

import grpc
import structlog

from zcontrol.access.caller import leave, speaker
from zcontrol.pool import model
from zcontrol.pool.differences import described, differences
from zcontrol.pool.rules import check_pool
from zcontrol.pool.store import Entry, Note, PoolStore
from zcontrol.services.refusals import refusals
from zcontrol.v1 import pool_pb2, pool_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from zcontrol.pool.votes import Votes

log = structlog.get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


@final
@dataclasses.dataclass(frozen=True)
class Change:
    """What somebody wants of the pool."""

    # As history has it.
    action: str
    make: Callable[[pool_pb2.Pool], pool_pb2.Pool]
    # Whether the action alone leaves open what was changed.
    detailed: bool = False


@final
class PoolService(pool_pb2_grpc.PoolServiceServicer):
    """Serves one store; `count_sessions` tells how many live sessions a backend holds over all edges.

    `verifies` tells whether control can prove a client now, for login styles that need it.
    """

    def __init__(
        self,
        store: PoolStore,
        votes: Votes,
        count_sessions: Callable[[str], Awaitable[int]],
        verifies: Callable[[], bool],
    ) -> None:
        self._store = store
        self._votes = votes
        self._count_sessions = count_sessions
        self._verifies = verifies

    async def Get(self, request: pool_pb2.GetPoolRequest, context: Context) -> pool_pb2.Pool:
        """The current pool, or an older version's."""
        if not request.version:
            return self._store.current
        async with refusals(context):
            return await self._store.at(request.version)

    async def Watch(self, request: pool_pb2.GetPoolRequest, context: Context) -> AsyncIterator[pool_pb2.Pool]:
        """The current pool and every later one."""
        del request, context
        async with contextlib.aclosing(self._store.watch()) as pools:
            async for pool in pools:
                yield pool

    async def ListBackends(
        self, request: pool_pb2.ListBackendsRequest, context: Context
    ) -> pool_pb2.ListBackendsResponse:
        """The backends of a group or state, and what edges say of them."""
        pool = self._store.current
        async with refusals(context):
            if request.group and request.group.lower() not in {group.name.lower() for group in pool.groups}:
                raise model.PoolNotFoundError(f"no group {request.group!r}; leave it out to see all")
        matching = [
            backend
            for backend in pool.backends
            if request.group.lower() in ("", backend.group.lower())
            and request.state in (pool_pb2.BACKEND_STATE_UNSPECIFIED, backend.state or pool_pb2.BACKEND_STATE_ACTIVE)
        ]
        names = {backend.name for backend in matching}
        down = [endpoint for endpoint in self._votes.endpoints_down(pool) if endpoint.backend in names]
        return pool_pb2.ListBackendsResponse(
            version=pool.version, backends=matching, down=down, edges=self._votes.edges
        )

    async def AddBackend(self, request: pool_pb2.AddBackendRequest, context: Context) -> pool_pb2.PoolChange:
        """Add a backend."""

        def make(pool: pool_pb2.Pool) -> pool_pb2.Pool:
            return model.add_backend(pool, request.backend, verifies=self._verifies())

        change = Change(f"add {request.backend.name}", make)
        return await self._change(context, request.header, change)

    async def UpdateBackend(self, request: pool_pb2.UpdateBackendRequest, context: Context) -> pool_pb2.PoolChange:
        """Replace a backend."""

        def make(pool: pool_pb2.Pool) -> pool_pb2.Pool:
            return model.update_backend(pool, request.backend, verifies=self._verifies())

        change = Change(f"update {self._spelled(request.backend.name)}", make, detailed=True)
        return await self._change(context, request.header, change)

    async def Drain(self, request: pool_pb2.DrainRequest, context: Context) -> pool_pb2.PoolChange:
        """Send a backend no one new, and tell how many sessions it still has."""
        name = self._spelled(request.name)
        change = Change(f"drain {name}", lambda pool: model.drain(pool, name))
        made = await self._change(context, request.header, change)
        made.sessions = await self._count_sessions(name)
        return made

    async def Undrain(self, request: pool_pb2.UndrainRequest, context: Context) -> pool_pb2.PoolChange:
        """Make a backend active again."""
        name = self._spelled(request.name)
        change = Change(f"undrain {name}", lambda pool: model.undrain(pool, name), detailed=True)
        return await self._change(context, request.header, change)

    async def RemoveBackend(self, request: pool_pb2.RemoveBackendRequest, context: Context) -> pool_pb2.PoolChange:
        """Remove a backend, and tell how many sessions still go on there."""
        name = self._spelled(request.name)
        change = Change(f"remove {name}", lambda pool: model.remove_backend(pool, name))
        made = await self._change(context, request.header, change)
        made.sessions = await self._count_sessions(name)
        return made

    async def SetWeight(self, request: pool_pb2.SetWeightRequest, context: Context) -> pool_pb2.PoolChange:
        """Change a backend's share of its group."""
        name = self._spelled(request.name)
        change = Change(f"update {name}", lambda pool: model.set_weight(pool, name, request.weight), detailed=True)
        return await self._change(context, request.header, change)

    async def AddGroup(self, request: pool_pb2.AddGroupRequest, context: Context) -> pool_pb2.PoolChange:
        """Add a group without members."""
        change = Change(f"add group {request.group.name}", lambda pool: model.add_group(pool, request.group))
        return await self._change(context, request.header, change)

    async def RemoveGroup(self, request: pool_pb2.RemoveGroupRequest, context: Context) -> pool_pb2.PoolChange:
        """Remove a group without members."""
        change = Change(f"remove group {request.name}", lambda pool: model.remove_group(pool, request.name))
        return await self._change(context, request.header, change)

    async def SetDefaults(self, request: pool_pb2.SetDefaultsRequest, context: Context) -> pool_pb2.PoolChange:
        """Say where users without a home go."""
        change = Change("set defaults", lambda pool: model.set_defaults(pool, request.defaults), detailed=True)
        return await self._change(context, request.header, change)

    async def History(self, request: pool_pb2.HistoryRequest, context: Context) -> pool_pb2.HistoryResponse:
        """The newest changes, newest first."""
        limit = min(request.limit or HISTORY, LONGEST_HISTORY)
        async with refusals(context):
            entries = await self._store.history(limit)
        return pool_pb2.HistoryResponse(changes=map(_told, entries))

    async def Rollback(self, request: pool_pb2.RollbackRequest, context: Context) -> pool_pb2.PoolChange:
        """Bring an older version's pool back as a new version."""
        async with refusals(context):
            older = await self._store.at(request.version)
            faults = [str(fault) for fault in check_pool(older, verifies=self._verifies())]
            if faults:
                raise model.PoolInvalidError(f"version {request.version} breaks today's rules: {'; '.join(faults)}")
        change = Change(f"roll back to version {request.version}", lambda _: older, detailed=True)
        return await self._change(context, request.header, change)

    def _spelled(self, name: str) -> str:
        """The name as edges know it; one that is unknown is refused by the change itself."""
        names = {backend.name.lower(): backend.name for backend in self._store.current.backends}
        return names.get(name.lower(), name)

    async def _change(self, context: Context, header: pool_pb2.ChangeHeader, change: Change) -> pool_pb2.PoolChange:
        async with refusals(context):
            note = Note(author=speaker(header.author), action=change.action, reason=header.reason)
            for name, text in (("author", header.author), ("reason", header.reason)):
                # History is read in terminals.
                if len(text.encode()) > LONGEST_NOTE or not text.isprintable():
                    raise model.PoolInvalidError(f"header.{name}: at most {LONGEST_NOTE} octets, all printable")
            entry = await self._commit(header.expected_version, note, change)
        if entry is None:
            return pool_pb2.PoolChange(version=self._store.current.version, action=change.action, unchanged=True)
        note = entry.note
        log.info(
            "the pool has changed", version=entry.version, author=note.author, action=note.action, reason=note.reason
        )
        return _told(entry)

    async def _commit(self, expected: int, note: Note, change: Change) -> Entry | None:
        """The version that the change made; none: the pool was so already."""
        while True:
            pool = self._store.current
            if expected and expected != pool.version:
                raise model.PoolConflictError(
                    f"the pool is at version {pool.version}, not {expected}; read it again and repeat"
                )
            after = change.make(pool)
            found = differences(pool, after)
            if not found:
                return None
            if change.detailed:
                note = dataclasses.replace(note, action=described(change.action, found))
            try:
                entry = await self._store.commit(after, base=pool.version, note=note)
            except model.PoolConflictError:
                # Another change was first. Who expects no version wants this one on top of it.
                if expected or self._store.current.version == pool.version:
                    raise
            else:
                changes = "; ".join(f"{name}: {', '.join(each)}" for name, each in found.items())
                leave(changes, version_before=pool.version, version_after=entry.version)
                return entry


def _told(entry: Entry) -> pool_pb2.PoolChange:
    change = pool_pb2.PoolChange(
        version=entry.version, author=entry.note.author, action=entry.note.action, reason=entry.note.reason
    )
    change.time.FromDatetime(entry.time)
    return change


HISTORY = 50
# Keeps the answer well under the message cap.
LONGEST_HISTORY = 1000
LONGEST_NOTE = 256
