"""One proxy that is running: where its services are, and what its processes use."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from servers.process import cpu_seconds, ended_cpu_seconds, family, private_bytes
from servers.waiting import accepts, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PORTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "imap": 10143,
        "imaps": 10993,
        "imaps_rsa": 11993,
        "pop3": 10110,
        "pop3s": 10995,
        "submission": 10587,
        "submissions": 10465,
        "https": 10443,
    }
)
"""Of a peer, by service, on an address of its own: none of them can be asked which port it was given."""
BACKENDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "imap": "imap",
        "imaps": "imap",
        "imaps_rsa": "imap",
        "pop3": "pop3",
        "pop3s": "pop3",
        "submission": "submission",
        "submissions": "submission",
        "https": "http",
    }
)
"""What each service is a proxy of."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One of them; its children are its own."""

    name: str
    version: str
    process: int | None
    """None: it is the backends themselves, without a proxy."""
    addresses: Mapping[str, str]
    """Host and port by service."""
    asked: int | None = None
    """The process that it asks where users live, which is not counted as its own; None: it asks nobody."""

    def cpu_seconds(self) -> float:
        """Return what all its processes have used, those that have ended included."""
        return _used(self.process)

    def asked_cpu_seconds(self) -> float:
        """Return what answering it has used."""
        return _used(self.asked)

    def private_bytes(self) -> int:
        """Return what all its processes hold."""
        return round(_sum(self.process, private_bytes))

    @property
    def speaks_tls(self) -> bool:
        """Tell whether its services do that should: backends do not."""
        return self.process is not None


def addresses(host: str) -> Mapping[str, str]:
    """Return those of a peer that has an address of its own."""
    return {service: f"{host}:{port}" for service, port in PORTS.items()}


def await_open(host: str, log: Path, *, port: int = PORTS["imap"]) -> None:
    """Wait until a peer takes connections; one that does not says why in its log."""
    try:
        until(lambda: accepts(host, port))
    except AssertionError:
        raise RuntimeError(f"{host}:{port} is not open:\n{log.read_text(errors='replace')}") from None


def _used(process: int | None) -> float:
    return _sum(process, lambda pid: cpu_seconds(pid) + ended_cpu_seconds(pid))


def _sum(process: int | None, of: Callable[[int], float]) -> float:
    total = 0.0
    for pid in family(process) if process else ():
        # It may have ended meanwhile.
        with contextlib.suppress(OSError):
            total += of(pid)
    return total
