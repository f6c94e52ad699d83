"""One connection as a client has it: lines and octets, in clear or in TLS. Every wait ends."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Self

from clients.steps import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 30
"""A mail program gives up about then."""
LONGEST_LINE = 65536
MOST_OCTETS = 64 * 2**20
"""Of one literal: more is no mail of ours."""
READ_SIZE = 65536


class Tls:
    """What a client brings to its handshakes: whom it trusts, and the last session, to resume it."""

    def __init__(self, trusted: str, server_name: str, *, alpn: str) -> None:
        self.context = ssl.create_default_context(cadata=trusted or None)
        self.context.set_alpn_protocols([alpn])
        self.server_name = server_name


class Wire:
    """The connection; a context manager that closes it."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = bytearray()

    def start_tls(self, tls: Tls, session: ssl.SSLSession | None) -> bool:
        """Shake hands; return whether the session was resumed."""
        if self._read:
            raise ServerError(f"{len(self._read)} octets in clear before the handshake")
        stream = tls.context.wrap_socket(self.socket, server_hostname=tls.server_name, session=session)
        self.socket = stream
        return bool(stream.session_reused)

    @property
    def session(self) -> ssl.SSLSession | None:
        """What the next handshake may resume: known once the server has sent its ticket."""
        return self.socket.session if isinstance(self.socket, ssl.SSLSocket) else None

    def send(self, octets: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(octets)

    def line(self) -> bytes:
        """Return the next line, without its end."""
        self._fill(lambda: b"\n" in self._read, LONGEST_LINE)
        line, _, rest = self._read.partition(b"\n")
        self._read = rest
        return bytes(line.removesuffix(b"\r"))

    def octets(self, count: int) -> bytes:
        """Return so many octets."""
        if count > MOST_OCTETS:
            raise ServerError(f"announces {count} octets")
        self._fill(lambda: len(self._read) >= count, count)
        octets = bytes(self._read[:count])
        del self._read[:count]
        return octets

    def line_within(self, seconds: float) -> bytes | None:
        """Return the next line, or None if none has come in so many seconds."""
        self.socket.settimeout(max(seconds, SHORTEST_SECONDS))
        try:
            return self.line()
        except TimeoutError:
            return None
        finally:
            self.socket.settimeout(PATIENCE_SECONDS)

    def _fill(self, enough: Callable[[], bool], most: int) -> None:
        while not enough():
            if len(self._read) > most:
                raise ServerError(f"a line of more than {most} octets")
            came = self.socket.recv(READ_SIZE)
            if not came:
                raise ServerError("closed without an answer")
            self._read += came

    def __enter__(self) -> Self:
        """As it is."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.socket.close()


SHORTEST_SECONDS = 0.001
"""0 would be a socket that never waits."""
