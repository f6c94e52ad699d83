"""The addresses of the pool's hosts: DNS names are resolved off the way of who asks, the last good answer is kept."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, final

import structlog

from zcontrol.address import IPAddress

log = structlog.get_logger(__name__)

Resolve = Callable[[str], Awaitable[tuple[IPAddress, ...]]]


class _Known(NamedTuple):
    addresses: tuple[IPAddress, ...]
    # Of the monotonic clock; ask again after it.
    until: float
    # Told already.
    failed: bool = False


@final
class Addresses:
    """Resolves hosts; for use by one event loop."""

    def __init__(self, resolve: Resolve | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dns")
        self._resolve = resolve or self._by_system
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def of(self, host: str) -> tuple[IPAddress, ...]:
        """The addresses of a host, in the resolver's order; empty: nobody knows one."""
        try:
            return (ipaddress.ip_address(host),)
        except ValueError:
            pass
        known = self._known.get(host)
        if known is None or known.until <= self._monotonic():
            asking = self._asking.get(host) or self._ask(host)
            if not known or not known.addresses:
                # Nothing to go on with. Others wait for the same task, so it is not cancelled with us.
                await asyncio.wait([asking], timeout=PATIENCE_SECONDS)
        known = self._known.get(host)
        return known.addresses if known else ()

    async def close(self) -> None:
        """Resolve nothing more."""
        for task in self._asking.values():
            task.cancel()
        if self._asking:
            await asyncio.wait(self._asking.values())
        # A resolver that hangs is not waited for.
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, host: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._refresh(host), name=f"resolve {host}")
        self._asking[host] = task
        task.add_done_callback(lambda _: self._asking.pop(host, None))
        return task

    async def _refresh(self, host: str) -> None:
        before = self._known.get(host)
        try:
            addresses = await self._resolve(host)
        except OSError as error:
            kept = before.addresses if before else ()
            if not before or not before.failed:
                log.warning("a backend's host cannot be resolved", host=host, reason=str(error), kept=[*map(str, kept)])
            self._known[host] = _Known(kept, self._monotonic() + RETRY_SECONDS, failed=True)
        else:
            self._known[host] = _Known(addresses, self._monotonic() + FRESH_SECONDS)

    async def _by_system(self, host: str) -> tuple[IPAddress, ...]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _getaddrinfo, host)
        return tuple(dict.fromkeys(ipaddress.ip_address(address) for address in found))


def _getaddrinfo(host: str) -> list[str]:
    return [str(address[4][0]) for address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


# A resolver that does not answer holds one of these, not the loop and not the threads of others.
THREADS: Final = 4
# As the edge's own.
FRESH_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 5.0
# Less than a look-up's time.
PATIENCE_SECONDS: Final = 1.0
