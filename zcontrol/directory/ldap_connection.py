"""One LDAP server: how to connect to it, and one search on one connection."""

import math
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, final
from urllib.parse import urlsplit

import ldap3
from ldap3.core import results
from ldap3.core.exceptions import LDAPExceptionError

from zcontrol.directory.ldap_request import POLICY, Request
from zcontrol.errors import DirectoryError, DirectoryUnavailableError
from zcontrol.v1 import config_pb2


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, its values as they travelled; attribute names without case."""

    name: str
    values: Mapping[str, Sequence[bytes]]

    def texts(self, attribute: str) -> list[str]:
        """The values of an attribute; one that is not UTF-8, such as Active Directory's objectGUID, in hex."""
        return [_text(value) for value in self.values.get(attribute) or ()] if attribute else []


@final
@dataclass(frozen=True, slots=True)
class Result:
    """How an operation ended, and the entries that came before."""

    code: int
    description: str
    entries: Sequence[Entry]
    # What came in the password policy's control; none: no such control.
    policy: bytes | None = None

    @property
    def complete(self) -> bool:
        """Whether what is not among the entries does not exist."""
        return self.code == results.RESULT_SUCCESS


@final
class LdapServer:
    """An address from the config and all that a connection to it needs."""

    def __init__(self, url: str, config: config_pb2.LdapDirectory, timeout_seconds: float) -> None:
        """Connects to nobody yet; raises `DirectoryError` if the config can lead nowhere."""
        self.url: Final = url
        self._config = config
        self._timeout = timeout_seconds
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise DirectoryError(f"directory.ldap.urls: {url!r} must be ldap://host:port or ldaps://host:port")
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._ldaps = parts.scheme == "ldaps"
        self._starttls = not self._ldaps and wants_starttls(config.tls, parts.hostname)
        self._tls = _VerifiedTls(config.ca_file, parts.hostname) if self._ldaps or self._starttls else None

    def connect(self) -> "LdapConnection":
        """A connection, secured and bound as configured; raises whatever ldap3 and sockets raise."""
        # Not shared between connections: ldap3 keeps there which address is in use, and takes one's for another's.
        server = ldap3.Server(
            self._host,
            port=self._port,
            use_ssl=self._ldaps,
            tls=self._tls,
            get_info=ldap3.NONE,
            connect_timeout=self._timeout,
        )
        connection = ldap3.Connection(
            server,
            user=self._config.bind_dn or None,
            password=self._config.bind_password or None,
            authentication=ldap3.SIMPLE if self._config.bind_dn else ldap3.ANONYMOUS,
            client_strategy=ldap3.SYNC,
            auto_referrals=False,
            auto_range=False,
            check_names=False,
            fast_decoder=True,
            return_empty_attributes=False,
        )
        opened = LdapConnection(connection, self._timeout)
        try:
            self._open(connection)
            opened.limit_waits()
        except BaseException:
            opened.close()
            raise
        return opened

    def _open(self, connection: ldap3.Connection) -> None:
        # The server's connect_timeout stays on the socket, and so covers handshake and bind.
        try:
            connection.open(read_server_info=False)
            if self._starttls:
                connection.start_tls(read_server_info=False)
        except (LDAPExceptionError, OSError) as error:
            keys = "urls, tls and ca_file" if self._tls else "urls"
            raise DirectoryUnavailableError(
                f"cannot connect: {error}; see that it runs and can be reached, and check directory.ldap.{keys}"
            ) from error
        if self._config.bind_dn and not connection.bind(read_server_info=False):
            said = connection.result["description"]
            raise DirectoryUnavailableError(f"bind refused: {said}; check directory.ldap.bind_dn and bind_password")


@final
class LdapConnection:
    """A connection, used by one thread; after any exception it must be closed."""

    def __init__(self, connection: ldap3.Connection, timeout_seconds: float) -> None:
        self._ldap3 = connection
        self._timeout = timeout_seconds
        self._socket: _DeadlineSocket | None = None

    def limit_waits(self) -> None:
        """Put a deadline on operations as a whole; ldap3 knows only one for each piece of an answer."""
        self._socket = self._ldap3.socket = _DeadlineSocket(self._ldap3.socket)
        self._ldap3.strategy.socket_size = RECEIVE_OCTETS

    def ask(self, request: Request) -> Result:
        """Send our own encoding and let ldap3 read the answer."""
        if not self._socket:
            raise DirectoryUnavailableError("not connected")
        strategy = self._ldap3.strategy
        message_id = self._ldap3.server.next_message_id()
        self._socket.deadline = time.monotonic() + self._timeout
        self._socket.sendall(request.encode(message_id, time_limit_seconds=math.ceil(self._timeout)))
        strategy._outstanding[message_id] = {"type": f"{request.name}Request"}  # noqa: SLF001 - as its own `send` does
        response, result = strategy.get_response(message_id)
        if result["type"] != request.answer:
            raise DirectoryUnavailableError(f"{result['type']} where {request.answer} was due")
        # Of continuation references none is followed: they lead to servers that nobody configured.
        entries = [Entry(item["dn"], item["raw_attributes"]) for item in response if item["type"] == "searchResEntry"]
        policy = result.get("controls", {}).get(POLICY, {}).get("value")
        return Result(result["result"], result["description"], entries, policy)

    def close(self) -> None:
        """Hang up without a goodbye, which could block: a late answer must reach nobody."""
        left_open = self._ldap3.socket
        self._ldap3.strategy.close()
        # ldap3 forgets the socket of a connection that it failed to open half-way.
        if left_open is not None:
            left_open.close()


@final
class _DeadlineSocket:
    """What ldap3 uses of a socket, with a deadline that octets dripping in do not move."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.deadline = 0.0

    def sendall(self, octets: bytes) -> None:
        self._limit()
        self._socket.sendall(octets)

    def recv(self, size: int) -> bytes:
        self._limit()
        return self._socket.recv(size)

    def shutdown(self, how: int) -> None:
        self._socket.shutdown(how)

    def close(self) -> None:
        self._socket.close()

    def _limit(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        self._socket.settimeout(left)


@final
class _VerifiedTls(ldap3.Tls):
    """TLS with chain, name and time checked by OpenSSL; ldap3's own check uses functions that Python has dropped."""

    def __init__(self, ca_file: str, host: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        try:
            self._context = ssl.create_default_context(cafile=ca_file or None)
        except OSError as error:
            raise DirectoryError(f"directory.ldap.ca_file {ca_file!r}: {error.strerror or error}") from error
        self._host = host

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - ldap3's signature
        """Secure the connection's socket."""
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=self._host)


def wants_starttls(tls: config_pb2.LdapTls.ValueType, host: str) -> bool:
    """Whether an ldap:// server is asked for StartTLS: as configured, else beyond loopback."""
    if tls != config_pb2.LDAP_TLS_UNSPECIFIED:
        return tls == config_pb2.LDAP_TLS_STARTTLS
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


_PORTS: Final = {"ldap": 389, "ldaps": 636}
# A batch's answer in few reads.
RECEIVE_OCTETS: Final = 128 * 1024
