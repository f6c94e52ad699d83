"""A server dies under a steady load and comes back: the target's `dies` and `returns` are the commands that do it.

What its users are told meanwhile is in the failures; with `homes_may_fail` the run passes if nobody else's fail.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clients.steps import ServerError
from plan.fields import PlanError
from shapes.base import Act, Disturbance, Settings
from shapes.steady_day import SteadyDay, SteadySettings

if TYPE_CHECKING:
    from typing import ClassVar

COMMAND_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class DyingSettings(SteadySettings):
    """When; shares of the time."""

    dies: float = 0.35
    returns: float = 0.65


class BackendDies(SteadyDay):
    """A steady day for all but one server."""

    kind: ClassVar[type[Settings]] = DyingSettings

    def disturbance(self) -> Disturbance:
        """It dies and returns."""
        target, settings = self.target, self.settings
        if not target.dies or not target.returns:
            raise PlanError("the target's `dies` and `returns` are missing: commands that stop a server and start it")
        return Disturbance(
            begins=settings.dies * settings.seconds,
            begin=Act(name="server dies", do=lambda: _run(target.dies)),
            ends=settings.returns * settings.seconds,
            end=Act(name="server returns", do=lambda: _run(target.returns)),
        )


def _run(commands: tuple[str, ...]) -> str:
    for command in commands:
        # A shell's, as the tester wrote it: `ssh mbox-2 systemctl stop dovecot`.
        try:
            done = subprocess.run(  # noqa: S602
                command, shell=True, check=False, capture_output=True, text=True, timeout=COMMAND_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise ServerError(f"{command}: not done in {COMMAND_SECONDS} s") from error
        if done.returncode:
            raise ServerError(f"{command}: status {done.returncode}, {done.stderr.strip()}")
    return "; ".join(commands)
