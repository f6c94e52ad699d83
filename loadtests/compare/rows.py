"""The rows of the table: what is measured, at whom, and what zproxy must reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from compare.measure import Idle, Logins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compare.measure import Sample
    from compare.peer import Peer
    from compare.site import Site

BEST: Final = "best"
MAIL: Final = ("zproxy", "nginx", "HAProxy", "Dovecot")


class Load(Protocol):
    """What can be measured."""

    def warm(self, peer: Peer, site: Site) -> None:
        """Make ready."""

    def measure(self, peer: Peer, site: Site) -> Sample:
        """Measure once."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Zproxy's figure is to be no more than this: so many times a peer's, or an absolute figure."""

    most: float
    of: str = ""
    """A peer, in its best variant; BEST: whoever is; empty: `most` is in the row's unit."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One."""

    key: str
    """By which it is chosen."""
    group: str
    name: str
    unit: str
    load: Load
    bounds: Sequence[Bound]
    peers: Sequence[str] = MAIL
    fresh: bool = False
    """Each measurement is of a peer that was just started: what sessions before have left would be taken for its."""


def rows(scale: float) -> Sequence[Row]:
    """Return all of them; a scale below 1 makes them quicker and coarser."""

    def count(number: int) -> int:
        return max(int(number * scale), 1)

    half, of_nginx = (Bound(most=0.5, of="nginx"),), Bound(most=0.65, of="nginx")
    return [
        Row(
            key="imap",
            group="logins",
            name="IMAP login, plain",
            unit="µs",
            load=Logins(service="imap", count=count(5000)),
            bounds=(of_nginx, Bound(most=1, of="HAProxy")),
        ),
        Row(
            key="imaps",
            group="logins",
            name="IMAPS login, full handshake (ECDSA P-256)",
            unit="µs",
            load=Logins(service="imaps", count=count(2000)),
            bounds=half,
        ),
        Row(
            key="pop3s",
            group="logins",
            name="POP3S login",
            unit="µs",
            load=Logins(service="pop3s", count=count(2000)),
            bounds=half,
        ),
        Row(
            key="imaps-rsa",
            group="logins",
            name="IMAPS login, full handshake, RSA-2048",
            unit="µs",
            load=Logins(service="imaps_rsa", count=count(1000)),
            bounds=(Bound(most=0.7, of=BEST),),
        ),
        Row(
            key="idle-imaps",
            group="memory",
            name="idle IMAP session, TLS in, plain out",
            unit="KB",
            load=Idle(service="imaps", count=count(2000)),
            bounds=(Bound(most=4.5),),
            fresh=True,
        ),
        Row(
            key="idle-imap",
            group="memory",
            name="idle IMAP session, plain",
            unit="KB",
            load=Idle(service="imap", count=count(2000)),
            bounds=(Bound(most=2),),
            fresh=True,
        ),
    ]
