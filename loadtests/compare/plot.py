"""The comparison as one picture: a line a row, a dot a peer, as far to the right as it costs more than zproxy."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Final

from compare.result import OURS
from reports.chart import COLOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from compare.result import Result

PEERS: Final = ("zproxy", "nginx", "HAProxy", "Dovecot")
WIDTH: Final = 860
LEFT, RIGHT, TOP, LINE = 290, 20, 64, 24
DOT: Final = 5
FONT: Final = 'font-family="sans-serif" font-size="12"'
LEAST: Final = 0.5
"""The axis goes at least so far to the left."""
TICKS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)


def draw(results: Sequence[Result]) -> str:
    """Return the SVG file."""
    drawn = [result for result in results if len(_times(result)) > 1]
    every = [times for result in drawn for times in _times(result).values()]
    ticks = _ticks(min([LEAST, *every]), max([1.0, *every]))
    low, high = math.log(ticks[0]), math.log(ticks[-1])
    bottom = TOP + LINE * len(drawn)

    def x(times: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log(times) - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 28}" {FONT}>',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" font-weight="bold">What it costs, as a multiple of what it costs zproxy</text>',
        *_legend(),
    ]
    for tick in ticks:
        ours = 'stroke="#0072b2" stroke-width="2"' if tick == 1 else 'stroke="#ddd"'
        parts.append(f'<path d="M{x(tick):.1f} {TOP - 8}V{bottom}" {ours}/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle" fill="#555">{tick:g} x</text>')
    for number, result in enumerate(drawn):
        parts += _row(result, TOP + LINE * number + LINE / 2, x)
    return "\n".join(parts) + "\n</svg>\n"


def _row(result: Result, y: float, x: Callable[[float], float]) -> Iterator[str]:
    yield f'<text x="{LEFT - 12}" y="{y + 4:.1f}" text-anchor="end">{escape(result.row.name)}</text>'
    # zproxy's line must not be to the right of it.
    if limit := min((limit for bound in result.row.bounds if (limit := result.limit(bound))), default=None):
        at = x(limit / result.value(OURS))
        yield f'<path d="M{at:.1f} {y - 8:.1f}V{y + 8:.1f}" stroke="#000" stroke-width="2"/>'
    for name, times in _times(result).items():
        peer = name.split()[0]
        # A variant is a ring.
        fill = COLOURS[PEERS.index(peer)] if name == peer else "#fff"
        colour = COLOURS[PEERS.index(peer)]
        title = f"<title>{escape(name)}: {times:.2f}</title>"
        yield f'<circle cx="{x(times):.1f}" cy="{y:.1f}" r="{DOT}" fill="{fill}" stroke="{colour}">{title}</circle>'


def _legend() -> Iterator[str]:
    at = float(LEFT)
    for peer, colour in zip(PEERS, COLOURS, strict=False):
        yield f'<circle cx="{at + DOT}" cy="38" r="{DOT}" fill="{colour}"/><text x="{at + 16}" y="42">{peer}</text>'
        at += 90
    yield f'<text x="{at}" y="42" fill="#555">ring: with 64k or splice; bar: zproxy is not to be right of it</text>'


def _times(result: Result) -> dict[str, float]:
    """How many times zproxy's figure each peer's is."""
    ratios = {name: result.ratio(name) for name in result.samples if name.split()[0] in PEERS}
    return {name: 1 / ratio for name, ratio in ratios.items() if ratio and ratio > 0}


def _ticks(least: float, most: float) -> Sequence[float]:
    """Those that hold all between them."""
    first = max(index for index, tick in enumerate(TICKS) if tick <= least or index == 0)
    last = min(index for index, tick in enumerate(TICKS) if tick >= most or index == len(TICKS) - 1)
    return TICKS[first : last + 1]
