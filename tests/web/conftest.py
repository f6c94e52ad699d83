"""The webmails and one browser run for all of these tests, and one product before fake web servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.browser import PICTURES
from servers.site import Site
from servers.webmails import Webmails

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority


@pytest.fixture(scope="session")
def webmails(authority: Authority) -> Iterator[Webmails]:
    PICTURES.mkdir(exist_ok=True)
    with Webmails(authority) as running:
        yield running


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), authority) as running:
        yield running
