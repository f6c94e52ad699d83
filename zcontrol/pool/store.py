"""Where the pool is kept, whatever keeps it: one current pool, versions, history, and a watch within this process.

The keys that edges share are beside it.

A store writes a version only on top of the one it was computed from, and only a durable version becomes current.
"""

from __future__ import annotations

import abc
import asyncio
import dataclasses
from typing import TYPE_CHECKING

from zcontrol.v1 import pool_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import datetime

    from zcontrol.rotating_keys import Key


@dataclasses.dataclass(frozen=True, kw_only=True)
class Note:
    """What history keeps of a change besides the pool it made."""

    author: str
    action: str
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One version in history."""

    version: int
    time: datetime
    note: Note


class PoolStore(abc.ABC):
    """The one truth about the pool. Who takes a pool from it never changes it."""

    def __init__(self) -> None:
        self._current = pool_pb2.Pool()
        self._watchers: set[asyncio.Event] = set()
        self._closed = False

    @property
    def current(self) -> pool_pb2.Pool:
        """The newest durable pool."""
        return self._current

    @abc.abstractmethod
    async def commit(self, pool: pool_pb2.Pool, *, base: int, note: Note) -> Entry:
        """Write the version after `base`; PoolConflictError if another was first, StoreUnavailableError if it fails."""

    @abc.abstractmethod
    async def history(self, limit: int) -> list[Entry]:
        """The newest changes, newest first."""

    @abc.abstractmethod
    async def at(self, version: int) -> pool_pb2.Pool:
        """The pool as an older version had it; PoolNotFoundError if there is no such version."""

    @abc.abstractmethod
    async def keys(self, purpose: str) -> list[Key]:
        """The keys for a purpose; none: they were never kept."""

    @abc.abstractmethod
    async def keep_keys(self, purpose: str, keys: Sequence[Key]) -> None:
        """Keep these keys, durably, instead of those before; StoreUnavailableError if it cannot."""

    def end_watches(self) -> None:
        """Whoever watches has seen the last pool."""
        self._closed = True
        self._wake()

    @abc.abstractmethod
    async def close(self) -> None:
        """End every watch; nothing is written afterwards."""

    async def watch(self) -> AsyncGenerator[pool_pb2.Pool]:
        """The current pool, then every newer one; a slow reader skips versions. Ends by `end_watches`."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        seen = -1
        try:
            while not self._closed:
                changed.clear()
                if self._current.version != seen:
                    seen = self._current.version
                    yield self._current
                else:
                    await changed.wait()
        finally:
            self._watchers.discard(changed)

    def _publish(self, pool: pool_pb2.Pool) -> None:
        self._current = pool
        self._wake()

    def _wake(self) -> None:
        for changed in self._watchers:
            changed.set()
