"""One measurement: clients of one kind at one peer, and what they cost it.

CPU is what the kernel has accounted to the peer's processes; memory what nobody shares with them (`smaps_rollup`), and
the kernel's slabs, from which what the same sessions cost without a proxy is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from compare.site import ACCOUNT, ACCOUNTS
from servers.load import churn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compare.peer import Peer
    from compare.site import Site

CONCURRENCY: Final = 32


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What came of one."""

    value: float
    """In the row's unit."""
    beside: Mapping[str, float] = field(default_factory=dict)
    """What else was seen, by name."""
    errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Logins:
    """CPU µs of a login, from accept to the end of the session."""

    service: str
    count: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def warm(self, peer: Peer, site: Site) -> None:
        """Let every account log in once."""
        self._churn(peer, site, ACCOUNTS)

    def measure(self, peer: Peer, site: Site) -> Sample:
        """Run the clients to their end."""
        own, asked = peer.cpu_seconds(), peer.asked_cpu_seconds()
        figures = self._churn(peer, site, self.count)
        own, asked = peer.cpu_seconds() - own, peer.asked_cpu_seconds() - asked
        return Sample(
            value=own / self.count * 1e6,
            beside={"asked_us": asked / self.count * 1e6, "per_second": figures["logins_per_second"]},
            errors=figures["errors"],
        )

    def _churn(self, peer: Peer, site: Site, count: int) -> dict[str, Any]:
        with churn(logins=count, concurrency=CONCURRENCY, **clients(peer, site, self.service, self.options)) as figures:
            return figures


@dataclass(frozen=True, kw_only=True)
class Idle:
    """KB of user space that a session holds which has logged in and says nothing."""

    service: str
    count: int

    def warm(self, peer: Peer, site: Site) -> None:
        """Have what a process makes once."""
        self._held(peer, site, self.count // 20)

    def measure(self, peer: Peer, site: Site) -> Sample:
        """Hold sessions, and look."""
        value, kernel, errors = self._held(peer, site, self.count)
        return Sample(value=value, beside={"kernel_kb": kernel}, errors=errors)

    def _held(self, peer: Peer, site: Site, count: int) -> tuple[float, float, Mapping[str, int]]:
        options = clients(peer, site, self.service, {"end": "hold"})
        user, kernel = peer.private_bytes(), slab_bytes()
        with churn(logins=count, concurrency=CONCURRENCY, **options) as figures:
            user, kernel = peer.private_bytes() - user, slab_bytes() - kernel
        return user / count / 1e3, kernel / count / 1e3, figures["errors"]


def clients(peer: Peer, site: Site, service: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what clients of a service are told."""
    return {
        "protocol": site.protocol(service),
        "target": peer.addresses[service],
        "account": ACCOUNT,
        "accounts": ACCOUNTS,
        **site.client(service),
        **options,
    }


def slab_bytes() -> int:
    """Return what the kernel holds in its slabs, of whomever: sockets are there."""
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("Slab:"))
    return int(line.split()[1]) * 1024
