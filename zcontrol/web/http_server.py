"""One address served over HTTP by one application: uvicorn inside a process that has a life, and signals, of its own.

A connection carries one request, which must have come in whole by a deadline: nobody holds one open for nothing.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Self, final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from zcontrol.web.listening import BACKLOG


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How an application is served."""

    # None: http.
    tls: ssl.SSLContext | None
    # Whether a client at this address may connect at all.
    admits: Callable[[str], bool]


@final
class HttpServer:
    """Serves from `start` to `stop`."""

    def __init__(self, server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
        """As `start` makes it."""
        self._server: Final = server
        self._serving: Final = serving

    @classmethod
    def start(cls, app: ASGIApp, listening: socket.socket, setting: Setting) -> Self:
        """Serve on a listening socket, which stays the caller's."""
        tls = setting.tls
        config = uvicorn.Config(
            app,
            http=_guarded(setting.admits),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            # Nobody's address is what a header says.
            proxy_headers=False,
            limit_concurrency=LARGEST_CROWD,
            backlog=BACKLOG,
            h11_max_incomplete_event_size=LARGEST_HEAD,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ssl_context_factory=(lambda *_: tls) if tls else None,
        )
        server = _Server(config)
        # Whoever connects before it has begun waits in the backlog.
        return cls(server, asyncio.create_task(server.serve([listening.dup()]), name="http server"))

    async def stop(self) -> None:
        """Take no more requests, and let those under way end."""
        self._server.should_exit = True
        await self._serving


@final
class _Server(uvicorn.Server):
    """Signals are for the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _guarded(admits: Callable[[str], bool]) -> type[asyncio.Protocol]:
    @final
    class Guarded(H11Protocol):
        """Closes the door to strangers, and on who does not say what he wants."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
            super().connection_made(transport)
            if self.client is None or not admits(self.client[0]):
                transport.abort()
                return
            self.loop.call_later(REQUEST_SECONDS, self._hurry)

        def _hurry(self) -> None:
            if self.cycle is None:
                self.transport.abort()

    return Guarded


# What a proxy that asks at all sends at once.
REQUEST_SECONDS: Final = 10.0
# A name and a password of 1 KiB, escaped, with room for what proxies add.
LARGEST_HEAD: Final = 16 * 1024
LARGEST_CROWD: Final = 4096
GRACE_SECONDS: Final = 1
