"""What a crowd has said becomes rows of locust's statistics: as many steps at once as there were."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from locust.stats import StatsEntry

from clients.steps import LONGEST_TEXT
from record.times import bucket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locust.stats import RequestStats

NAMES = {"tls": "TLS", "starttls": "STARTTLS", "whole": "turn"}
"""Of rows, where zproxy-load's are not those of `clients/`."""
TURN = "turn"
"""The row of whatever fails: a turn is over then."""


def add(stats: RequestStats, crowd: str, interval: Mapping[str, Any]) -> None:
    """Add what was new in an interval."""
    for part, counts in interval["times"].items():
        if counts:
            _add_times(stats, crowd, NAMES.get(part, part), counts)
    add_failures(stats, crowd, interval["errors"])


def add_failures(stats: RequestStats, crowd: str, failures: Mapping[str, int]) -> None:
    """Add turns that failed, by their text."""
    for text, count in failures.items():
        for _ in range(count):
            stats.log_request(crowd, TURN, None, 0)
            stats.log_error(crowd, TURN, text[:LONGEST_TEXT])


def _add_times(stats: RequestStats, crowd: str, name: str, counts: list[tuple[float, int]]) -> None:
    gained = StatsEntry(stats, name, crowd)
    gained.last_request_timestamp = time.time()
    gained.num_requests = sum(count for _, count in counts)
    gained.num_reqs_per_sec[int(gained.last_request_timestamp)] = gained.num_requests
    gained.total_response_time = sum(took * count for took, count in counts)
    gained.min_response_time = min(took for took, _ in counts)
    gained.max_response_time = max(took for took, _ in counts)
    for took, count in counts:
        gained.response_times[bucket(took)] += count
    stats.get(name, crowd).extend(gained)
    stats.total.extend(gained)
