"""Waiting for what another process does: until it is true, or a deadline says it never will be."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
POLL_SECONDS = 0.02
SETTLED_SECONDS = 0.3


def until(what: Callable[[], T], *, seconds: float = 10) -> T:
    """Return the first true answer of `what`; after `seconds` without one, fail and show the last."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what} was still {answer!r} after {seconds} s"
        time.sleep(POLL_SECONDS)


def settled(what: Callable[[], T], *, seconds: float = 10) -> T:
    """Return the answer of `what` as soon as it has been the same for a while."""
    last, since = what(), time.monotonic()

    def unchanged() -> bool:
        nonlocal last, since
        if (answer := what()) != last:
            last, since = answer, time.monotonic()
        return time.monotonic() - since > SETTLED_SECONDS

    until(unchanged, seconds=seconds)
    return last


def accepts(address: str, port: int) -> bool:
    """Tell whether a server takes connections."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
