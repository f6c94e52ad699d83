"""Real memcached servers; `start_memcached` starts one."""

from __future__ import annotations

import getpass
import socket
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import pytest

from servers.pausing import pause, resume
from servers.waiting import accepts, until
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PORT = 11211
COMMAND = ["memcached", "-p", str(PORT), "-U", "0", "-m", "64", "-t", "1", "-u", getpass.getuser()]


class Memcached:
    """One server; `pause` stops it without closing anything, as an overloaded machine does."""

    def __init__(self) -> None:
        self.host = own_address()
        self.address = f"{self.host}:{PORT}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._process = subprocess.Popen([*COMMAND, "-l", self.host], stderr=subprocess.DEVNULL)
        until(lambda: accepts(self.host, PORT))

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def pause(self) -> None:
        assert self._process
        pause(self._process.pid)

    def resume(self) -> None:
        assert self._process
        resume(self._process.pid)

    def contents(self) -> dict[bytes, bytes]:
        """Every key and value it holds."""
        listed = self.command(b"lru_crawler metadump all\r\n", b"END\r\n")
        keys = [line.split()[0].removeprefix(b"key=") for line in listed.splitlines() if line.startswith(b"key=")]
        return {key: self._value(key) for key in keys}

    def put(self, key: bytes, value: bytes) -> None:
        """Write a value as anybody could who reaches the server."""
        stored = self.command(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value), b"\r\n")
        assert stored == b"STORED\r\n", stored

    def command(self, sent: bytes, end: bytes) -> bytes:
        with socket.create_connection((self.host, PORT), timeout=5) as connection:
            connection.sendall(sent)
            answer = b""
            while not answer.endswith(end):
                more = connection.recv(1 << 20)
                assert more, answer
                answer += more
        return answer

    def _value(self, key: bytes) -> bytes:
        header, _, rest = self.command(b"get %s\r\n" % key, b"END\r\n").partition(b"\r\n")
        return rest[: int(header.split()[3])]


@pytest.fixture
def start_memcached() -> Iterator[Callable[[], Memcached]]:
    """Start servers that end with the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Memcached())
