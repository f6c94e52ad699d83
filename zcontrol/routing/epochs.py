"""Epochs: which cached answers an invalidation has made misses.

Every invalidation makes the next epoch and is remembered by what it names; an answer that was looked up before the
last epoch that names it is outdated, wherever it is cached and under whatever spelling.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, final

from zcontrol.v1 import edge_pb2

# Beyond it the oldest is forgotten, and with it everything cached before.
REMEMBERED: Final = 100_000


@final
class Epochs:
    """The invalidations that cached answers are measured against."""

    def __init__(self, *, remembered: int = REMEMBERED, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._remembered = remembered
        # Milliseconds since 1970, so that epochs grow over restarts and compare between control replicas.
        self._current = int(wall() * 1000)
        self._floor = 0
        self._newest = 0
        self._by_name: OrderedDict[str, int] = OrderedDict()

    @property
    def current(self) -> int:
        """The epoch of a look-up that begins now."""
        return self._current

    @property
    def last_invalidation(self) -> int:
        """Its epoch, 0 if there was none: a snapshot's `epoch` for an edge that attaches."""
        return self._newest

    def invalidate(self, message: edge_pb2.Invalidation) -> int:
        """Remember what the message names, write the new epoch into it and return that."""
        self._current = self._newest = max(self._current + 1, int(self._wall() * 1000))
        message.epoch = self._current
        named = [*message.accounts, *message.account_ids]
        named += [_domain(domain) for domain in message.domains]
        named += [_home(home) for home in message.homes]
        if not named:
            self._floor = self._current
            self._by_name.clear()
        self._remember(named)
        return self._current

    def outdated(self, epoch: int, *, names: Iterable[str], home: str) -> bool:
        """Whether an answer of that epoch is a miss; `names` are the account, its id and the name asked for."""
        if epoch >= self._newest:
            return False
        if epoch < self._floor or self._later(_home(home), epoch):
            return True
        return any(
            self._later(name, epoch) or self._later(_domain(name.rpartition("@")[2]), epoch) for name in names if name
        )

    def _later(self, named: str, epoch: int) -> bool:
        return self._by_name.get(named, 0) > epoch

    def _remember(self, named: Iterable[str]) -> None:
        for name in named:
            self._by_name[name] = self._current
            self._by_name.move_to_end(name)
        while len(self._by_name) > self._remembered:
            # Who is forgotten could come back from a cache: rather nobody from before.
            self._floor = self._by_name.popitem(last=False)[1]


# A normalised name has no control, so none looks like a domain or a home here.
def _domain(domain: str) -> str:
    return f"\n@{domain}"


def _home(home: str) -> str:
    return f"\n>{home.casefold()}"
