"""The servers run for all of these tests, one product before them; tests that need another config start their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.pigeonhole import ScriptServers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.zproxy import Zproxy


@pytest.fixture(scope="session")
def servers(authority: Authority) -> Iterator[ScriptServers]:
    with ScriptServers(authority) as running:
        yield running


@pytest.fixture(scope="session")
def sieve(tmp_path_factory: pytest.TempPathFactory, servers: ScriptServers) -> Iterator[Zproxy]:
    with servers.behind(tmp_path_factory.mktemp("sieve")) as running:
        yield running
