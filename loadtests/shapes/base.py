"""What shapes share: a curve of users over a bounded time, and at most one disturbance, undone whatever happens."""

from __future__ import annotations

import logging
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import gevent.pool
from locust import LoadTestShape, events

from clients.steps import ACTS, ServerError, Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from plan.target import Target

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every shape is told; keys of the profile's [shape], beside `kind`."""

    users: int
    """When most are there."""
    seconds: float
    """How long the run is; then it ends by itself."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that is done to the system while it is loaded; it says in a word what came of it."""

    name: str
    do: Callable[[], str]


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """Two acts, in seconds from the start; the second undoes the first."""

    begins: float
    begin: Act
    ends: float
    end: Act


class Shape(LoadTestShape):
    """A curve."""

    abstract = True
    kind: ClassVar[type[Settings]] = Settings
    """What it is told."""

    def __init__(self, settings: Any, target: Target, told: Callable[[str], None]) -> None:  # noqa: ANN401 - its kind's
        super().__init__()  # type: ignore[no-untyped-call] # locust's
        self.settings = settings
        self.target = target
        self._tell = told
        self._open = False
        self._acts: list[tuple[float, Act, bool]] = []
        self._pending = gevent.pool.Group()

    def reset_time(self) -> None:
        """Begin, perhaps anew."""
        super().reset_time()  # type: ignore[no-untyped-call] # locust's
        disturbance = self.disturbance()
        self._open = False
        self._acts = (
            [(disturbance.begins, disturbance.begin, True), (disturbance.ends, disturbance.end, False)]
            if disturbance
            else []
        )

    def tick(self) -> tuple[int, float] | None:
        """Say how many are to be there now; locust asks every second."""
        now = self.get_run_time()  # type: ignore[no-untyped-call] # locust's
        if now >= self.settings.seconds:
            return None
        while self._acts and self._acts[0][0] <= now:
            _, act, opens = self._acts.pop(0)
            self._open = opens
            self._pending.spawn(self._perform, act)
        return min(self.settings.users, max(1, round(self.users_at(now)))), float(self.settings.users)

    def finish(self) -> None:
        """Undo what is still to be undone: the run may have been cut short."""
        self._pending.join()
        if self._open:
            self._open = False
            self._perform(self._acts.pop()[1])
        self._acts.clear()

    def disturbance(self) -> Disturbance | None:
        """Return what happens meanwhile; most days nothing does."""
        return None

    @abstractmethod
    def users_at(self, now: float) -> float:
        """Return how many are there, so many seconds from the start."""

    def _perform(self, act: Act) -> None:
        steps = Steps(request=events.request, protocol=ACTS)
        try:
            with steps.step(act.name):
                came_of_it = act.do()
        except (OSError, ServerError) as error:
            came_of_it = f"failed: {error}"
        logger.info("%s: %s", act.name, came_of_it)
        self._tell(f"{act.name}: {came_of_it}")
