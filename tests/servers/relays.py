"""The product before fake MTAs: `mta` is Alice's home; Bob's is a mailbox only, so `farm`, two more, takes his."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from servers import fake_mailbox, fake_mta
from servers.fake_backend import FakeBackend
from servers.front import ALICE, BOB, ONE_PROBE, PORTS, TIMEOUTS
from servers.raw_client import RawClient, plain
from servers.waiting import until
from servers.zproxy import Zproxy, listener
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from pathlib import Path

    from servers.fake_backend import Behaviour
    from servers.zproxy import Config

MTAS = ("mta", "farm-1", "farm-2")
PORT = 1587
EHLO = b"EHLO laptop.example\r\n"
LOG_IN = {account: b"AUTH PLAIN " + plain(account, fake_mailbox.PASSWORD) + b"\r\n" for account in (ALICE, BOB)}
WELCOME = b"235 2.7.0 in\r\n"


class Relays:
    """The product and the MTAs, each behaving as given by its name; a context manager.

    `timeouts` are those that a test wants to be others.
    """

    def __init__(self, directory: Path, *, timeouts: Config | None = None, **behaviours: Behaviour) -> None:
        self._running = ExitStack()
        self.mtas = {
            name: FakeBackend(
                behaviours.get(name.replace("-", "_"), fake_mta.converse), address=own_address(), port=PORT
            )
            for name in MTAS
        }
        self._mailbox = FakeBackend(fake_mailbox.imap, address=own_address(), port=PORTS["imap"])
        self._timeouts = TIMEOUTS | (timeouts or {})
        (directory / "accounts.csv").write_text(f"account,home\n{ALICE},mta\n{BOB},mbox\n")
        self.zproxy = Zproxy(directory, self._config(directory))

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for backend in (*self.mtas.values(), self._mailbox):
                starting.enter_context(backend)
            starting.enter_context(self.zproxy)
            # Its one probe each: it has the pool, and knows what they offer.
            until(lambda: all(mta.conversations and mta.conversations[0].ended.is_set() for mta in self.mtas.values()))
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def greeted(self) -> RawClient:
        """Connect, and be answered an EHLO."""
        client = RawClient(self.zproxy.listeners["submission"])
        assert client.line().startswith(b"220 ")
        self.offered(client)
        return client

    def session(self, account: str) -> RawClient:
        """Be logged in."""
        client = self.greeted()
        answer = client.ask(LOG_IN[account])
        assert answer == WELCOME, answer
        return client

    def offered(self, client: RawClient) -> list[str]:
        """Ask for the capabilities."""
        client.send(EHLO)
        lines = [client.line()]
        while lines[-1][3:4] == b"-":
            lines.append(client.line())
        return [line[4:].decode().strip() for line in lines[1:]]

    def _config(self, directory: Path) -> Config:
        def mta(name: str) -> Config:
            endpoints = {"submission": {"port": PORT}}
            group = {} if name == "mta" else {"group": "farm"}
            return {"name": name, "host": self.mtas[name].address, "endpoints": endpoints, **group}

        mailbox = {"name": "mbox", "host": self._mailbox.address, "endpoints": {"imap": {"port": PORTS["imap"]}}}
        return {
            "listeners": [listener("submission", "submission", "off")],
            "timeouts": self._timeouts,
            "health": ONE_PROBE,
            "directory": {"file": {"path": str(directory / "accounts.csv")}},
            "groups": [{"name": "farm", "kind": "stateless"}],
            "defaults": {"submission": "farm"},
            "backends": [*map(mta, MTAS), mailbox],
        }
