"""A submission server for the demo: takes mail of whoever knows his password, and puts it into mailboxes at once.

It has no queue, speaks no TLS and believes whom zproxy tells of: what stands behind a proxy on loopback needs no more.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING, Final, Self, final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

PORT: Final = 10587
LONGEST_LINE: Final = 12288
"""Of a command, AUTH with its initial response included, as RFC 4954 has it; and of a message's lines."""
LARGEST_MESSAGE: Final = 20 * 2**20
SILENCE_SECONDS: Final = 300
"""RFC 5321, 4.5.3.2.7."""
PATH: Final = re.compile(rb"(?:FROM|TO):<([^<>\s]*)>.*", re.IGNORECASE | re.DOTALL)


@final
class Submission:
    """One running server; a context manager that stops it."""

    def __init__(self, address: str, passwords: Mapping[str, str], deliver: Callable[[str, bytes], None]) -> None:
        self.address: Final = address
        self.passwords: Final = passwords
        """Of each account; the same accounts get mail."""
        self.deliver: Final = deliver
        self._server = ThreadingTCPServer((address, PORT), lambda *called: Session(self, *called))
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        """Serve, in threads of its own."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def knows(self, response: bytes) -> bool:
        """Tell whether an AUTH PLAIN response is right."""
        try:
            _, account, password = base64.b64decode(response, validate=True).decode().split("\0")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return False
        return self.passwords.get(account) == password


@dataclass(kw_only=True)
class _Envelope:
    """Whose message it is, and for whom."""

    begun: bool = False
    recipients: list[str] = field(default_factory=list)


@final
class Session(StreamRequestHandler):
    """One connection, from the proxy."""

    timeout = SILENCE_SECONDS
    disable_nagle_algorithm = True

    def __init__(self, server: Submission, *called: object) -> None:
        self.submission = server
        self.known = False
        self.envelope = _Envelope()
        super().__init__(*called)  # type: ignore[arg-type] # as socketserver calls it

    def handle(self) -> None:
        """Answer until the client leaves."""
        try:
            self._say("220 demo ESMTP")
            while line := self.rfile.readline(LONGEST_LINE):
                verb, _, rest = line.strip().partition(b" ")
                answer = self._answer(verb.upper(), rest)
                self._say(answer)
                if answer.startswith(("221", "421")):
                    return
        except OSError:
            # Whoever goes without QUIT.
            return

    def _answer(self, verb: bytes, rest: bytes) -> str:
        if verb in LOGGED_IN and not self.known:
            return "530 5.7.0 log in first"
        match verb:
            case b"EHLO":
                answer = "\r\n".join(f"250-{line}" for line in ("demo", *OFFERED)) + "\r\n250 AUTH PLAIN"
            case b"AUTH":
                self.known = self.submission.knows(rest.removeprefix(b"PLAIN ").strip())
                answer = "235 2.7.0 in" if self.known else "535 5.7.8 not you"
            case b"MAIL":
                self.envelope = _Envelope(begun=PATH.fullmatch(rest) is not None)
                answer = "250 2.1.0 Ok" if self.envelope.begun else "501 5.5.4 FROM:<...>"
            case b"RCPT":
                answer = self._recipient(rest)
            case b"DATA":
                answer = self._take() if self.envelope.recipients else "503 5.5.1 MAIL and RCPT come first"
            case b"NOOP" | b"RSET":
                self.envelope = _Envelope()
                answer = "250 2.0.0 Ok"
            case b"QUIT":
                answer = "221 2.0.0 Bye"
            case _:
                answer = "502 5.5.1 not here"
        return answer

    def _recipient(self, rest: bytes) -> str:
        path = PATH.fullmatch(rest)
        recipient = path[1].decode(errors="replace") if path else ""
        if not self.envelope.begun or recipient not in self.submission.passwords:
            return "550 5.1.1 nobody of that name"
        self.envelope.recipients.append(recipient)
        return "250 2.1.5 Ok"

    def _take(self) -> str:
        self._say("354 end with a dot")
        message = bytearray()
        while (line := self.rfile.readline(LONGEST_LINE)) != b".\r\n":
            if not line or len(message) > LARGEST_MESSAGE:
                return "421 4.3.0 not to its end"
            message += line.removeprefix(b".")
        for recipient in self.envelope.recipients:
            self.submission.deliver(recipient, bytes(message))
        self.envelope = _Envelope()
        return "250 2.0.0 delivered"

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


LOGGED_IN: Final = (b"MAIL", b"RCPT", b"DATA")
OFFERED: Final = (f"SIZE {LARGEST_MESSAGE}", "8BITMIME", "ENHANCEDSTATUSCODES", "PIPELINING")
