"""One proxy that is running: where its services are, and what its processes use."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from servers.process import cpu_seconds, family, private_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    process: int
    addresses: Mapping[str, str]
    """Host and port by service."""
    asked: int | None = None
    """The process that it asks where users live, which is not counted as its own; None: it asks nobody."""

    def cpu_seconds(self) -> float:
        """Return what all its processes have used."""
        return sum(map(cpu_seconds, family(self.process)))

    def asked_cpu_seconds(self) -> float:
        """Return what answering it has used."""
        return sum(map(cpu_seconds, family(self.asked))) if self.asked else 0.0

    def private_bytes(self) -> int:
        """Return what all its processes hold."""
        return sum(map(private_bytes, family(self.process)))


def addresses(host: str) -> Mapping[str, str]:
    """Return those of a peer that has an address of its own."""
    return {service: f"{host}:{port}" for service, port in PORTS.items()}
