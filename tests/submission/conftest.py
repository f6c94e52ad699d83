"""The offices run for all of these tests, one product before them; tests that need another config start their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.clients import Visitor
from servers.offices import Offices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.zproxy import Zproxy


@pytest.fixture(scope="session")
def offices(authority: Authority) -> Iterator[Offices]:
    with Offices(authority) as running:
        yield running


@pytest.fixture(scope="session")
def submission(tmp_path_factory: pytest.TempPathFactory, offices: Offices) -> Iterator[Zproxy]:
    with offices.behind(tmp_path_factory.mktemp("submission")) as running:
        yield running


@pytest.fixture
def sender(submission: Zproxy, authority: Authority) -> Visitor:
    """Somebody who sends mail, from an address of his own."""
    return Visitor(zproxy=submission, context=authority.client_context())
