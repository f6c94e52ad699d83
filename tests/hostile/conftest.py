"""One product before fake backends for all hostile tests, and one whose patience with backends is short.

Whoever breaks one breaks the tests that follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.front import TIMEOUTS, Front

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Front]:
    with Front(tmp_path_factory.mktemp("front"), authority) as running:
        yield running


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Front]:
    """It waits `HASTY_SECONDS` for a backend, to connect and to log in."""
    timeouts = TIMEOUTS | dict.fromkeys(("connect", "backend_login"), f"{HASTY_SECONDS}s")
    with Front(tmp_path_factory.mktemp("hasty"), authority, timeouts=timeouts) as running:
        yield running


HASTY_SECONDS = 0.7
