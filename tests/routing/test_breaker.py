"""The breaker: open after a failure, one probe a rest, rests that grow and end."""

from __future__ import annotations

from routing.fakes import Clocks
from zcontrol.breaker import FIRST_REST_SECONDS, LONGEST_REST_SECONDS, Breaker


def test_a_failure_opens_it_for_a_rest_and_then_lets_one_probe_through() -> None:
    clocks = Clocks()
    breaker = Breaker(monotonic=clocks)
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    clocks.now += 0.7
    assert breaker.allows()
    assert not breaker.allows()
    breaker.succeeded()
    assert breaker.closed
    assert breaker.allows()


def test_rests_grow_but_never_beyond_the_longest() -> None:
    clocks = Clocks()
    breaker = Breaker(monotonic=clocks)
    for _ in range(12):
        breaker.failed()
        clocks.now += LONGEST_REST_SECONDS * 1.2
        assert breaker.allows()
    breaker.failed()
    clocks.now += LONGEST_REST_SECONDS * 0.7
    assert not breaker.allows()


def test_those_who_asked_before_it_opened_and_fail_too_lengthen_no_rest() -> None:
    clocks = Clocks()
    breaker = Breaker(monotonic=clocks)
    for _ in range(12):
        breaker.failed()
    clocks.now += FIRST_REST_SECONDS * 1.3
    assert breaker.allows()


def test_a_probe_that_never_tells_is_followed_by_another() -> None:
    clocks = Clocks()
    breaker = Breaker(monotonic=clocks)
    breaker.failed()
    clocks.now += 1
    assert breaker.allows()
    clocks.now += 1
    assert breaker.allows()
