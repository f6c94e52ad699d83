"""The product before fake servers that mail is brought to: `mx` for mail of the world, and two homes, `one` and `two`.

Each home takes LMTP, and SMTP too, as an MTA of its own does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers.fake_backend import FakeBackend
from servers.fake_receiver import Receiver
from servers.front import ONE_PROBE, TIMEOUTS
from servers.probed import Probed
from servers.raw_client import RawClient
from servers.waiting import until
from servers.zproxy import Zproxy, listener
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from pathlib import Path

    from servers.fake_receiver import Taken
    from servers.zproxy import Config

SITI, BUDI, SATRIO = "siti@tgg.net.id", "budi@tgg.net.id", "satrio@gec-course.com"
"""Satrio lives on `two`, the others on `one`; each of `two`'s has a neighbour."""
ACCOUNTS = f"""\
account,home,status,aliases
{SITI},one,,rahayu@tgg.net.id
{BUDI},one,,
{SATRIO},two,,
widi@gec-course.com,two,,
locked@tgg.net.id,one,locked,
closed@tgg.net.id,one,closed,
resting@tgg.net.id,one,maintenance,
lost@tgg.net.id,,,
"""
PORTS = {"smtp": 1025, "lmtp": 1024}
HELLO = {"mx": b"EHLO client.example\r\n", "lmtp": b"LHLO client.example\r\n"}


class Post(Probed):
    """The product and the servers; a context manager. `changes` replace whole keys of the config."""

    def __init__(
        self,
        directory: Path,
        /,
        *,
        mx: Config | None = None,
        lmtp: Config | None = None,
        role: str = "run",
        **changes: object,
    ) -> None:
        self.receivers = {
            "mx": Receiver(),
            "one": Receiver(lmtp=True),
            "two": Receiver(lmtp=True),
            "one smtp": Receiver(),
            "two smtp": Receiver(),
        }
        self.hosts = {name: own_address() for name in ("mx", "one", "two")}
        self.backends = {
            name: FakeBackend(
                receiver,
                address=self.hosts[name.partition(" ")[0]],
                port=PORTS["lmtp" if receiver.lmtp else "smtp"],
            )
            for name, receiver in self.receivers.items()
        }
        (directory / "accounts.csv").write_text(ACCOUNTS)
        self.zproxy = Zproxy(directory, self._config(directory, mx or {}, lmtp or {}) | changes, role=role)

    def client(self, service: str, *, address: str | None = None) -> RawClient:
        """Connect, and be greeted and answered."""
        client = RawClient(self.zproxy.listeners[service], address=address)
        assert client.line().startswith(b"220 ")
        self.offered(client, service)
        return client

    def offered(self, client: RawClient, service: str) -> list[str]:
        client.send(HELLO[service])
        lines = [client.line()]
        while lines[-1][3:4] == b"-":
            lines.append(client.line())
        return [line[4:].decode().strip() for line in lines[1:]]

    def begun(self, service: str, *recipients: str) -> tuple[RawClient, list[bytes]]:
        """Connect and say for whom a message is; return what was said of each recipient."""
        client = self.client(service)
        assert client.ask(b"MAIL FROM:<world@example.org>\r\n") == b"250 2.1.0 Ok.\r\n"
        return client, [client.ask(f"RCPT TO:<{recipient}>\r\n".encode()) for recipient in recipients]

    def sent(self, service: str, *recipients: str, message: bytes = b"Subject: x\r\n\r\nHi.\r\n") -> list[bytes]:
        """Bring a message to recipients who are all taken; return what became of it."""
        client, answers = self.begun(service, *recipients)
        with client:
            assert all(answer.startswith(b"250 ") for answer in answers), answers
            assert client.ask(b"DATA\r\n").startswith(b"354 ")
            client.send(message + b".\r\n")
            return client.lines(len(recipients) if service == "lmtp" else 1)

    def taken(self, name: str) -> Taken:
        """Wait for the one message that a server has taken."""
        (message,) = until(lambda: self.receivers[name].messages)
        return message

    def transactions_from(self, address: str, count: int = 1) -> list[Config]:
        """Wait for the records of transactions of a client."""

        def found() -> list[Config]:
            lines = [record for record in self.zproxy.records() if record["event"] == "transaction"]
            mine = [record for record in lines if record["client"].rpartition(":")[0] == address]
            return mine if len(mine) >= count else []

        return until(found)

    def _config(self, directory: Path, mx: Config, lmtp: Config) -> Config:
        def backend(name: str, **endpoints: Config) -> Config:
            return {"name": name, "host": self.hosts[name], "endpoints": endpoints}

        smtp = {"port": PORTS["smtp"], "forward": "xclient"}
        home = {"lmtp": {"port": PORTS["lmtp"]}, "smtp": smtp}
        return {
            "listeners": [listener("mx", "mx", "off", **mx), listener("lmtp", "lmtp", "off", **lmtp)],
            "timeouts": TIMEOUTS,
            "health": ONE_PROBE,
            "names": {"detail_separator": "+", "domain_aliases": {"alias.example": "tgg.net.id"}},
            "directory": {"file": {"path": str(directory / "accounts.csv")}},
            "defaults": {"mx": "mx"},
            "backends": [backend("mx", smtp=smtp), backend("one", **home), backend("two", **home)],
        }
