"""The product before two fake backends that each say who comes to them and does not live there."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from servers.load import fake_backend
from servers.zproxy import Zproxy, directory_file, listener
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.load import FakeBackend

BACKENDS = ("mbox-0", "mbox-1")
ACCOUNTS = 10
LISTENERS = [
    listener(f"{protocol}_{tls}", protocol, listened)
    for protocol in ("imap", "pop3", "submission", "http")
    for tls, listened in {"off": "off", "starttls": "starttls_required", "implicit": "implicit"}.items()
    if (protocol, tls) != ("http", "starttls")
]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    zproxy: Zproxy
    backends: dict[str, FakeBackend]
    authority: Authority

    def options(self, protocol: str, tls: str = "off") -> dict[str, Any]:
        """Say to clients where they go, as whom, and by which TLS."""
        host, port = self.zproxy.listeners[f"{protocol}_{tls}"]
        options: dict[str, Any] = {"target": f"{host}:{port}", "account": "user{}@load.example", "accounts": ACCOUNTS}
        if protocol == "http":
            options["host"] = HOSTNAME
        if tls == "off":
            return options
        return options | {"tls": tls, "tls_name": HOSTNAME, "ca_file": self.authority.ca_file}

    def counted(self) -> dict[str, Any]:
        """End the backends and add up what they have counted."""
        counts = [backend.stop() for backend in self.backends.values()]
        sums = {key: sum(count[key] for count in counts) for key in ("logins", "strangers", "messages", "octets")}
        return sums | {
            "accounts": {account: logins for count in counts for account, logins in count["accounts"].items()},
            "errors": [count["errors"] for count in counts if count["errors"]],
        }


class StartLoaded(Protocol):
    def __call__(self, *, serves: tuple[str, ...] = BACKENDS) -> Loaded: ...


@pytest.fixture
def start_loaded(tmp_path: Path, authority: Authority) -> Iterator[StartLoaded]:
    """Start it; `serves` says, for each backend, whose accounts it takes for its own."""
    with ExitStack() as stack:

        def start(*, serves: tuple[str, ...] = BACKENDS) -> Loaded:
            homes = {f"user{number}@load.example": f"mbox-{number % 2}" for number in range(ACCOUNTS)}
            backends = {}
            for name, served in zip(BACKENDS, serves, strict=True):
                file = tmp_path / name
                file.write_text("".join(f"{account}\n" for account, home in homes.items() if home == served))
                backends[name] = stack.enter_context(fake_backend(name=name, serves=file))
            config = {
                "listeners": LISTENERS,
                "certificates": [authority.issue(HOSTNAME).config],
                "limits": {"trusted": ["127.0.0.0/8"]},
                "directory": directory_file(tmp_path / "accounts.csv", homes),
                "groups": [{"name": "all", "kind": "shared"}],
                "http": {"hosts": [{"names": [HOSTNAME], "login": "all", "mode": "both"}]},
                "backends": [
                    {"name": name, "group": "all", "host": "127.0.0.1", "endpoints": backend.endpoints}
                    for name, backend in backends.items()
                ],
            }
            zproxy = stack.enter_context(Zproxy(tmp_path, config))
            return Loaded(zproxy=zproxy, backends=backends, authority=authority)

        yield start


@pytest.fixture
def loaded(start_loaded: StartLoaded) -> Loaded:
    """Start it with everybody at home."""
    return start_loaded()
