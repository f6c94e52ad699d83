"""POP3 as a program speaks it that polls, RFC 1939 and STLS of RFC 2595."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients.steps import ServerError

if TYPE_CHECKING:
    from clients.steps import Steps
    from clients.wire import Wire
    from plan.accounts import Account


class Pop3:
    """One session."""

    def __init__(self, wire: Wire, steps: Steps) -> None:
        self._wire = wire
        self._steps = steps

    def greeting(self) -> None:
        """Hear it."""
        with self._steps.step("greeting"):
            self._answer()

    def ask_for_tls(self) -> None:
        """Say STLS; the handshake is next."""
        self._do("STLS", "STLS")

    def login(self, account: Account) -> None:
        """USER and PASS."""
        with self._steps.step("login"):
            self._ask(f"USER {account.name}")
            self._ask(f"PASS {account.password}")

    def count(self) -> int:
        """STAT, the first command that the mailbox server itself answers: how many messages there are."""
        with self._steps.step("first command"):
            answer = self._ask("STAT")
            count = answer.split()[1:2]
            if not count or not count[0].isdigit():
                raise ServerError(answer.decode(errors="replace"))
            return int(count[0])

    def list_uids(self) -> None:
        """Look which messages are new."""
        with self._steps.step("UIDL") as measured:
            self._ask("UIDL")
            measured.octets = self._lines()

    def fetch(self, number: int) -> None:
        """RETR one."""
        with self._steps.step("message") as measured:
            self._ask(f"RETR {number}")
            measured.octets = self._lines()

    def delete(self, number: int) -> None:
        """DELE one."""
        self._do("DELE", f"DELE {number}")

    def quit(self) -> None:
        """Leave; what was deleted is now gone."""
        self._do("QUIT", "QUIT")

    def _do(self, step: str, command: str) -> None:
        with self._steps.step(step):
            self._ask(command)

    def _ask(self, command: str) -> bytes:
        self._wire.send(f"{command}\r\n".encode("ascii"))
        return self._answer()

    def _answer(self) -> bytes:
        line = self._wire.line()
        if not line.startswith(b"+OK"):
            raise ServerError(line.decode(errors="replace"))
        return line

    def _lines(self) -> int:
        """Read to the dot; return how many octets came."""
        octets = 0
        while (line := self._wire.line()) != b".":
            octets += len(line) + 2
        return octets
