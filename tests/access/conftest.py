"""A control plane that listens by TLS too: for client certificates and for tokens, besides its Unix socket."""

# ruff: noqa: ANN401 - the types that mypy-protobuf makes for grpc.aio stubs exist for type checkers only

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from access.authorities import Office
from control.conftest import CONFIG, Running, config_file, logs_on_stderr
from servers.zproxy import toml
from zcontrol.config import Role, load
from zcontrol.server import Control
from zcontrol.v1 import audit_pb2, audit_pb2_grpc, pool_pb2, pool_pb2_grpc, token_pb2, token_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["CONFIG", "config_file", "logs_on_stderr"]

ROLES = [
    {"names": ["dns:edge-*.tgg.net.id", "uri:spiffe://tgg.net.id/edge/*"], "role": "edge"},
    {"names": ["dns:ops.tgg.net.id", "email:*@ops.tgg.net.id"], "role": "operator"},
    {"names": ["cn:siti"], "role": "viewer"},
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Doors:
    """A running control plane and the ways to call it."""

    running: Running
    office: Office
    # The certificate that control shows, to be renewed in place.
    shown: Any

    def channel(
        self, *, certificate: Any = None, token: str = "", listener: str = "", office: Office | None = None
    ) -> grpc.aio.Channel:
        """By a certificate, by a token, or at a listener without either."""
        listens = self.running.control.listens
        address = {"certificates": listens.certificates, "tokens": listens.tokens}[
            listener or ("certificates" if certificate else "tokens")
        ]
        pair = (certificate.key_file.read_bytes(), certificate.certificate_file.read_bytes()) if certificate else ()
        credentials = grpc.ssl_channel_credentials((office or self.office).ca_file.read_bytes(), *pair)
        if token:
            credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
        # Calls of one test do not share another's connection.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        return grpc.aio.secure_channel(address, credentials, options)

    async def token(self, role: int, *, note: str = "", seconds: float | None = None) -> tuple[str, str]:
        """Make a token: its id and itself."""
        request = token_pb2.CreateTokenRequest(role=role, note=note)  # type: ignore[arg-type]
        if seconds is not None:
            request.lifetime.FromMilliseconds(round(seconds * 1000))
        made = await self.tokens().Create(request)
        return made.token.id, made.secret

    def tokens(self, channel: grpc.aio.Channel | None = None) -> Any:
        return token_pb2_grpc.TokenServiceStub(channel or self.running.channel)

    async def lines(self, **matching: Any) -> list[audit_pb2.AuditLine]:
        """The audit log, newest first."""
        stub: Any = audit_pb2_grpc.AuditServiceStub(self.running.channel)
        return list((await stub.List(audit_pb2.ListAuditRequest(**matching))).lines)


async def got_pool(channel: grpc.aio.Channel) -> int:
    """A viewer's call: the pool's version."""
    stub: Any = pool_pb2_grpc.PoolServiceStub(channel)
    return int((await stub.Get(pool_pb2.GetPoolRequest())).version)


async def drained(channel: grpc.aio.Channel, name: str = "mbox-1", **header: str) -> int:
    """An operator's call: the version that it made."""
    stub: Any = pool_pb2_grpc.PoolServiceStub(channel)
    request = pool_pb2.DrainRequest(name=name, header=pool_pb2.ChangeHeader(**header))  # type: ignore[arg-type]
    return int((await stub.Drain(request)).version)


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """How a call was refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), str(caught.value.details())


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "office")


@pytest.fixture
def api(office: Office, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The section `api` of the config, with what a test's parameter adds."""
    shown = office.issue("dns:localhost", "ip:127.0.0.1", stem="control")
    pair = {"certificate_file": str(shown.certificate_file), "key_file": str(shown.key_file)}
    return {
        "certificates": {
            "address": "127.0.0.1:0",
            **pair,
            "client_ca_file": str(office.ca_file),
            "roles": ROLES,
        },
        "tokens": {"address": "127.0.0.1:0", **pair},
        **getattr(request, "param", {}),
    }


@pytest.fixture
async def doors(config_file: Path, office: Office, api: dict[str, Any]) -> AsyncIterator[Doors]:
    write_api(config_file, api)
    running = Running(config_file, await Control.start(load(config_file, Role.CONTROL)))
    yield Doors(running=running, office=office, shown=office.issued["control"])
    await running.channel.close()
    await running.control.stop(grace=0)


def write_api(config_file: Path, api: dict[str, Any]) -> None:
    """Put the section into the config, instead of the one before."""
    lines = [line for line in config_file.read_text().splitlines() if not line.startswith("api")]
    socket = f"unix:{config_file.parent}/api.sock"
    config_file.write_text("\n".join([f"api = {toml({'address': socket, **api})}", *lines]))
