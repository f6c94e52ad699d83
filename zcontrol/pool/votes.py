"""What the attached edges say of endpoints that are down, and which members of shared groups are down by their vote.

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
    """The endpoints that each attached edge calls down, and why."""

    def __init__(self) -> None:
        self._down: dict[str, dict[tuple[str, str], str]] = {}
        # Every edge is told, so every edge's stream asks.
        self._counted: tuple[pool_pb2.Pool, frozenset[str]] | None = None

    @property
    def edges(self) -> int:
        """How many edges have told what they see."""
        return len(self._down)

    def report(self, edge_id: str, report: edge_pb2.HealthReport) -> None:
        """Take what changed in an edge's view; its first report makes it a voter."""
        self._counted = None
        down = self._down.setdefault(edge_id, {})
        for endpoint in report.endpoints:
            key = (endpoint.backend, endpoint.service)
            if endpoint.up:
                down.pop(key, None)
            elif len(down) < ENDPOINTS_AN_EDGE:
                down[key] = _readable(endpoint.reason)

    def forget(self, edge_id: str) -> None:
        """The edge has left; nobody knows what it sees now."""
        self._counted = None
        self._down.pop(edge_id, None)

    def endpoints_down(self, pool: pool_pb2.Pool) -> list[pool_pb2.EndpointDown]:
        """Every endpoint that an edge calls down, in the order of the pool."""
        self._drop_unknown(pool)
        reasons: dict[tuple[str, str], list[str]] = {}
        for down_there in self._down.values():
            for key, reason in down_there.items():
                reasons.setdefault(key, []).append(reason)
        place = {backend.name: index for index, backend in enumerate(pool.backends)}
        return [
            pool_pb2.EndpointDown(
                backend=key[0],
                service=key[1],
                edges=len(told),
                of=self.edges,
                reason=collections.Counter(told).most_common(1)[0][0],
            )
            for key, told in sorted(reasons.items(), key=lambda item: (place[item[0][0]], item[0][1]))
        ]

    def members_down(self, pool: pool_pb2.Pool) -> frozenset[str]:
        """The members of shared groups with an endpoint that most edges call down.

        One endpoint is enough, because a user's sessions on every protocol belong on one member. Where all members of a
        group seem down none is called so: there is nowhere to move to, and all at once is more likely our own network.
        """
        if self._counted is None or self._counted[0] is not pool:
            self._counted = (pool, self._count(pool))
        return self._counted[1]

    def _count(self, pool: pool_pb2.Pool) -> frozenset[str]:
        self._drop_unknown(pool)
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

    def _drop_unknown(self, pool: pool_pb2.Pool) -> None:
        """A name that comes again later is another server, of which nothing is known yet."""
        known = {backend.name for backend in pool.backends}
        for down_there in self._down.values():
            for key in [key for key in down_there if key[0] not in known]:
                del down_there[key]


def _readable(reason: str) -> str:
    """A reason may quote what a backend said, and is read in terminals."""
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in reason)
    return (text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…") or "no reason given"


# Far more than any pool has; a bound on what one edge can make control remember.
ENDPOINTS_AN_EDGE = 100_000
# A line or two of a terminal.
LONGEST_REASON = 160
