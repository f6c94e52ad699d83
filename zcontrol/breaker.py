"""A breaker: stop asking who does not answer, let one question find out when that is over."""

import random
import time
from collections.abc import Callable
from typing import Final, final

# A restart takes about this long; nobody waits longer than the second for a server that has come back.
FIRST_REST_SECONDS: Final = 0.5
LONGEST_REST_SECONDS: Final = 5.0


@final
class Breaker:
    """Closed until a failure; then open for a rest that doubles with each failed probe. For use by one thread."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._rest = 0.0
        self._until = 0.0
        self._probing = False

    @property
    def closed(self) -> bool:
        """Whether it answered last time."""
        return self._rest == 0.0

    def allows(self) -> bool:
        """Whether to ask now; while open, true once a rest, and the asker must tell what came of it."""
        if self.closed:
            return True
        now = self._monotonic()
        if now < self._until:
            return False
        self._until = now + self._rest
        self._probing = True
        return True

    def succeeded(self) -> None:
        """It answered."""
        self._rest = 0.0
        self._probing = False

    def failed(self) -> None:
        """It did not: rest, longer than last time."""
        if not self.closed and not self._probing:
            # Asked before it opened: a crowd that fails at once is one failure.
            return
        self._probing = False
        self._rest = min(self._rest * 2 or FIRST_REST_SECONDS, LONGEST_REST_SECONDS)
        # So that several control replicas do not come back in step; nothing secret hangs on it.
        self._until = self._monotonic() + self._rest * random.uniform(0.8, 1.2)  # noqa: S311
