"""A backend that does what a test says, one connection a thread, and keeps what it was told.

What it does is a function of the `Conversation`, and can be changed between connections. `fake_mailbox` has the ones
that behave; those that do not stand beside their tests, each named for what it does wrong.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from servers.incoming import Incoming
from servers.waiting import until

if TYPE_CHECKING:
    import re
    import ssl
    from collections.abc import Callable, Iterator

    Behaviour = Callable[["Conversation"], object]

# What a test waits for comes long before; this ends a thread whose proxy forgot it.
PATIENCE_SECONDS = 30
BACKLOG = 1024
LINGER_NOT = struct.pack("ii", 1, 0)


class Conversation(Incoming):
    """One connection from the proxy."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        super().__init__()
        self.heard = bytearray()
        """Every byte the proxy sent, of TLS what it said inside."""
        self.commands: list[bytes] = []
        """What the client said after its login, a line an item."""
        self.ended = threading.Event()
        """Set as soon as the proxy has closed its side, or this one its own."""

    def send(self, said: bytes) -> None:
        self._connection.sendall(said)

    def line(self) -> bytes:
        """Return the next line without its end; empty at the end of the connection."""
        while b"\n" not in self._unread:
            if not self._read():
                return b""
        line, _, self._unread = self._unread.partition(b"\n")
        return line.removesuffix(b"\r")

    def lines(self) -> Iterator[bytes]:
        while line := self.line():
            yield line

    def through(self, end: bytes) -> bytes:
        """Return all up to that end, with it: a message. Less at the end of the connection."""
        while end not in self._unread and self._read():
            pass
        found, end, self._unread = self._unread.partition(end)
        return found + end

    def until_match(self, end: re.Pattern[bytes]) -> bytes:
        """Return all up to the end of what matches, with it. Less at the end of the connection."""
        while not (found := end.search(self._unread)) and self._read():
            pass
        at = found.end() if found else len(self._unread)
        octets, self._unread = self._unread[:at], self._unread[at:]
        return octets

    def hold(self) -> None:
        """Say nothing, and listen until the proxy closes."""
        while self._read():
            pass

    def ignore(self) -> None:
        """Read nothing until this side is closed, by `FakeBackend.stop` or by patience."""
        self.ended.wait(PATIENCE_SECONDS)

    def secure(self, context: ssl.SSLContext) -> None:
        self._connection = context.wrap_socket(self._connection, server_side=True)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self._connection.close()

    def close(self) -> None:
        self.ended.set()
        # A thread that reads it wakes up from the shutdown, not from the close.
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _receive(self) -> bytes:
        got = self._connection.recv(65536)
        if not got:
            self.ended.set()
        self.heard += got
        return got


class FakeBackend:
    """A backend at an address of its own; a context manager."""

    def __init__(self, behaviour: Behaviour, *, address: str, port: int) -> None:
        self.behaviour = behaviour
        self.address = address
        self.port = port
        self.conversations: list[Conversation] = []
        self._threads: list[threading.Thread] = []
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind((address, port))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._listening.close()

    def start(self) -> None:
        self._listening.listen(BACKLOG)
        self._start(self._accept)

    def stop(self) -> None:
        """Refuse connections, and close those there are; `start` begins anew at the same port."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[:1]:
            thread.join()
        for conversation in self.conversations:
            conversation.close()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Within the block it refuses connections."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Within the block nothing answers a connection: the kernel drops what does not fit into a full backlog."""
        with self.down(), ExitStack() as filling:
            self._listening.listen(0)
            first = filling.enter_context(socket.create_connection(self._listening.getsockname()))
            assert first
            yield
            self._listening.shutdown(socket.SHUT_RDWR)

    def told_of(self, address: str) -> Conversation:
        """Wait for the conversation in which the proxy told of the client at `address`."""
        return until(lambda: next((one for one in self.conversations if address.encode() in one.heard), None))

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            conversation = Conversation(connection)
            self.conversations.append(conversation)
            self._start(lambda conversation=conversation: self._converse(conversation))

    def _converse(self, conversation: Conversation) -> None:
        # The proxy may leave at any moment; that is for the test to judge.
        with contextlib.suppress(OSError):
            self.behaviour(conversation)
        conversation.ended.set()
        conversation.close()

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()
