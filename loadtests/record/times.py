"""Times as counts: how often a step took how many milliseconds, to two digits, so that they add up over workers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DIGITS = 2
"""An error of at most 5 %; locust's own counts know nothing below a millisecond."""


def bucket(milliseconds: float) -> float:
    """Return the count that a time belongs to."""
    if milliseconds <= 0:
        return 0.0
    return round(milliseconds, DIGITS - 1 - math.floor(math.log10(milliseconds)))


def percentile(counts: Mapping[float, int], share: float) -> float:
    """Return the time within which this share of the steps was done; 0: there was none."""
    wanted = math.ceil(sum(counts.values()) * share)
    for milliseconds in sorted(counts):
        wanted -= counts[milliseconds]
        if wanted <= 0:
            return milliseconds
    return 0.0
