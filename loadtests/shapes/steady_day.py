"""A steady day: people come at an easy pace, and then there are always about as many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapes.base import Settings, Shape

if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class SteadySettings(Settings):
    """Of a steady day."""

    arrival: float = 0.1
    """Share of the time in which they arrive."""
    swing: float = 0.1
    """Share of the users who come and go in waves, one a quarter of the time."""


class SteadyDay(Shape):
    """The curve."""

    kind: ClassVar[type[Settings]] = SteadySettings

    def users_at(self, now: float) -> float:
        """Rise, then wave between `users` and a little less."""
        settings = self.settings
        arrived = min(1.0, now / max(settings.arrival * settings.seconds, 1.0))
        wave = 1 - settings.swing * (1 - math.cos(8 * math.pi * now / settings.seconds)) / 2
        return float(settings.users * arrived * wave)
