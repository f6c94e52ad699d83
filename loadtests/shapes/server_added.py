"""A server joins the pool under a steady load, and leaves it again: the target's `spare`, by the gRPC API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from plan.fields import PlanError
from shapes.base import Act, Disturbance, Settings
from shapes.pool import Pool
from shapes.steady_day import SteadyDay, SteadySettings

if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class JoiningSettings(SteadySettings):
    """When; shares of the time."""

    joins: float = 0.35
    leaves: float = 0.8


class ServerAdded(SteadyDay):
    """A steady day on which the pool changes twice."""

    kind: ClassVar[type[Settings]] = JoiningSettings

    def disturbance(self) -> Disturbance:
        """It joins and leaves."""
        target, settings = self.target, self.settings
        if not target.api or not target.spare:
            raise PlanError("the target's `api` and `spare` are missing: where the API is, and the server to add")
        pool = Pool(target.api, target.spare)
        return Disturbance(
            begins=settings.joins * settings.seconds,
            begin=Act(name="server joins", do=pool.add),
            ends=settings.leaves * settings.seconds,
            end=Act(name="server leaves", do=pool.remove),
        )
