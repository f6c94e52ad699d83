"""The rows of the table: what is measured, at whom, and what zproxy must reach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from compare.measure import Bulk, Idle, Latency, Logins, Requests
from compare.site import GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compare.measure import Sample
    from compare.peer import Peer
    from compare.site import Site

    Count = Callable[[int], int]

BEST: Final = "best"
DIRECT: Final = "direct"
MAIL: Final = ("zproxy", "nginx", "HAProxy", "Dovecot")
OF_BULK: Final = ("zproxy", "nginx", "nginx 64k", "HAProxy", "Dovecot")
POST_QUANTUM: Final = "X25519MLKEM768"
MESSAGE: Final = 20_000_000


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
    bounds: Sequence[Bound] = ()
    peers: Sequence[str] = MAIL
    shows: str = ""
    """What of the things seen beside the figure belongs to it."""
    beyond: str = ""
    """A peer whose figures are taken from those of all others: what the rest of the way costs."""
    fresh: bool = False
    """Each measurement is of a peer that was just started: what sessions before have left would be taken for its."""


def rows(scale: float) -> Sequence[Row]:
    """Return all of them; a scale below 1 makes them quicker and coarser."""

    def count(number: int) -> int:
        return max(round(number * scale), 1)

    return [*_logins(count), *_latency(count), *_memory(count), *_bulk(count), *_web(count)]


def _logins(count: Count) -> Sequence[Row]:
    row = partial(Row, group="logins", unit="µs")
    half = [Bound(most=0.5, of="nginx")]
    plain = Logins(service="imap", count=count(5000))
    full = Logins(service="imaps", count=count(2000))
    rsa = replace(full, service="imaps_rsa", count=count(1500))
    post_quantum = {"groups": f"{POST_QUANTUM},{GROUP}"}
    of_plain = [Bound(most=0.65, of="nginx"), Bound(most=1, of="HAProxy")]
    return [
        row(key="imap", name="IMAP login, plain", load=plain, bounds=of_plain),
        row(key="imaps", name="IMAPS login, full handshake (ECDSA P-256)", load=full, bounds=half),
        row(key="resumed", name="IMAPS login, resumed", load=replace(full, options={"resume": True}), bounds=half),
        row(key="pop3s", name="POP3S login", load=replace(full, service="pop3s"), bounds=half),
        row(key="smtps", name="SMTPS login", load=replace(full, service="submissions"), bounds=half),
        row(key="rsa", name="IMAPS login, full, RSA-2048", load=rsa, bounds=[Bound(most=0.7, of=BEST)]),
        # Debian's OpenSSL 3.0 cannot.
        row(
            key="quantum",
            name=f"IMAPS login, full, {POST_QUANTUM}",
            load=replace(full, options=post_quantum),
            peers=["zproxy"],
        ),
    ]


def _latency(count: Count) -> Sequence[Row]:
    name = "added latency of an IMAPS login, one at a time"
    load = Latency(service="imaps", count=count(500))
    row = partial(Row, group="latency", unit="ms", peers=[*MAIL, DIRECT], beyond=DIRECT, shows="p99")
    return [row(key="latency", name=name, load=load, bounds=[Bound(most=0.4)])]


def _memory(count: Count) -> Sequence[Row]:
    row = partial(Row, group="memory", unit="KB", peers=[*MAIL, DIRECT], beyond=DIRECT, shows="with kernel", fresh=True)
    secure, plain = (Idle(service=service, count=count(2000)) for service in ("imaps", "imap"))
    return [
        row(key="idle-tls", name="idle IMAP session, TLS in, plain out", load=secure, bounds=[Bound(most=4.5)]),
        row(key="idle-plain", name="idle IMAP session, plain", load=plain, bounds=[Bound(most=2)]),
    ]


def _bulk(count: Count) -> Sequence[Row]:
    row = partial(Row, group="bulk", unit="CPU s/GB")
    plain = Bulk(service="imap", direction="fetch", octets=MESSAGE, count=count(40))
    secure = replace(plain, service="imaps", count=count(20))
    as_splice, ahead = [Bound(most=1, of="HAProxy splice")], [Bound(most=0.8, of=BEST)]
    of_plain = partial(row, bounds=as_splice, peers=[*OF_BULK, "HAProxy splice"])
    of_tls = partial(row, bounds=ahead, peers=[*OF_BULK, "HAProxy 64k"])
    return [
        of_plain(key="fetch", name="FETCH 20 MB, plain", load=plain),
        of_plain(key="append", name="APPEND 20 MB, plain", load=replace(plain, direction="append")),
        of_tls(key="fetch-tls", name="FETCH 20 MB, TLS in", load=secure),
        of_tls(key="append-tls", name="APPEND 20 MB, TLS in", load=replace(secure, direction="append")),
    ]


def _web(count: Count) -> Sequence[Row]:
    row = partial(Row, group="web")
    page = Requests(service="https", path="/1k", count=count(40_000))
    upload = Bulk(service="https", direction="put", octets=MESSAGE, count=count(20))
    as_nginx, as_best = [Bound(most=1, of="nginx")], [Bound(most=1, of=BEST)]
    peers, buffered = ["zproxy", "nginx", "HAProxy"], ["nginx 64k", "HAProxy 64k"]
    return [
        row(key="get", name="HTTPS GET 1 KB, keep-alive", unit="µs", load=page, bounds=as_nginx, peers=peers),
        row(
            key="upload",
            name="HTTPS upload 20 MB",
            unit="CPU s/GB",
            load=upload,
            bounds=as_best,
            peers=[*peers, *buffered],
        ),
    ]
