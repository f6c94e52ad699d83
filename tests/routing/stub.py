"""Servers that misbehave as a test tells them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

DRIP_SECONDS = 0.02


@asynccontextmanager
async def serving(talk: Talk, *, address: str = "", tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Talk to whoever connects; `host:port` for as long as the context lasts, then every conversation is cut."""
    conversations: set[asyncio.Task[None] | None] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.close()
        with suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()

    server = await asyncio.start_server(run, address or own_address(), 0, ssl=tls)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        running = [task for task in conversations if task]
        for task in running:
            task.cancel()
        await asyncio.gather(*running)


async def drip(writer: asyncio.StreamWriter, octets: bytes) -> None:
    """Send these for ever, an octet at a time."""
    while True:
        for octet in octets:
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(DRIP_SECONDS)
