"""A control plane of a test's own: real gRPC on a Unix socket, a file directory, an in-process cache."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
import structlog

from control.edges import FakeEdge
from zcontrol.config import Role, load
from zcontrol.server import Control
from zcontrol.v1 import edge_pb2_grpc, pool_pb2_grpc, route_pb2_grpc, session_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

CONFIG = """
state_directory = "{directory}/state"
api.address = "unix:{directory}/api.sock"
directory.file.path = "{directory}/accounts.toml"
names.default_domain = "tgg.net.id"

[[groups]]
name = "web"
kind = "shared"
"""
BACKEND = """
[[backends]]
name = "{name}"
host = "127.0.0.2"
group = "{group}"
endpoints.imap.port = 143
"""
MEMBERS = {"mbox-1": "", "mbox-2": "", "web-1": "web", "web-2": "web", "web-3": "web"}
ACCOUNTS = '[[accounts]]\naccount = "siti@tgg.net.id"\nhome = "mbox-1"\n'


class Running:
    """A control plane and stubs to call it."""

    def __init__(self, file: Path, control: Control) -> None:
        self.file = file
        self.control = control
        self.channel = grpc.aio.insecure_channel(control.address)
        # The stubs that mypy-protobuf makes for grpc.aio exist for type checkers only.
        self.pool: Any = pool_pb2_grpc.PoolServiceStub(self.channel)
        self.routes: Any = route_pb2_grpc.RouteServiceStub(self.channel)
        self.sessions: Any = session_pb2_grpc.SessionServiceStub(self.channel)
        self.edges: Any = edge_pb2_grpc.EdgeServiceStub(self.channel)


async def take(running: Running) -> None:
    """Reload the file, as SIGHUP does."""
    config = load(running.file, Role.CONTROL)
    await running.control.take(config, await running.control.prepare(config))


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """A config of control alone, with two mailboxes and a group of three."""
    (tmp_path / "accounts.toml").write_text(ACCOUNTS)
    backends = (BACKEND.format(name=name, group=group) for name, group in MEMBERS.items())
    file = tmp_path / "zproxy.toml"
    file.write_text(CONFIG.format(directory=tmp_path) + "".join(backends))
    return file


@pytest.fixture(autouse=True)
def logs_on_stderr() -> Iterator[None]:
    """As in the product: stdout is for answers."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    yield
    structlog.reset_defaults()


@pytest.fixture
async def running(config_file: Path) -> AsyncIterator[Running]:
    running = Running(config_file, await Control.start(load(config_file, Role.CONTROL)))
    yield running
    await running.channel.close()
    await running.control.stop(grace=0)


@pytest.fixture
async def attach(running: Running) -> AsyncIterator[Callable[..., Awaitable[FakeEdge]]]:
    """Attach an edge that takes every pool, unless the test makes it refuse."""
    edges: list[FakeEdge] = []

    async def attach(edge_id: str, *, holds: int = 0) -> FakeEdge:
        edge = FakeEdge(running.edges, edge_id)
        edges.append(edge)
        await edge.attach(holds)
        return edge

    yield attach
    for edge in edges:
        edge.leave()
