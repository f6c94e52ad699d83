"""One memcached server: one connection in one thread, a deadline a round trip, a breaker.

Whatever is asked during a round trip makes the next one. After a timeout the connection is closed, so that a late
answer reaches nobody. Nothing here raises: what fails is a miss.
"""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final, final

import structlog
from pymemcache.client.base import Client  # type: ignore[import-untyped]

from zcontrol import metrics
from zcontrol.breaker import Breaker

log = structlog.get_logger(__name__)

Values = dict[bytes, bytes]

# Keys a round trip: what two full batches of an edge ask for.
KEYS_A_ROUND: Final = 512
# Values waiting to be stored; a server that cannot keep up loses the rest.
WAITING_STORES: Final = 4096


@dataclass(slots=True, eq=False)
class _Round:
    """The work of one round trip, and who waits for it."""

    stores: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    deletes: list[bytes] = field(default_factory=list)
    gets: list[bytes] = field(default_factory=list)
    waiting: list[asyncio.Future[Values]] = field(default_factory=list)
    settled: bool = False


@final
class MemcachedServer:
    """A server, used by one event loop."""

    def __init__(self, address: str, timeout_seconds: float) -> None:
        self.address: Final = address
        self._timeout = timeout_seconds
        self._client = Client(
            _host_port(address), connect_timeout=timeout_seconds, timeout=timeout_seconds, no_delay=True
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"memcached {address}")
        self._breaker = Breaker()
        self._next = _Round()
        self._running: asyncio.Future[Values] | None = None

    def get_many(self, keys: Sequence[bytes]) -> asyncio.Future[Values]:
        """The values it has of these, and maybe more; none after a timeout or while it is being left alone."""
        future: asyncio.Future[Values] = asyncio.get_running_loop().create_future()
        self._next.gets.extend(keys)
        self._next.waiting.append(future)
        self._advance()
        return future

    def set_many(self, values: dict[bytes, tuple[bytes, int]]) -> None:
        """Store values, each with its seconds to live, some time soon."""
        room = WAITING_STORES - len(self._next.stores)
        self._next.stores.update(islice(values.items(), room))
        self._advance()

    def delete_many(self, keys: Sequence[bytes]) -> asyncio.Future[Values]:
        """Delete keys; done when it is done or has failed."""
        future: asyncio.Future[Values] = asyncio.get_running_loop().create_future()
        self._next.deletes.extend(keys)
        self._next.waiting.append(future)
        self._advance()
        return future

    async def close(self) -> None:
        """Let a round trip end, then close the connection and end the thread."""
        if self._running:
            await asyncio.wait([self._running])
        await asyncio.get_running_loop().run_in_executor(self._thread, self._client.close)
        self._thread.shutdown()

    def _advance(self) -> None:
        """Begin the next round trip, unless one is under way or the server is being left alone."""
        if not (self._next.waiting or self._next.stores) or (self._running and self._breaker.closed):
            return
        work, self._next = self._next, _Round()
        if self._running or not self._breaker.allows():
            self._settle(work, {})
            return
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(self._timeout, self._overdue, work)
        self._running = loop.run_in_executor(self._thread, self._round_trip, work)
        self._running.add_done_callback(partial(self._ended, work, deadline))

    def _ended(self, work: _Round, deadline: asyncio.TimerHandle, running: asyncio.Future[Values]) -> None:
        deadline.cancel()
        self._running = None
        if error := running.exception():
            if not work.settled:
                self._fail(work, repr(error))
        elif not work.settled:
            self._breaker.succeeded()
            self._settle(work, running.result())
        self._advance()

    def _overdue(self, work: _Round) -> None:
        """The deadline of the whole round trip: a socket's timeout starts again with each octet that drips in."""
        self._fail(work, f"no answer within {self._timeout} s")
        waiting, self._next = self._next, _Round()
        self._settle(waiting, {})
        connection = self._client.sock
        if isinstance(connection, socket.socket):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _fail(self, work: _Round, reason: str) -> None:
        if self._breaker.closed:
            log.warning("memcached server fails, its share goes to the directory", server=self.address, reason=reason)
        metrics.MEMCACHED_FAILURES.labels(self.address).inc()
        self._breaker.failed()
        self._settle(work, {})

    @staticmethod
    def _settle(work: _Round, values: Values) -> None:
        work.settled = True
        for future in work.waiting:
            if not future.done():
                future.set_result(values)

    def _round_trip(self, work: _Round) -> Values:
        """In the thread. pymemcache closes its connection when anything goes wrong."""
        by_ttl: dict[int, Values] = {}
        for key, (value, ttl) in work.stores.items():
            by_ttl.setdefault(ttl, {})[key] = value
        for ttl, values in by_ttl.items():
            self._client.set_many(values, expire=ttl, noreply=False)
        if work.deletes:
            self._client.delete_many(work.deletes, noreply=False)
        values = {}
        for start in range(0, len(work.gets), KEYS_A_ROUND):
            values |= self._client.get_many(work.gets[start : start + KEYS_A_ROUND])
        return values


def _host_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
