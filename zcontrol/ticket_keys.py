"""What seals clients' session tickets at all edges: keys drawn here, kept in the store, told to edges and rotated.

Previous, current and next key are in force: a ticket of the previous one still opens, and the next one is known
everywhere before the first clock comes to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

import structlog

from zcontrol.errors import ZproxyError
from zcontrol.v1 import edge_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from zcontrol.pool.store import PoolStore

log = structlog.get_logger(__name__)


@final
@dataclass(frozen=True, kw_only=True)
class TicketKey:
    """One key; it seals from `not_before`, in seconds since the epoch, until the next one does."""

    name: bytes
    secret: bytes = field(repr=False)
    not_before: float


def rotated(keys: Sequence[TicketKey], *, now: float, rotation: float) -> list[TicketKey]:
    """The keys in force at a time, from the oldest to the one that is next; new ones where there is need."""
    # One of a later time than the next is from before a change of the rotation, or of the clock.
    known = (key for key in keys if now < key.not_before + 2 * rotation and key.not_before <= now + rotation)
    kept = sorted(known, key=lambda key: key.not_before)
    if not kept or kept[0].not_before > now:
        kept.insert(0, _drawn(now))
    while kept[-1].not_before <= now:
        kept.append(_drawn(kept[-1].not_before + rotation))
    return [key for key, after in itertools.pairwise(kept) if now < after.not_before + rotation] + kept[-1:]


def _drawn(not_before: float) -> TicketKey:
    return TicketKey(
        name=secrets.token_bytes(NAME_OCTETS), secret=secrets.token_bytes(SECRET_OCTETS), not_before=not_before
    )


@final
class TicketKeys:
    """The keys in force; make one by `TicketKeys.open`."""

    def __init__(self, store: PoolStore, keys: list[TicketKey], rotation: float) -> None:
        self._store = store
        self._keys = keys
        self._rotation = rotation
        self._changed = asyncio.Event()

    @classmethod
    async def open(cls, store: PoolStore, rotation: float) -> Self:
        """Take up the keys of the store, so that tickets outlive a restart of control."""
        opened = cls(store, await store.ticket_keys(), rotation)
        await opened._rotate()
        return opened

    @property
    def told(self) -> edge_pb2.TicketKeys:
        """As edges are told."""
        message = edge_pb2.TicketKeys()
        message.rotation.FromMilliseconds(round(self._rotation * 1000))
        for key in self._keys:
            told = message.keys.add(name=key.name, secret=key.secret)
            told.not_before.FromMilliseconds(round(key.not_before * 1000))
        return message

    def use(self, rotation: float) -> None:
        """Rotate at another pace."""
        self._rotation = rotation
        self._changed.set()

    async def follow(self, tell: Callable[[edge_pb2.TicketKeys], None]) -> None:
        """Rotate for ever, and tell of it."""
        while True:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_to_next()):
                    await self._changed.wait()
            try:
                await self._rotate()
            except ZproxyError as error:
                # Edges go on with the next key, and then with keys of their own.
                log.exception("ticket keys cannot be rotated", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            tell(self.told)

    async def _rotate(self) -> None:
        keys = rotated(self._keys, now=time.time(), rotation=self._rotation)
        if keys != self._keys:
            # Durable before any edge seals by one: after a restart its tickets still open.
            await self._store.keep_ticket_keys(keys)
            self._keys = keys

    def _seconds_to_next(self) -> float:
        # The clock may be set, and a machine may sleep: it is asked now and then.
        return min(max(self._keys[-1].not_before - time.time(), 0), LONGEST_WAIT_SECONDS)


# As the edge's `tls/tickets.rs` has it.
NAME_OCTETS = 16
SECRET_OCTETS = 32
RETRY_SECONDS = 60
LONGEST_WAIT_SECONDS = 60
