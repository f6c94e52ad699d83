"""IMAP as a mail program speaks it, RFC 3501 and IDLE of RFC 2177."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from clients.steps import ServerError

if TYPE_CHECKING:
    from clients.steps import Steps
    from clients.wire import Wire
    from plan.accounts import Account

LITERAL = re.compile(rb"\{(\d+)\+?\}$")
EXISTS = re.compile(rb"\* (\d+) EXISTS$", re.IGNORECASE)


class Imap:
    """One session."""

    def __init__(self, wire: Wire, steps: Steps) -> None:
        self._wire = wire
        self._steps = steps
        self._tags = 0
        self.messages = 0
        """In the folder that is open, as far as the server has said."""

    def greeting(self) -> None:
        """Hear it."""
        with self._steps.step("greeting"):
            line = self._wire.line()
            if not line.startswith(b"* OK"):
                raise ServerError(line.decode(errors="replace"))

    def ask_for_tls(self) -> None:
        """Say STARTTLS; the handshake is next."""
        self._do("STARTTLS", "STARTTLS")

    def login(self, account: Account) -> None:
        """Say who it is."""
        self._do("login", f"LOGIN {_quoted(account.name)} {_quoted(account.password)}")

    def open_inbox(self) -> None:
        """SELECT INBOX: the first command that the mailbox server itself answers."""
        self._do("first command", "SELECT INBOX")

    def list_folders(self) -> None:
        """As a program does when it starts."""
        self._do("LIST", 'LIST "" "*"')

    def overview(self, most: int) -> None:
        """Look at the heads of the newest messages."""
        if self.messages:
            first = max(1, self.messages - most + 1)
            self._do("FETCH heads", f"FETCH {first}:* (UID FLAGS RFC822.SIZE ENVELOPE)")

    def read_newest(self) -> None:
        """Read the newest message."""
        if self.messages:
            self._do("message", f"FETCH {self.messages} (UID BODY[])")

    def noop(self) -> None:
        """Ask whether there is news."""
        self._do("NOOP", "NOOP")

    def idle(self, seconds: float) -> bool:
        """Wait for news; tell whether there was any. A server that says goodbye meanwhile is a failure."""
        with self._steps.step("IDLE"):
            tag = self._say("IDLE")
            while not (line := self._wire.line()).startswith(b"+"):
                self._heed(line, tag)
        before, until = self.messages, time.monotonic() + seconds
        while self.messages <= before and (left := until - time.monotonic()) > 0:
            with self._steps.waiting("IDLE"):
                self._heed(self._wire.line_within(left) or b"", tag)
        with self._steps.step("DONE"):
            self._wire.send(b"DONE\r\n")
            self._finish(tag)
        return self.messages > before

    def logout(self) -> None:
        """Say goodbye."""
        with self._steps.step("LOGOUT"):
            tag = self._say("LOGOUT")
            while not (line := self._wire.line()).startswith(tag + b" "):
                if not line.startswith(b"*"):
                    raise ServerError(line.decode(errors="replace"))

    def _do(self, step: str, command: str) -> None:
        with self._steps.step(step) as measured:
            measured.octets = self._finish(self._say(command))

    def _say(self, command: str) -> bytes:
        self._tags += 1
        tag = f"a{self._tags}"
        self._wire.send(f"{tag} {command}\r\n".encode("ascii"))
        return tag.encode("ascii")

    def _finish(self, tag: bytes) -> int:
        """Read until the command's own answer, which must be OK; return how many octets came."""
        octets = 0
        while True:
            line = self._wire.line()
            octets += len(line) + 2
            while literal := LITERAL.search(line):
                octets += len(self._wire.octets(int(literal[1])))
                line = self._wire.line()
                octets += len(line) + 2
            if line.startswith(tag + b" OK"):
                return octets
            self._heed(line, tag)

    def _heed(self, line: bytes, tag: bytes) -> None:
        if line.startswith((tag, b"* BYE")):
            raise ServerError(line.removeprefix(tag + b" ").decode(errors="replace"))
        if exists := EXISTS.match(line):
            self.messages = int(exists[1])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
