"""What a row came to: medians and spread by peer, whether zproxy reached what it must; and as JSON, to be kept."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from compare.measure import Sample
from compare.rows import BEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compare.rows import Bound, Row

OURS: Final = "zproxy"
DIGITS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Result:
    """Of one row."""

    row: Row
    samples: Mapping[str, Sequence[Sample]]
    """By peer, in the order in which they were taken."""
    versions: Mapping[str, str]
    about: Mapping[str, str]
    """Machine, commit and time."""

    def kept(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        samples = {name: [asdict(sample) for sample in of_peer] for name, of_peer in self.samples.items()}
        return {"about": dict(self.about), "versions": dict(self.versions), "samples": samples}

    @classmethod
    def read(cls, row: Row, kept: Mapping[str, Any]) -> Result:
        """Read what `kept` has returned."""
        samples = {name: [Sample(**one) for one in of_peer] for name, of_peer in kept["samples"].items()}
        return cls(row=row, samples=samples, versions=kept["versions"], about=kept["about"])

    def value(self, name: str) -> float:
        """Return the median of a peer, beyond that of the row's `beyond`."""
        beyond = self.row.beyond
        return self._median(name) - (self._median(beyond) if beyond and name != beyond else 0)

    def _median(self, name: str) -> float:
        return median(sample.value for sample in self.samples[name])

    def spread(self, name: str) -> float:
        """Return how far its extremes lie apart, as a share of the median."""
        values = [sample.value for sample in self.samples[name]]
        return (max(values) - min(values)) / self._median(name) if self._median(name) else 0.0

    def beside(self, name: str) -> Mapping[str, float]:
        """Return the medians of what else was seen, beyond those of the row's `beyond`."""
        keys, beyond = self.samples[name][0].beside, self.row.beyond

        def seen(key: str, of: str) -> float:
            return median(sample.beside[key] for sample in self.samples[of])

        return {key: seen(key, name) - (seen(key, beyond) if beyond and name != beyond else 0) for key in keys}

    def ratio(self, name: str) -> float | None:
        """Return how many times a peer's figure zproxy's is; None where there are not both."""
        if OURS not in self.samples or name == self.row.beyond or not self.value(name):
            return None
        return self.value(OURS) / self.value(name)

    def errors(self, name: str) -> Mapping[str, int]:
        """Return what failed, with how often."""
        errors: dict[str, int] = {}
        for sample in self.samples[name]:
            for text, count in sample.errors.items():
                errors[text] = errors.get(text, 0) + count
        return errors

    def limit(self, bound: Bound) -> float | None:
        """Return what zproxy must not be above; None if the peer was not measured."""
        if not bound.of:
            return bound.most
        others = [
            self.value(name)
            for name in self.samples
            if name not in {OURS, self.row.beyond} and (bound.of == BEST or bound.of in {name, name.split()[0]})
        ]
        return bound.most * min(others) if others else None

    def reached(self) -> bool | None:
        """Tell whether all bounds are kept; None if there are none, or one cannot be told."""
        limits = [self.limit(bound) for bound in self.row.bounds]
        if OURS not in self.samples or not limits or None in limits:
            return None
        return all(self.value(OURS) <= limit for limit in limits if limit is not None)


def figure(value: float) -> str:
    """Write a figure to three digits, as far as they mean something."""
    before = math.floor(math.log10(abs(value))) + 1 if value else 1
    return f"{value:.{min(max(DIGITS - before, 0), DIGITS - 1)}f}"


def wanted(bound: Bound) -> str:
    """Say what a bound asks for."""
    if not bound.of:
        return f"≤ {bound.most:g}"
    other = "the best peer" if bound.of == BEST else bound.of
    return f"≤ {other}" if bound.most == 1 else f"≤ {bound.most:g} of {other}"


def told(result: Result) -> str:
    """Return the lines that a terminal shows."""
    row = result.row
    lines = f"{row.key}: {row.name}, {row.unit}\n"
    for name in result.samples:
        beside = ", ".join(f"{key} {figure(value)}" for key, value in result.beside(name).items() if value)
        errors = f"; errors {dict(result.errors(name))}" if result.errors(name) else ""
        ratio = result.ratio(name)
        times = "" if ratio is None or name == OURS else f"zproxy has {ratio:.2f} x"
        spread = f"spread {result.spread(name):.0%}"
        lines += f"  {name:15}{figure(result.value(name)):>8}  {spread:12} {times:16} ({beside}){errors}\n"
    for bound in row.bounds:
        limit = result.limit(bound)
        lines += f"  must reach {wanted(bound)}" + ("" if limit is None else f": {figure(limit)}") + "\n"
    return lines + f"  {({True: 'reached', False: 'NOT reached', None: 'no target'})[result.reached()]}\n"
