"""A ManageSieve client (RFC 5804) that says what a test gives it, and reads whole responses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Self

from servers.raw_client import RawClient, plain
from zcontrol.demo.accounts import HOSTNAME, PASSWORD

if TYPE_CHECKING:
    import ssl

LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")
LAST = re.compile(rb"(OK|NO|BYE)[ \r]")


class Response(NamedTuple):
    """What answered a command: lines of data, and the last one, with their ends."""

    data: list[bytes]
    last: bytes

    @property
    def ok(self) -> bool:
        return self.last.startswith(b"OK")

    @property
    def capabilities(self) -> dict[str, str]:
        """The data as names and values."""
        pairs = (line.decode().strip().partition(" ") for line in self.data)
        return {name.strip('"'): value.strip('"') for name, _, value in pairs}


class SieveClient(RawClient):
    """`greeting` is what it hears first; with a context TLS comes before that."""

    def __init__(
        self,
        to: tuple[str, int],
        *,
        context: ssl.SSLContext | None = None,
        address: str | None = None,
        first: bytes = b"",
    ) -> None:
        super().__init__(to, address=address)
        self.send(first)
        if context:
            self.secure(context, HOSTNAME)
        self.greeting = self.response()

    def __enter__(self) -> Self:
        return self

    def response(self) -> Response:
        """Read up to OK, NO or BYE; what came before the end of the connection if there is none."""
        data: list[bytes] = []
        while line := self.line():
            if literal := LITERAL.search(line):
                end = len(line) + int(literal[1])
                while len(line) <= end:
                    line += self.line()
            if LAST.match(line):
                return Response(data, line)
            data.append(line)
        return Response(data, b"")

    def say(self, command: str) -> Response:
        self.send(command.encode() + b"\r\n")
        return self.response()

    def begin_tls(self, context: ssl.SSLContext) -> Response:
        """Return the capabilities that follow."""
        assert self.say("STARTTLS").ok
        self.secure(context, HOSTNAME)
        return self.response()

    def log_in(self, account: str, password: str = PASSWORD) -> Response:
        return self.say(f'AUTHENTICATE "PLAIN" "{plain(account, password).decode()}"')

    def put(self, name: str, script: str) -> Response:
        return self.say(f'PUTSCRIPT "{name}" {{{len(script)}+}}\r\n{script}')
