"""Each step of a visit as a row of locust's statistics; what fails is counted there with the server's own words."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from locust.event import EventHook

ACTS = "WORLD"
"""The protocol of what a shape does: no step of a user."""
LONGEST_TEXT = 200
"""Of a failure: locust keeps each different one."""


class ServerError(Exception):
    """The server refused, broke the protocol or went away; the text is what it said."""


class FailedError(Exception):
    """A failure as its row has it: what was said, and at whose home."""


@dataclass(kw_only=True)
class Step:
    """What is found out while it runs."""

    name: str
    octets: int = 0
    """What came."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Where one user's steps go."""

    request: EventHook
    protocol: str
    home: str = ""

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time one step; what goes wrong is counted, then raised."""
        step = Step(name=name)
        start = time.perf_counter()
        # Not `finally`: a user who is stopped amid a step has neither finished it nor failed.
        try:
            yield step
        except (OSError, ServerError) as error:
            self._count(step, since(start), FailedError(told(error, self.home)))
            raise
        self._count(step, since(start), None)

    @contextmanager
    def waiting(self, name: str) -> Iterator[None]:
        """Wait for what may take as long as it will: only what goes wrong is counted, without a time, then raised."""
        try:
            yield
        except (OSError, ServerError) as error:
            self._count(Step(name=name), None, FailedError(told(error, self.home)))
            raise

    def _count(self, step: Step, took: float | None, failure: FailedError | None) -> None:
        fields: dict[str, Any] = {"request_type": self.protocol, "name": step.name, "response_length": step.octets}
        self.request.fire(**fields, response_time=took, exception=failure, context={"home": self.home})


def since(start: float) -> float:
    """Return the milliseconds since then."""
    return (time.perf_counter() - start) * 1000


def told(error: Exception, home: str) -> str:
    """Return what went wrong in one printable line, `AT_HOME` and the home behind it."""
    text = str(error) or type(error).__name__
    shown = "".join(letter if letter.isprintable() else "?" for letter in text.strip())[:LONGEST_TEXT]
    return f"{shown}{AT_HOME}{home}" if home else shown


AT_HOME = " · home "
"""Master and workers share failures as texts alone: behind this one is whose home it was."""
