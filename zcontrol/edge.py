"""The data plane as the control plane holds it; the only module that imports the extension.

The extension releases the GIL; calls that wait go to a thread, so that the event loop goes on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Self, final

from zcontrol import _core
from zcontrol.errors import ZproxyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zcontrol.v1 import config_pb2


class EdgeFailedError(ZproxyError):
    """The data plane did not start or did not take a config; the text says what to mend."""


class Listener(NamedTuple):
    """A listener that accepts, and where."""

    name: str
    protocol: str
    address: str


@final
class Edge:
    """A running data plane; make one by `Edge.start`."""

    def __init__(self, core: _core.Edge) -> None:
        self._core = core

    @classmethod
    async def start(cls, config: config_pb2.Config) -> Self:
        """Start it; EdgeFailedError if a listener, certificate or limit cannot be had."""
        try:
            return cls(await asyncio.to_thread(_core.Edge.start, config.SerializeToString()))
        except _core.EdgeError as error:
            raise EdgeFailedError(str(error)) from error

    async def listeners(self) -> list[Listener]:
        """The listeners, as soon as all of them accept."""
        return [Listener(*listener) for listener in await asyncio.to_thread(self._core.listeners)]

    async def reload(self, config: config_pb2.Config) -> None:
        """Take another config; on EdgeFailedError the one before stays in force."""
        try:
            await asyncio.to_thread(self._core.reload, config.SerializeToString())
        except _core.EdgeError as error:
            raise EdgeFailedError(str(error)) from error

    async def stop(self, seconds: float) -> int:
        """Accept no more, let sessions end for so long, and return how many had to be cut."""
        return await asyncio.to_thread(self._core.stop, seconds)


def check(config: bytes) -> Sequence[tuple[str, str]]:
    """The faults of the edge's part of a serialized Config: key path, and what is wrong with the mend."""
    return _core.check(config)
