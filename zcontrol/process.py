"""The life of a `zproxy run`, `control` or `edge` process: config, start in order, the ready line, signals, stop.

Control starts first and stops last, because the edge's streams lead to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, final

import structlog
import uvloop

from zcontrol.config import EdgeCheck, Role, load
from zcontrol.config.fixed import changed_until_restart
from zcontrol.errors import ZproxyError
from zcontrol.server import Control
from zcontrol.v1 import config_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from zcontrol.edge import Edge, Listener
    from zcontrol.fault import Fault

log = structlog.get_logger(__name__)


def serve(file: Path, role: Role) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP takes the file again. Raises whatever keeps it from starting."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(file, role))


def edge_check(role: Role) -> EdgeCheck | None:
    """The data plane's own check of its part, where the role has one."""
    if role is Role.CONTROL:
        return None
    from zcontrol import edge  # noqa: PLC0415 - a control process needs no data plane

    return edge.check


async def _serve(file: Path, role: Role) -> None:
    signals = _Signals()
    config = load(file, role, edge_check=edge_check(role))
    _make_state_directory(Path(config.state_directory))
    async with contextlib.AsyncExitStack() as running:
        process = _Process(file=file, role=role, started=config)
        if role is not Role.EDGE:
            process.control = await running.enter_async_context(_control(config))
        if role is not Role.CONTROL:
            process.edge = await running.enter_async_context(_edge(process.for_edge(config)))
        listeners = await process.edge.listeners() if process.edge else []
        _tell_ready(listeners, process.control)
        async for _ in signals.reloads():
            await process.reload()


@final
@dataclass(kw_only=True)
class _Process:
    """What runs in this process, and how both take a new config: wholly, or not at all."""

    file: Path
    role: Role
    # The config of the start: some of its keys stay in force.
    started: config_pb2.Config
    control: Control | None = None
    edge: Edge | None = None

    def for_edge(self, config: config_pb2.Config) -> config_pb2.Config:
        """The config with the API's address as control has bound it."""
        if self.control is None:
            return config
        as_bound = config_pb2.Config()
        as_bound.CopyFrom(config)
        as_bound.api.address = self.control.address
        as_bound.ClearField("control")
        return as_bound

    async def reload(self) -> None:
        try:
            config = await asyncio.to_thread(
                load, self.file, self.role, edge_check=edge_check(self.role), directory_check=_left_to_control
            )
            prepared = await self.control.prepare(config) if self.control else None
            if self.edge is not None:
                try:
                    await self.edge.reload(self.for_edge(config))
                except ZproxyError:
                    if prepared is not None:
                        await prepared.close()
                    raise
            if self.control is not None and prepared is not None:
                await self.control.take(config, prepared)
        except ZproxyError as error:
            # The operator's fault, not ours: a traceback would only hide what to mend.
            log.error("config refused, the one before stays in force", reason=str(error).splitlines())  # noqa: TRY400
        else:
            for key in changed_until_restart(self.started, config, self.role):
                log.warning("this key changes at the next start only", key=key)
            log.info("config reloaded", file=str(self.file))


@final
@dataclass(kw_only=True)
class _Signals:
    """SIGHUP asks for a reload, SIGTERM and SIGINT end; several before one is served are one."""

    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _stop: bool = False
    _reload: bool = False

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._ask, "_reload")
        for ending in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(ending, self._ask, "_stop")

    async def reloads(self) -> AsyncIterator[None]:
        """One item a reload, until the end is asked for."""
        while not self._stop:
            await self._arrived.wait()
            self._arrived.clear()
            if self._reload and not self._stop:
                self._reload = False
                yield

    def _ask(self, what: str) -> None:
        setattr(self, what, True)
        self._arrived.set()


@contextlib.asynccontextmanager
async def _control(config: config_pb2.Config) -> AsyncIterator[Control]:
    control = await Control.start(config)
    try:
        yield control
    finally:
        await control.stop(GRACE_SECONDS)


@contextlib.asynccontextmanager
async def _edge(config: config_pb2.Config) -> AsyncIterator[Edge]:
    from zcontrol.edge import Edge  # noqa: PLC0415 - a control process needs no data plane

    edge = await Edge.start(config)
    try:
        yield edge
    finally:
        unset = not config.timeouts.HasField("shutdown")
        cut = await edge.stop(SHUTDOWN_SECONDS if unset else config.timeouts.shutdown.ToTimedelta().total_seconds())
        log.info("edge has stopped", sessions_cut=cut)


def _left_to_control(_: config_pb2.Directory) -> tuple[Fault, ...]:
    """At a reload control tells whether its accounts are still good, and need not refuse everything else with them."""
    return ()


def _make_state_directory(directory: Path) -> None:
    """Both planes keep there what must survive a restart; the group may reach the API's socket in it."""
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise ZproxyError(f"state_directory: {directory}: {error.strerror}; make it, or name another") from error


def _tell_ready(listeners: list[Listener], control: Control | None) -> None:
    ready: dict[str, object] = {"ready": True, "listeners": [listener._asdict() for listener in listeners]}
    if control is not None:
        ready |= control.listens.told
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


# For calls to control that are under way; the edges' streams last as long as they are let.
GRACE_SECONDS = 1.0
# As `timeouts.shutdown` says for unset.
SHUTDOWN_SECONDS = 5.0
