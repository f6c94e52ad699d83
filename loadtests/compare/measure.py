"""Measurements: clients of one kind at one peer, and what they cost it.

CPU is what the kernel has accounted to the peer's processes; memory what nobody shares with them (`smaps_rollup`), and
the kernel's slabs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from compare.site import ACCOUNT, ACCOUNTS
from servers.load import figures, running

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compare.peer import Peer
    from compare.site import Site

CONCURRENCY: Final = 32
STREAMS: Final = 4
"""Bodies under way at once: enough that no peer waits for the one before."""
UNMEASURED: Final = 20
"""What a process makes once is made by this part of the sessions that are then held."""


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
        self._churn(peer, site, min(ACCOUNTS, self.count))

    def measure(self, peer: Peer, site: Site) -> Sample:
        """Run the clients to their end."""
        own, asked = peer.cpu_seconds(), peer.asked_cpu_seconds()
        said = self._churn(peer, site, self.count)
        own, asked = peer.cpu_seconds() - own, peer.asked_cpu_seconds() - asked
        beside = {
            "µs of whom it asks": asked / self.count * 1e6,
            "a second": said["logins_per_second"],
            "resumed": said["resumed"] / self.count,
        }
        return Sample(value=own / self.count * 1e6, beside=beside, errors=said["errors"])

    def _churn(self, peer: Peer, site: Site, count: int) -> dict[str, Any]:
        options = {"concurrency": CONCURRENCY} | mail_clients(peer, site, self.service) | self.options
        return figures("churn", logins=count, **options)


@dataclass(frozen=True, kw_only=True)
class Latency:
    """ms until a client is logged in, one after another; the handshake itself is told beside."""

    service: str
    count: int

    def warm(self, peer: Peer, site: Site) -> None:
        """Let every account log in once."""
        figures("churn", logins=min(ACCOUNTS, self.count), **mail_clients(peer, site, self.service))

    def measure(self, peer: Peer, site: Site) -> Sample:
        """Log in so often."""
        said = figures("churn", logins=self.count, **mail_clients(peer, site, self.service))
        parts = said["parts_ms"]
        handshake = parts.pop("tls", {"p50": 0.0, "p99": 0.0})
        value, high = (sum(parts[part][share] for part in BEFORE_LOGIN) for share in ("p50", "p99"))
        beside = {"p99": high, "handshake": handshake["p50"], "handshake p99": handshake["p99"]}
        return Sample(value=value, beside=beside, errors=said["errors"])


@dataclass(frozen=True, kw_only=True)
class Idle:
    """KB of user space that a session holds which is logged in and rests."""

    service: str
    count: int

    def warm(self, peer: Peer, site: Site) -> None:
        """Have what a process makes once."""
        self._held(peer, site, max(self.count // UNMEASURED, 1))

    def measure(self, peer: Peer, site: Site) -> Sample:
        """Hold sessions, and look."""
        return self._held(peer, site, self.count)

    def _held(self, peer: Peer, site: Site, count: int) -> Sample:
        options = mail_clients(peer, site, self.service)
        user, kernel = peer.private_bytes(), slab_bytes()
        with running("idle", sessions=count, concurrency=CONCURRENCY, **options) as clients:
            user, kernel = float(peer.private_bytes() - user), float(slab_bytes() - kernel)
            disturbed = clients.end()["disturbed"]
        user, kernel = user / count / 1e3, kernel / count / 1e3
        return Sample(value=user, beside={"with kernel": user + kernel}, errors=clients.figures["errors"] | disturbed)


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """CPU s of a GB that passes in bodies of one size, each of them verified."""

    service: str
    direction: str
    octets: int
    count: int

    def warm(self, peer: Peer, site: Site) -> None:
        """Let one pass a stream."""
        self._moved(peer, site, STREAMS)

    def measure(self, peer: Peer, site: Site) -> Sample:
        """Let so many pass."""
        own = peer.cpu_seconds()
        said = self._moved(peer, site, self.count)
        own = peer.cpu_seconds() - own
        beside = {"GB a second": said["octets"] / said["seconds"] / 1e9}
        return Sample(value=own / max(said["octets"], 1) * 1e9, beside=beside, errors=said["errors"])

    def _moved(self, peer: Peer, site: Site, count: int) -> dict[str, Any]:
        options = {"octets": self.octets, "direction": self.direction, "concurrency": STREAMS}
        return figures("bulk", transfers=count, **options, **clients(peer, site, self.service))


@dataclass(frozen=True, kw_only=True)
class Requests:
    """CPU µs of a GET over a connection that is kept."""

    service: str
    path: str
    count: int

    def warm(self, peer: Peer, site: Site) -> None:
        """Ask in every account's name once."""
        self._asked(peer, site, min(ACCOUNTS, self.count))

    def measure(self, peer: Peer, site: Site) -> Sample:
        """Ask so often."""
        own = peer.cpu_seconds()
        said = self._asked(peer, site, self.count)
        own = peer.cpu_seconds() - own
        beside = {"a second": said["requests_per_second"]}
        return Sample(value=own / self.count * 1e6, beside=beside, errors=said["errors"])

    def _asked(self, peer: Peer, site: Site, count: int) -> dict[str, Any]:
        options = {"path": self.path, "concurrency": CONCURRENCY}
        return figures("http", requests=count, **options, **clients(peer, site, self.service))


def mail_clients(peer: Peer, site: Site, service: str) -> dict[str, Any]:
    """Return what mail clients of a service are told."""
    return {"protocol": site.protocol(service), **clients(peer, site, service)}


def clients(peer: Peer, site: Site, service: str) -> dict[str, Any]:
    """Return what all clients of a service are told."""
    tls = site.client(service) if peer.speaks_tls else {}
    return {"target": peer.addresses[service], "account": ACCOUNT, "accounts": ACCOUNTS, **tls}


def slab_bytes() -> int:
    """Return what the kernel holds in its slabs, of whomever: sockets are there."""
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("Slab:"))
    return int(line.split()[1]) * 1024


BEFORE_LOGIN: Final = ("connect", "greeting", "login")
