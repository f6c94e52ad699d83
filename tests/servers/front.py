"""The product before fake backends: which account lives on which, and a client that says what a test gives it.

There are three backends, `mbox` in clear, `mbox-starttls` and `mbox-implicit`; each has a port a protocol.
"""

from __future__ import annotations

import ssl
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Self

from servers import fake_mailbox, said
from servers.fake_backend import FakeBackend
from servers.raw_client import RawClient
from servers.waiting import until
from servers.zproxy import LISTENERS, Zproxy
from zcontrol.demo.accounts import HOSTNAME
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority, Certificate
    from servers.fake_backend import Behaviour
    from servers.zproxy import Config

ALICE = "alice@example.net"
BOB = "bob@example.net"
"""May act as Alice."""
STARTTLS = "starttls@example.net"
IMPLICIT = "implicit@example.net"
FARM = ("farm-1", "farm-2")
FARMERS = [f"farmer{number}@example.net" for number in range(8)]
LOCKED = "locked@example.net"
ACCOUNTS = f"""\
account,home,status,may_act_as
{ALICE},mbox,,
{BOB},mbox,,{ALICE}
{LOCKED},mbox,locked,
{STARTTLS},mbox-starttls,,
{IMPLICIT},mbox-implicit,,
""" + "".join(f"{account},farm,,\n" for account in FARMERS)
# So long that a busy machine does not reach one that no test is about.
TIMEOUTS = {
    "login": "30s",
    "handshake": "10s",
    "lookup": "5s",
    "connect": "5s",
    "backend_login": "10s",
    "auth_failure_delay": "100ms",
    "shutdown": "100ms",
}
# One probe an endpoint, at the start: whatever connects later was sent by a client.
ONE_PROBE = {"interval": "1h", "timeout": "5s", "fall": 1000}
CERTIFIED = "mbox.example"
BACKEND_TLS = {
    "mbox": {},
    "mbox-starttls": {"tls": "starttls", "verify_name": CERTIFIED},
    "mbox-implicit": {"tls": "implicit", "verify_name": CERTIFIED},
}
PORTS = {"imap": 1430, "pop3": 1100}
FORWARD = {"imap": "id", "pop3": "xclient"}


class Front:
    """A running product and its backends; a context manager.

    `farm` is the kind of a group of two more backends; `apart` runs control and edge in two processes; `changes`
    replace whole keys of the config.
    """

    def __init__(
        self, directory: Path, authority: Authority, /, *, farm: str = "", apart: bool = False, **changes: object
    ) -> None:
        self._running = ExitStack()
        self.authority = authority
        self.context = authority.client_context()
        context = server_context(authority.issue(CERTIFIED))
        self._tls = BACKEND_TLS | ({name: {} for name in FARM} if farm else {})
        self.hosts = {name: own_address() for name in self._tls}
        self.backends = {
            name: {
                protocol: FakeBackend(behaviour, address=self.hosts[name], port=PORTS[protocol])
                for protocol, behaviour in behaves(tls.get("tls"), context)
            }
            for name, tls in self._tls.items()
        }
        (directory / "accounts.csv").write_text(ACCOUNTS)
        config = self._config(directory) | ({"groups": [{"name": "farm", "kind": farm}]} if farm else {}) | changes
        if apart:
            config |= {"api": {"address": f"unix:{directory}/api.sock"}}
            self.control, self.zproxy = (
                Zproxy(_made(directory / role), config, role=role) for role in ("control", "edge")
            )
        else:
            self.control = self.zproxy = Zproxy(directory, config)

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for ports in self.backends.values():
                for backend in ports.values():
                    starting.enter_context(backend)
            if self.control is not self.zproxy:
                starting.enter_context(self.control)
            starting.enter_context(self.zproxy)
            self.await_probes()
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def await_probes(self) -> None:
        """Wait until every backend has been connected to: the edge has the pool."""
        until(lambda: all(one.conversations for ports in self.backends.values() for one in ports.values()))

    def client(self, listener: str, *, address: str | None = None) -> RawClient:
        """Connect and say nothing."""
        return RawClient(self.zproxy.listeners[listener], address=address)

    def greeted(self, listener: str, *, address: str | None = None) -> RawClient:
        """Connect and hear the greeting."""
        client = self.client(listener, address=address)
        if listener.endswith("s"):
            client.secure(self.context, HOSTNAME)
        assert client.line().startswith((b"* OK", b"+OK"))
        return client

    @contextmanager
    def session(self, listener: str, account: str) -> Iterator[RawClient]:
        """Be logged in."""
        with self.greeted(listener) as client:
            protocol = listener.removesuffix("s")
            answer = client.ask(said.log_in(protocol, account))
            assert answer.startswith(said.WELCOME[protocol]), answer
            yield client

    def answer(self, listener: str, account: str) -> bytes:
        """Return what a login is told; who is let in leaves at once."""
        with self.greeted(listener) as client:
            return client.ask(said.log_in(listener.removesuffix("s"), account))

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Nothing in the block makes the proxy connect to any backend."""
        before = self._connections()
        yield
        assert self._connections() == before

    @contextmanager
    def behaving(self, name: str, protocol: str, behaviour: Behaviour) -> Iterator[FakeBackend]:
        """Within the block that backend does something else."""
        backend = self.backends[name][protocol]
        behaved, backend.behaviour = backend.behaviour, behaviour
        try:
            yield backend
        finally:
            backend.behaviour = behaved

    def _connections(self) -> int:
        return sum(len(one.conversations) for ports in self.backends.values() for one in ports.values())

    def _config(self, directory: Path) -> Config:
        certificate = self.authority.issue(HOSTNAME)
        return {
            "listeners": LISTENERS,
            "certificates": [
                {"certificate_file": str(certificate.certificate_file), "key_file": str(certificate.key_file)}
            ],
            "backend_tls": {"ca_file": str(self.authority.ca_file)},
            "timeouts": TIMEOUTS,
            "health": ONE_PROBE,
            "directory": {"file": {"path": str(directory / "accounts.csv")}},
            "backends": [
                {
                    "name": name,
                    "host": self.hosts[name],
                    "endpoints": {
                        protocol: {
                            "port": PORTS[protocol],
                            "forward": FORWARD[protocol],
                            **self._tls[name],
                        }
                        for protocol in PORTS
                    },
                    **({"group": "farm"} if name in FARM else {}),
                }
                for name in self.backends
            ],
        }


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def behaves(tls: str | None, context: ssl.SSLContext) -> Iterator[tuple[str, Behaviour]]:
    """Give what a good backend does, a protocol."""
    if tls == "starttls":
        yield "imap", partial(fake_mailbox.imap_starttls, context=context)
        yield "pop3", partial(fake_mailbox.pop3_starttls, context=context)
        return
    for protocol, behaviour in (("imap", fake_mailbox.imap), ("pop3", fake_mailbox.pop3)):
        yield protocol, fake_mailbox.in_tls(behaviour, context) if tls == "implicit" else behaviour


def server_context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    return context


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What the block waits for comes in that time."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds
