"""A client that sends exactly the bytes a test gives it, from an address that no other client has."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from typing import NamedTuple, Self

from servers.fake_backend import LINGER_NOT
from servers.incoming import Incoming
from zcontrol.demo.loopback import own_address

PATIENCE_SECONDS = 15
# A peer that takes nothing for so long does not read.
STUCK_SECONDS = 0.5


class Heard(NamedTuple):
    """True even if it is nothing."""

    octets: bytes


class RawClient(Incoming):
    """A connection; its patience ends every wait with TimeoutError, so that a test never hangs."""

    def __init__(self, to: tuple[str, int], *, address: str | None = None) -> None:
        super().__init__()
        self.address = address or own_address()
        self._socket = socket.create_connection(to, timeout=PATIENCE_SECONDS, source_address=(self.address, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, said: bytes) -> None:
        self._socket.sendall(said)

    def try_send(self, said: bytes) -> None:
        """Send, unless the proxy has already had enough."""
        with contextlib.suppress(OSError):
            self.send(said)

    def line(self) -> bytes:
        """Return the next line with its end; what came before the end of the connection if there is none."""
        while b"\n" not in self._unread:
            if not self._read():
                break
        end = self._unread.find(b"\n") + 1 or len(self._unread)
        line, self._unread = self._unread[:end], self._unread[end:]
        return line

    def lines(self, count: int) -> list[bytes]:
        return [self.line() for _ in range(count)]

    def some(self) -> bytes:
        """Return what there is or comes next; nothing at the end of the connection."""
        if not self._unread:
            self._read()
        octets, self._unread = self._unread, b""
        return octets

    def rest(self) -> bytes:
        """Return all that comes until the proxy closes."""
        parts = []
        more = True
        while more:
            more = self._read()
            parts.append(self._unread)
            self._unread = b""
        return b"".join(parts)

    def heard_within(self, seconds: float) -> Heard | None:
        """Return what comes in so short a time, perhaps nothing; None at the end of the connection."""
        self._socket.settimeout(seconds)
        try:
            ended = not self._read()
        except TimeoutError:
            ended = False
        self._socket.settimeout(PATIENCE_SECONDS)
        octets, self._unread = self._unread, b""
        return None if ended else Heard(octets)

    def send_unless_stuck(self, said: bytes) -> bool:
        """Send; tell whether all was taken, and not the connection ended or nobody read for a while."""
        self._socket.settimeout(STUCK_SECONDS)
        try:
            self.send(said)
        except OSError:
            return False
        finally:
            self._socket.settimeout(PATIENCE_SECONDS)
        return True

    def flood(self, said: bytes, *, octets: int) -> int:
        """Send it again and again without reading, until so much is sent or no more is taken; return how much was."""
        sent = 0
        self._socket.settimeout(STUCK_SECONDS)
        with contextlib.suppress(TimeoutError):
            while sent < octets:
                sent += self._socket.send(said)
        self._socket.settimeout(PATIENCE_SECONDS)
        return sent

    def ask(self, said: bytes) -> bytes:
        self.send(said)
        return self.line()

    def send_meanwhile(self, said: bytes) -> None:
        """Send in a thread, so that answers can be read before all is taken."""
        threading.Thread(target=self.try_send, args=(said,), daemon=True).start()

    def ask_or_end(self, said: bytes) -> bytes:
        """Ask where the connection may have ended: then the answer is empty."""
        self.try_send(said)
        return self.line()

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        assert not self._unread, "plaintext came behind the leave to begin TLS"
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def peer_certificate(self) -> bytes:
        """Return what the proxy showed, in DER."""
        assert isinstance(self._socket, ssl.SSLSocket)
        return self._socket.getpeercert(binary_form=True) or b""

    def half_close(self) -> None:
        """Say that nothing more will come, unless the proxy has already had enough."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self._socket.close()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except ConnectionResetError:
            return b""


def plain(name: str, password: str, authzid: str = "") -> bytes:
    """Write a PLAIN response."""
    return base64.b64encode(f"{authzid}\0{name}\0{password}".encode())
