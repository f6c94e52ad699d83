"""Durations and sizes are read as people write them, and nothing else is."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zcontrol.config.values import parse_duration, parse_size

COUNTS = st.integers(min_value=0, max_value=80_000)


@given(hours=COUNTS, minutes=COUNTS, seconds=COUNTS, milliseconds=COUNTS)
def test_every_combination_of_units_adds_up(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s{milliseconds}ms"
    due = timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
    assert parse_duration(text).ToTimedelta() == due


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("30s", 30_000),
        ("5m", 300_000),
        ("24h", 86_400_000),
        ("1h30m", 5_400_000),
        ("250ms", 250),
        ("0s", 0),
        ("0.25s", 250),
    ],
)
def test_reads_the_documented_durations(text: str, milliseconds: int) -> None:
    assert parse_duration(text).ToMilliseconds() == milliseconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-1s", "1.5m", ".5s", "30 s", "30S", "1m1h", "1s1s", "٣s", "1d", "999999999h"]
)
def test_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_duration(text)


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_duration(text).ToMilliseconds() >= 0


@given(st.integers(min_value=0, max_value=10**9), st.sampled_from(["B", "KiB", "MiB", "GiB", "TiB"]))
def test_a_size_is_its_count_times_its_unit(count: int, unit: str) -> None:
    power = ["B", "KiB", "MiB", "GiB", "TiB"].index(unit)
    assert parse_size(f"{count}{unit}") == count * 1024**power


@pytest.mark.parametrize("text", ["", "MiB", "20", "20MB", "20 MiB", "-1KiB", "1.5MiB", "20mib"])
def test_refuses_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="write octets"):
        parse_size(text)
