"""Keys that all edges share, so that what one sealed another opens: drawn here, kept in the store, told and rotated.

What they are for is a string, the same everywhere: the section of the config, and the update by which edges are told.
Besides the key in force there are the next one, which is known everywhere before the first clock comes to it, and those
before it whose seals still open.
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
    from zcontrol.v1 import config_pb2

log = structlog.get_logger(__name__)


@final
@dataclass(frozen=True, kw_only=True)
class Key:
    """One key; it seals from `not_before`, in seconds since the epoch, until the next one does."""

    name: bytes
    secret: bytes = field(repr=False)
    not_before: float


@final
@dataclass(frozen=True, kw_only=True)
class Pace:
    """For how many seconds a key seals, and for how many more what it sealed last opens."""

    rotation: float
    opens_for: float


def paces(config: config_pb2.Config) -> dict[str, Pace]:
    """All keys there are, by what they are for."""
    tickets, cookies = (
        section.rotation.ToMilliseconds() / 1000 for section in (config.ticket_keys, config.cookie_keys)
    )
    return {
        "ticket_keys": Pace(rotation=tickets, opens_for=tickets),
        "cookie_keys": Pace(rotation=cookies, opens_for=COOKIE_SECONDS),
    }


def rotated(keys: Sequence[Key], *, now: float, pace: Pace) -> list[Key]:
    """The keys in force at a time, from the oldest to the one that is next; new ones where there is need."""
    rotation = pace.rotation
    # One of a later time than the next is from before a change of the rotation, or of the clock.
    known = (
        key for key in keys if now < key.not_before + rotation + pace.opens_for and key.not_before <= now + rotation
    )
    kept = sorted(known, key=lambda key: key.not_before)
    if not kept or kept[0].not_before > now:
        kept.insert(0, _drawn(now))
    while kept[-1].not_before <= now:
        kept.append(_drawn(kept[-1].not_before + rotation))
    opening = (key for key, after in itertools.pairwise(kept) if now < after.not_before + pace.opens_for)
    return [*opening, kept[-1]]


def _drawn(not_before: float) -> Key:
    return Key(name=secrets.token_bytes(NAME_OCTETS), secret=secrets.token_bytes(SECRET_OCTETS), not_before=not_before)


@final
class RotatingKeys:
    """The keys in force for one purpose; make one by `RotatingKeys.open`."""

    def __init__(self, store: PoolStore, purpose: str, keys: list[Key], pace: Pace) -> None:
        self.purpose = purpose
        self._store = store
        self._keys = keys
        self._pace = pace
        self._changed = asyncio.Event()

    @classmethod
    async def open(cls, store: PoolStore, purpose: str, pace: Pace) -> Self:
        """Take up the keys of the store, so that what they sealed outlives a restart of control."""
        opened = cls(store, purpose, await store.keys(purpose), pace)
        await opened._rotate()
        return opened

    @property
    def told(self) -> edge_pb2.RotatingKeys:
        """As edges are told."""
        message = edge_pb2.RotatingKeys()
        message.rotation.FromMilliseconds(round(self._pace.rotation * 1000))
        message.opens_for.FromMilliseconds(round(self._pace.opens_for * 1000))
        for key in self._keys:
            told = message.keys.add(name=key.name, secret=key.secret)
            told.not_before.FromMilliseconds(round(key.not_before * 1000))
        return message

    def use(self, pace: Pace) -> None:
        """Rotate at another pace."""
        self._pace = pace
        self._changed.set()

    async def follow(self, tell: Callable[[str, edge_pb2.RotatingKeys], None]) -> None:
        """Rotate for ever, and tell of it."""
        while True:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_to_next()):
                    await self._changed.wait()
            try:
                await self._rotate()
            except ZproxyError as error:
                # Edges go on with the next key; for tickets then with keys of their own, for cookies with that one.
                log.exception("keys cannot be rotated", purpose=self.purpose, error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            tell(self.purpose, self.told)

    async def _rotate(self) -> None:
        keys = rotated(self._keys, now=time.time(), pace=self._pace)
        if keys != self._keys:
            # Durable before any edge seals by one: after a restart what it sealed still opens.
            await self._store.keep_keys(self.purpose, keys)
            self._keys = keys

    def _seconds_to_next(self) -> float:
        # The clock may be set, and a machine may sleep: it is asked now and then.
        return min(max(self._keys[-1].not_before - time.time(), 0), LONGEST_WAIT_SECONDS)


# As the edge's `rotating_keys.rs` has it.
NAME_OCTETS = 16
SECRET_OCTETS = 32
# As the edge's `route_cookie.rs` has it.
COOKIE_SECONDS = 30 * 24 * 3600.0
RETRY_SECONDS = 60
LONGEST_WAIT_SECONDS = 60
