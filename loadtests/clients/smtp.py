"""SMTP as a mail program speaks it that submits: RFC 6409, with STARTTLS and AUTH PLAIN."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from clients.steps import ServerError

if TYPE_CHECKING:
    from clients.steps import Steps
    from clients.wire import Wire
    from plan.accounts import Account

HELLO = "EHLO load.example"


class Smtp:
    """One session."""

    def __init__(self, wire: Wire, steps: Steps) -> None:
        self._wire = wire
        self._steps = steps

    def greeting(self) -> None:
        """Hear it."""
        with self._steps.step("greeting"):
            self._answer("220")

    def hello(self) -> None:
        """EHLO."""
        self._do("EHLO", HELLO)

    def ask_for_tls(self) -> None:
        """EHLO and STARTTLS; the handshake is next."""
        self.hello()
        self._do("STARTTLS", "STARTTLS", "220")

    def login(self, account: Account) -> None:
        """AUTH PLAIN, all in one line."""
        words = base64.b64encode(f"\0{account.name}\0{account.password}".encode("ascii")).decode("ascii")
        self._do("login", f"AUTH PLAIN {words}", "235")

    def from_whom(self, account: Account) -> None:
        """MAIL, the first command that the mail server itself answers."""
        self._do("first command", f"MAIL FROM:<{account.name}>")

    def to_whom(self, recipient: str) -> None:
        """RCPT."""
        self._do("RCPT", f"RCPT TO:<{recipient}>")

    def message(self, text: bytes) -> None:
        """DATA and the message; its lines begin with no dot."""
        with self._steps.step("message") as measured:
            self._ask("DATA", "354")
            self._wire.send(text + b".\r\n")
            self._answer("250")
            measured.octets = len(text)

    def quit(self) -> None:
        """Leave."""
        self._do("QUIT", "QUIT", "221")

    def _do(self, step: str, command: str, wanted: str = "250") -> None:
        with self._steps.step(step):
            self._ask(command, wanted)

    def _ask(self, command: str, wanted: str) -> None:
        self._wire.send(f"{command}\r\n".encode("ascii"))
        self._answer(wanted)

    def _answer(self, wanted: str) -> None:
        lines = [self._wire.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self._wire.line())
        if not lines[-1].startswith(wanted.encode("ascii")):
            raise ServerError(" / ".join(line.decode(errors="replace") for line in lines))
