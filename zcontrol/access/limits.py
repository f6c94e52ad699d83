"""Token buckets by key, for a bounded number of keys."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable


@final
class Buckets:
    """Each key may take so many at once, and so many a second after that."""

    def __init__(self, *, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self.burst = burst
        self._clock = clock
        # What is left, and when that was so; the key used last is last.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        """Whether there was one left for this key."""
        now = self._clock()
        left, then = self._left.pop(key, (self.burst, now))
        left = min(self.burst, left + (now - then) * self.rate)
        taken = left >= 1
        self._left[key] = (left - taken, now)
        if len(self._left) > MOST_KEYS:
            self._left.popitem(last=False)
        return taken


# A key that is forgotten begins anew: who has so many addresses is not held by their buckets anyway.
MOST_KEYS = 10_000
