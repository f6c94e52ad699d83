"""Stand-ins for what the resolver asks: a directory that is told what to say and when, and clocks that are set."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from prometheus_client import REGISTRY

from zcontrol.directory.base import Directory, Found, Outcome
from zcontrol.pool.votes import Votes
from zcontrol.routing.cache import InProcessCache
from zcontrol.routing.epochs import Epochs
from zcontrol.routing.resolver import Resolver, Setting
from zcontrol.routing.times import Times
from zcontrol.v1 import config_pb2, pool_pb2, route_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zcontrol.errors import DirectoryError
    from zcontrol.routing.cache import Cache

DOMAIN = "tgg.net.id"
POOL = pool_pb2.Pool(
    version=1,
    backends=[
        pool_pb2.Backend(
            name="mbox-1", host="mbox1.example", endpoints=pool_pb2.Endpoints(imap=pool_pb2.Endpoint(port=143))
        ),
        pool_pb2.Backend(
            name="mbox-2", host="mbox2.example", endpoints=pool_pb2.Endpoints(imap=pool_pb2.Endpoint(port=1143))
        ),
    ],
)


class Clocks:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def times(self, *, soft: float = 600, hard: float = 86400, negative: float = 30) -> Times:
        return Times(soft=soft, hard=hard, negative=negative, wall=self, monotonic=self)


class ToldDirectory(Directory):
    """Says what it was told, counts what it was asked, and answers when `open` is set."""

    def __init__(self, *accounts: Found, hosts: Mapping[str, str] | None = None) -> None:
        self.accounts = {found.account: found for found in accounts}
        self.errors: dict[str, DirectoryError] = {}
        self.down: DirectoryError | None = None
        self.hosts = hosts
        self.has_hosts = hosts is not None
        self.asked: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.began = asyncio.Event()

    async def find(self, names: Sequence[str]) -> list[Outcome]:
        self.asked.append(list(names))
        said = [self.down or self.errors.get(name) or self.accounts.get(name) for name in names]
        self.began.set()
        await self.open.wait()
        return said

    async def domains_of(self, hosts: Sequence[str]) -> Mapping[str, str | DirectoryError]:
        if self.down:
            return dict.fromkeys(hosts, self.down)
        known = self.hosts or {}
        return {host: known[host] for host in hosts if host in known}

    async def close(self) -> None:
        self.open.set()


@dataclass(kw_only=True)
class Bench:
    """A resolver with all it stands on within reach."""

    directory: Directory
    cache: Cache = field(default_factory=InProcessCache)
    clocks: Clocks = field(default_factory=Clocks)
    pool: pool_pb2.Pool = field(default_factory=lambda: POOL)
    names: config_pb2.Names = field(default_factory=lambda: config_pb2.Names(default_domain=DOMAIN))
    votes: Votes = field(default_factory=Votes)
    resolver: Resolver = field(init=False)

    def __post_init__(self) -> None:
        self.resolver = Resolver(
            self.directory,
            self.cache,
            Setting(
                pool=lambda: self.pool,
                names=self.names,
                times=self.clocks.times(),
                epochs=Epochs(wall=self.clocks),
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.resolver.close()

    async def ask(self, *logins: str) -> list[route_pb2.Answer]:
        return await self.resolver.resolve([route_pb2.Question(login=login.encode()) for login in logins])

    async def ask_one(self, login: str, **context: str) -> route_pb2.Answer:
        [answer] = await self.resolver.resolve([route_pb2.Question(login=login.encode(), **context)])
        return answer


def account(name: str, home: str = "mbox-1", **more: object) -> Found:
    return Found(account=f"{name}@{DOMAIN}", home=home, **more)  # type: ignore[arg-type]


def counted(metric: str, **labels: str) -> float:
    """What a counter stands at."""
    return REGISTRY.get_sample_value(f"{metric}_total", labels) or 0.0
