"""Where the API listens: the Unix socket or loopback address that it always has, and those by TLS that it may have."""

from __future__ import annotations

import contextlib
import grp
import os
import resource
import socket
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zcontrol.errors import ZproxyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc

    from zcontrol.access.tls import TlsFiles
    from zcontrol.v1 import config_pb2


class ControlError(ZproxyError):
    """The control plane cannot listen; the text says where and what to do."""


class Listens(NamedTuple):
    """Where it listens, as bound; empty: not by that way."""

    address: str
    certificates: str = ""
    tokens: str = ""

    @property
    def told(self) -> dict[str, str]:
        """As the log and the ready line have it."""
        by_tls = {"api_certificates": self.certificates, "api_tokens": self.tokens}
        return {"api": self.address} | {key: address for key, address in by_tls.items() if address}


class Files(NamedTuple):
    """What the listeners by TLS show; none: there is no such listener."""

    certificates: TlsFiles | None = None
    tokens: TlsFiles | None = None


def by_tls(api: config_pb2.Api) -> dict[str, config_pb2.ApiCertificates | config_pb2.ApiTokens]:
    """The listeners by TLS that a config asks for, by their key."""
    listeners: dict[str, config_pb2.ApiCertificates | config_pb2.ApiTokens] = {}
    if api.HasField("certificates"):
        listeners["certificates"] = api.certificates
    if api.HasField("tokens"):
        listeners["tokens"] = api.tokens
    return listeners


def listen(server: grpc.aio.Server, api: config_pb2.Api, files: Files) -> Listens:
    """Bind everything; ControlError says what cannot be had."""
    by_tls = {}
    for key, shown in files._asdict().items():
        address = getattr(api, key).address
        by_tls[key] = _bind(server, f"api.{key}.address", address, shown.credentials()) if shown else ""
    return Listens(address=_bind_local(server, api), **by_tls)


def remove_socket(address: str) -> None:
    """Nobody serves there any more."""
    if path := _socket_path(address):
        path.unlink(missing_ok=True)


def options(limits: config_pb2.ApiLimits) -> list[tuple[str, int]]:
    """What holds for every connection."""
    connections = ("grpc.max_allowed_incoming_connections", most_connections())
    return [*_OPTIONS, connections, ("grpc.max_concurrent_streams", limits.streams)]


def most_connections() -> int:
    """At each listener, those that have not proved anything too: strangers leave descriptors to all others."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(descriptors // SHARES, MOST_CONNECTIONS)


def _bind_local(server: grpc.aio.Server, api: config_pb2.Api) -> str:
    path = _socket_path(api.address)
    if path is None:
        return _bind(server, "api.address", api.address, None)
    _refuse_served(path)
    group = _group(api.group)
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        with _umask(0o117):
            _bind(server, "api.address", api.address, None)
        if group is not None:
            os.chown(path, -1, group)
    except OSError as error:
        raise _not_to_be_had("api.address", api.address, error) from error
    return api.address


def _bind(server: grpc.aio.Server, key: str, address: str, credentials: grpc.ServerCredentials | None) -> str:
    """Bind an address and return it as bound."""
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise _not_to_be_had(key, address, error) from error
    return f"{address.rpartition(':')[0]}:{port}"


def _not_to_be_had(key: str, address: str, error: Exception) -> ControlError:
    return ControlError(f"{key}: cannot listen on {address}: {error}; free it, or choose another")


def _group(name: str) -> int | None:
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise ControlError(f"api.group: there is no group {name}; make it, or name another") from error


def _refuse_served(path: Path) -> None:
    """GRPC takes a socket's path away from whoever serves there, so ask first."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return
        except OSError as error:
            raise _not_to_be_had("api.address", f"unix:{path}", error) from error
    raise ControlError(f"api.address: another process serves on {path}; stop it, or choose another")


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    """The socket is born with its mode: a chmod afterwards would leave a moment in which anybody may connect."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _socket_path(address: str) -> Path | None:
    return Path(address.removeprefix("unix:")) if address.startswith("unix:") else None


# Somebody who serves accepts at once, or his backlog is full and he serves all the more.
PROBE_SECONDS = 1.0
# A thousand edges and their consoles; each that only begins a handshake takes 20 KiB.
MOST_CONNECTIONS = 4096
# Three listeners, and the rest of control: its database, directories and caches.
SHARES = 4
# A pool of ten thousand backends fits; nobody makes control buffer more.
LARGEST_MESSAGE = 16 * 2**20
_OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    # Two servers on one port would each get half of the edges.
    ("grpc.so_reuseport", 0),
    # An edge that vanished without a word is noticed, and may attach again.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Edges ping an idle stream too; the usual server answers that with `too_many_pings`.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # Who connects and says nothing proves nothing: he is let go of.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 300_000),
)
