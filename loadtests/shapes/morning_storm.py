"""The morning storm: a quiet night, then everybody logs in within minutes, a busy morning, and it ebbs away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapes.base import Settings, Shape

if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class StormSettings(Settings):
    """Of a storm; all but the users are shares of the time, or of the users."""

    night: float = 0.15
    """Share of the time before it breaks."""
    awake: float = 0.1
    """Share of the users who are there at night."""
    rush: float = 0.2
    """Share of the time in which all the others come."""
    ebb: float = 0.2
    """Share of the time, at the end, in which half of them go."""


class MorningStorm(Shape):
    """The curve."""

    kind: ClassVar[type[Settings]] = StormSettings

    def users_at(self, now: float) -> float:
        """Night, rush (the later, the steeper), full house, ebb."""
        settings = self.settings
        share = now / settings.seconds
        if share < settings.night:
            level = settings.awake
        elif share < settings.night + settings.rush:
            level = settings.awake + (1 - settings.awake) * ((share - settings.night) / settings.rush) ** 2
        elif share < 1 - settings.ebb:
            level = 1.0
        else:
            level = 1 - 0.5 * (share - 1 + settings.ebb) / settings.ebb
        return float(settings.users * level)
