"""What asks one URL: bounded connections, kept alive, and a deadline; nobody is redirected, and no proxy is asked."""

import asyncio
import math
import ssl
import time
from typing import Final, final

import structlog

from zcontrol.web.http_connection import (
    Answered,
    BrokenError,
    Connection,
    GoneError,
    HttpError,
    Location,
    Request,
    UnreachableError,
)

log = structlog.get_logger(__name__)


class BusyError(HttpError):
    """Too many ask at once: that says nothing about the server."""


@final
class HttpClient:
    """Asks; for use by one event loop."""

    def __init__(self, url: str, tls: ssl.SSLContext, *, connections: int, timeout_seconds: float) -> None:
        """Connects to nobody yet."""
        self._location: Final = Location(url, tls)
        # Without what may hold a secret.
        self.name: Final = self._location.name
        self._timeout_seconds = timeout_seconds
        self._room = asyncio.Semaphore(connections)
        self._waiting = 0
        self._answered = -math.inf
        self._idle: list[Connection] = []

    async def ask(self, request: Request) -> Answered:
        """The answer, save that of a gateway to a server that cannot be reached; raises `HttpError`.

        `UnreachableError` is about the server, any other about this question.
        """
        await self._enter()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answered = await self._ask(request)
        except TimeoutError as error:
            raise self._failed(f"no answer within {self._timeout_seconds:g} s") from error
        except BrokenError as error:
            raise self._failed(str(error)) from error
        finally:
            self._room.release()
        if answered.status in GATEWAY_FAILURES:
            raise self._failed(f"it answered HTTP status {answered.status}")
        self._answered = time.monotonic()
        return answered

    def close(self) -> None:
        """Close what nobody uses; nobody asks any more."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _failed(self, reason: str) -> HttpError:
        """A question may be what the server chokes on: while it answers others, the failure is that one's alone."""
        alive = time.monotonic() - self._answered < ALIVE_SECONDS
        return HttpError(reason) if alive else UnreachableError(reason)

    async def _enter(self) -> None:
        """Wait for a connection, which is not the server's delay: no longer than for an answer, as clients wait too."""
        if self._waiting >= WAITING:
            raise BusyError(f"{self._waiting} others wait to ask")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._room.acquire()
        except TimeoutError as error:
            raise BusyError(f"others were asking for {self._timeout_seconds:g} s, on each connection") from error
        finally:
            self._waiting -= 1

    async def _ask(self, request: Request) -> Answered:
        while self._idle:
            connection = self._idle.pop()
            if not connection.usable:
                connection.close()
                continue
            try:
                return await self._ask_on(connection, request)
            except GoneError as error:
                log.debug("a kept connection is gone", server=self.name, reason=str(error))
                break
        return await self._ask_on(await self._location.connect(), request)

    async def _ask_on(self, connection: Connection, request: Request) -> Answered:
        answered = await connection.ask(self._location, request)
        if connection.usable:
            self._idle.append(connection)
        return answered


# Said by what stands before the server, which itself cannot be reached, and by who has too much to do.
GATEWAY_FAILURES: Final = (429, 502, 503, 504)
# A server that has just gone is known to be so long after its last answer.
ALIVE_SECONDS: Final = 1.0
# Logins that may wait for a connection; more would wait longer than clients do.
WAITING: Final = 1000
