"""One product before fake backends for all hostile tests: whoever breaks it breaks the tests that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.front import Front

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Front]:
    with Front(tmp_path_factory.mktemp("front"), authority) as running:
        yield running
