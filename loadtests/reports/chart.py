"""A line chart as SVG that needs nothing else: axes, lines with gaps, marks where something happened, a legend."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WIDTH, HEIGHT = 760, 250
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 16, 30
# Okabe and Ito's, which the colour-blind can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
STEPS = (1, 2, 5, 10)
TICKS = 5


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line."""

    name: str
    points: Sequence[tuple[float, float | None]]
    colour: int = 0
    dashed: bool = False
    """It is the other run's."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What is drawn."""

    title: str
    unit: str
    seconds: float
    lines: Sequence[Line]
    marks: Sequence[float] = field(default=())
    """Seconds at which something happened; numbered from 1."""
    logarithmic: bool = False


def draw(chart: Chart) -> str:
    """Return the SVG element."""
    values = [value for line in chart.lines for _, value in line.points if value is not None]
    low, high, ticks = _logarithmic(values) if chart.logarithmic else _linear(values)

    def x(seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(seconds / chart.seconds, 1.0)

    def y(value: float) -> float:
        if chart.logarithmic:
            share = (math.log10(max(value, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
        else:
            share = (value - low) / (high - low)
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}">']
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts += [
        f'<text class="tick" x="{x(tick):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{tick:g} s</text>'
        for tick in _linear([chart.seconds])[2]
        if tick <= chart.seconds
    ]
    for number, mark in enumerate(chart.marks, 1):
        parts.append(f'<path class="mark" d="M{x(mark):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="tick" x="{x(mark):.1f}" y="{TOP - 4}" text-anchor="middle">{number}</text>')
    for line in chart.lines:
        dash = ' stroke-dasharray="5 4" opacity=".65"' if line.dashed else ""
        path = " ".join(_strokes(line.points, x, y))
        parts.append(f'<path class="line" stroke="{COLOURS[line.colour % len(COLOURS)]}"{dash} d="{path}"/>')
    return "".join(parts) + "</svg>" + _legend(chart)


def _strokes(
    points: Sequence[tuple[float, float | None]], x: Callable[[float], float], y: Callable[[float], float]
) -> Iterator[str]:
    begun = False
    for seconds, value in points:
        if value is None:
            begun = False
            continue
        # A lone point is a dot: its line has round ends.
        yield f"{'L' if begun else 'M'}{x(seconds):.1f} {y(value):.1f}{'' if begun else 'h0'}"
        begun = True


def _legend(chart: Chart) -> str:
    keys = "".join(
        f'<span><i style="background:{COLOURS[line.colour % len(COLOURS)]}"></i>{escape(line.name)}</span>'
        for line in chart.lines
        if not line.dashed
    )
    return f'<div class="legend">{keys}<span class="unit">{escape(chart.unit)}</span></div>'


def _linear(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Return the ends of an axis from 0, and round numbers on it."""
    most = max(values, default=0) or 1.0
    power = 10.0 ** math.floor(math.log10(most / TICKS))
    step = next(power * factor for factor in STEPS if power * factor * TICKS >= most)
    count = math.ceil(most / step)
    return 0.0, count * step, [number * step for number in range(count + 1)]


def _logarithmic(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """The same by powers of ten."""
    seen = [value for value in values if value > 0] or [1.0]
    first, last = math.floor(math.log10(min(seen))), math.ceil(math.log10(max(seen)))
    last = max(last, first + 1)
    return 10.0**first, 10.0**last, [10.0**power for power in range(first, last + 1)]
