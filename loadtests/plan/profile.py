"""Who comes, with which habits, how many at what time, and what counts as passed; a TOML file of `profiles/`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Expect:
    """When a run has passed."""

    failures: float = 0.0
    """Failed steps of all, at most; 0: none."""
    homes_may_fail: bool = False
    """Failures at the target's `homes` do not count: their server died."""
    p99_ms: dict[str, Any] = field(default_factory=dict)
    """By row, e.g. "IMAP login" = 500: 99 of 100 such steps take no longer."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One profile; each key stands in the file by this name."""

    about: str
    """A sentence for the report."""
    users: dict[str, Any]
    """By user class its habits; a class that is not named does not come."""
    crowds: dict[str, Any] = field(default_factory=dict)
    """Beside the users, by a name of yours what `generator.crowd.Crowd` has: for rates that Python cannot reach."""
    shape: dict[str, Any] = field(default_factory=dict)
    """`kind` and the settings of that shape; none: --users, --spawn-rate and --run-time say it."""
    expect: dict[str, Any] = field(default_factory=dict)
    """As `Expect` has it."""
