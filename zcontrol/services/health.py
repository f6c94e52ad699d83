"""Which members of shared groups are down, by the vote of the edges that look at them.

Edges may differ in what they see; a user's sessions must not. So control decides, and every edge follows.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, final

from zcontrol.v1 import pool_pb2

if TYPE_CHECKING:
    from zcontrol.v1 import edge_pb2


@final
class Votes:
    """The endpoints that each attached edge calls down."""

    def __init__(self) -> None:
        self._down: dict[str, set[tuple[str, str]]] = {}
        # Every edge is told, so every edge's stream asks.
        self._counted: tuple[pool_pb2.Pool, frozenset[str]] | None = None

    def report(self, edge_id: str, report: edge_pb2.HealthReport) -> None:
        """Take what changed in an edge's view; its first report makes it a voter."""
        self._counted = None
        down = self._down.setdefault(edge_id, set())
        for endpoint in report.endpoints:
            key = (endpoint.backend, endpoint.service)
            if endpoint.up:
                down.discard(key)
            elif len(down) < ENDPOINTS_AN_EDGE:
                down.add(key)

    def forget(self, edge_id: str) -> None:
        """The edge has left; nobody knows what it sees now."""
        self._counted = None
        self._down.pop(edge_id, None)

    def members_down(self, pool: pool_pb2.Pool) -> frozenset[str]:
        """The members of shared groups with an endpoint that most edges call down.

        One endpoint is enough, because a user's sessions on every protocol belong on one member. Where all members of a
        group seem down none is called so: there is nowhere to move to, and all at once is more likely our own network.
        """
        if self._counted is None or self._counted[0] is not pool:
            self._counted = (pool, self._count(pool))
        return self._counted[1]

    def _count(self, pool: pool_pb2.Pool) -> frozenset[str]:
        # A name that comes again later is another server, of which nothing is known yet.
        known = {backend.name for backend in pool.backends}
        for down_there in self._down.values():
            down_there -= {key for key in down_there if key[0] not in known}
        votes = collections.Counter(name for down in self._down.values() for name in {backend for backend, _ in down})
        members: dict[str, set[str]] = {
            group.name: set() for group in pool.groups if group.kind == pool_pb2.GROUP_KIND_SHARED
        }
        for backend in pool.backends:
            if backend.group in members:
                members[backend.group].add(backend.name)
        down: set[str] = set()
        for names in members.values():
            lost = {name for name in names if votes[name] * 2 > len(self._down)}
            down |= lost if lost != names else set()
        return frozenset(down)


# Far more than any pool has; a bound on what one edge can make control remember.
ENDPOINTS_AN_EDGE = 100_000
