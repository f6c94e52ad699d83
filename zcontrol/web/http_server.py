"""One address served over HTTP by one application: uvicorn inside a process that has a life, and signals, of its own.

A connection carries one request, which must have come in whole by a deadline: nobody holds one open for nothing. Who
may not come is sent away before TLS has cost anything, and who finds no room waits in the backlog.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self, final

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

log = structlog.get_logger(__name__)


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
        config = uvicorn.Config(
            app,
            http=_Guarded,
            ws="none",
            lifespan="off",
            log_config=None,
            # Strangers cause its warnings, a line for each thing they send.
            log_level="error",
            access_log=False,
            server_header=False,
            date_header=False,
            # Also what the application has no say in, e.g. that a path is nowhere.
            headers=[("Connection", "close")],
            # Nobody's address is what a header says.
            proxy_headers=False,
            h11_max_incomplete_event_size=LARGEST_HEAD,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = _Server(config, listening.dup(), setting)
        # Whoever connects before it has begun waits in the backlog.
        return cls(server, asyncio.create_task(server.serve(), name="http server"))

    async def stop(self) -> None:
        """Take no more requests, and let those under way end."""
        self._server.should_exit = True
        await self._serving


@final
class _Server(uvicorn.Server):
    """Accepts by itself, for uvicorn asks nobody before TLS and has no bound; signals are for the process."""

    def __init__(self, config: uvicorn.Config, listening: socket.socket, setting: Setting) -> None:
        super().__init__(config)
        self._listening: Final = listening
        self._setting: Final = setting
        self._room = asyncio.Semaphore(LARGEST_CROWD)
        self._inside: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets or [])
        self._accepting = asyncio.create_task(self._accept(), name="accept http clients")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._listening.close()
        await super().shutdown(sockets)
        for task in self._inside:
            task.cancel()
        if self._inside:
            await asyncio.wait(self._inside)

    async def _accept(self) -> None:
        while True:
            await self._room.acquire()
            client = await self._next_admitted()
            task = asyncio.create_task(self._attend(client), name="http client")
            self._inside.add(task)
            task.add_done_callback(self._left)

    async def _next_admitted(self) -> socket.socket:
        while True:
            try:
                client, address = await asyncio.get_running_loop().sock_accept(self._listening)
            except OSError as error:
                log.warning("nobody can be accepted for a moment", reason=str(error))
                await asyncio.sleep(ACCEPT_AGAIN_SECONDS)
                continue
            if self._setting.admits(address[0]):
                return client
            client.close()

    async def _attend(self, client: socket.socket) -> None:
        """From TLS to the end of the connection."""
        tls = self._setting.tls
        try:
            transport, guarded = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Guarded(self.config, self.server_state, {}),
                client,
                ssl=tls,
                ssl_handshake_timeout=REQUEST_SECONDS if tls else None,
            )
        except OSError as error:
            log.debug("http client without TLS", reason=str(error))
            return
        try:
            await guarded.gone.wait()
        finally:
            transport.abort()

    def _left(self, task: asyncio.Task[None]) -> None:
        self._inside.discard(task)
        self._room.release()


@final
class _Guarded(H11Protocol):
    """Closes the door on who does not say what he wants."""

    def __init__(self, config: uvicorn.Config, state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, state, app_state)
        self.gone: Final = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
        super().connection_made(transport)
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._hurry)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # It would hold all of this until then.
        self._deadline.cancel()
        self.gone.set()

    def _hurry(self) -> None:
        if self.cycle is None:
            self.transport.abort()


# What a proxy that asks at all sends at once; TLS has as long before.
REQUEST_SECONDS: Final = 10.0
# A name and a password of 1 KiB, escaped, with room for what proxies add.
LARGEST_HEAD: Final = 16 * 1024
# Half of the descriptors that a process has if nobody says otherwise: edges and directory keep theirs.
LARGEST_CROWD: Final = 512
# Whatever keeps us from accepting, most often a want of descriptors, would only come again at once; asyncio's own.
ACCEPT_AGAIN_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 1
