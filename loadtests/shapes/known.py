"""Which shapes there are, by the name that a profile gives as `kind`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plan.fields import PlanError, read, unknown
from shapes.backend_dies import BackendDies
from shapes.morning_storm import MorningStorm
from shapes.steady_day import SteadyDay

if TYPE_CHECKING:
    from collections.abc import Callable

    from plan.plan import Plan
    from shapes.base import Shape


def shape_of(plan: Plan, told: Callable[[str], None]) -> Shape | None:
    """Make the profile's shape; none: it has none. `told` hears what happens meanwhile."""
    if not plan.profile.shape:
        return None
    settings = dict(plan.profile.shape)
    kind = str(settings.pop("kind", ""))
    known = _known()
    if kind not in known:
        raise PlanError(f"shape.kind {kind!r}: {unknown(kind, known)}")
    made = known[kind](read(known[kind].kind, settings, "shape"), plan.target, told)
    # What it lacks is told before anything runs.
    made.disturbance()
    return made


def _known() -> dict[str, type[Shape]]:
    # gRPC and the schema are of the process that has the shape; workers do without.
    from shapes.server_added import ServerAdded  # noqa: PLC0415

    return {
        "backend_dies": BackendDies,
        "morning_storm": MorningStorm,
        "server_added": ServerAdded,
        "steady_day": SteadyDay,
    }
