"""Durations and sizes as people write them: "1h30m", "0.5s", "250ms", "20MiB"."""

from __future__ import annotations

import re
from decimal import Decimal

from google.protobuf.duration_pb2 import Duration


def parse_duration(text: str) -> Duration:
    """Read "24h", "1h30m", "30s" or "250ms"; ValueError says how to write one."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError('not a duration; write e.g. "30s", "5m", "1h30m" or "250ms"')
    counts = zip(match.groups(default="0"), _UNITS_MS, strict=True)
    milliseconds = round(sum(Decimal(count) * unit for count, unit in counts))
    if milliseconds > _LONGEST_MS:
        raise ValueError("longer than ten years; write a shorter duration")
    duration = Duration()
    duration.FromMilliseconds(milliseconds)
    return duration


def parse_size(text: str) -> int:
    """Read "64KiB", "20MiB" or "1GiB" as octets; ValueError says how to write one."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError('not a size; write octets as a number, or e.g. "64KiB", "20MiB"')
    return int(match[1]) * _SIZES[match[2]]


_DURATION = re.compile(
    r"(?:([0-9]{1,12})h)?(?:([0-9]{1,12})m)?(?:([0-9]{1,12}(?:\.[0-9]{1,3})?)s)?(?:([0-9]{1,12})ms)?"
)
_UNITS_MS = (3_600_000, 60_000, 1_000, 1)
_LONGEST_MS = 10 * 365 * 24 * 3_600_000
_SIZE = re.compile(r"([0-9]{1,18})(B|KiB|MiB|GiB|TiB)")
_SIZES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
