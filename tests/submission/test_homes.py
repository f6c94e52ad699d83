"""Which MTA takes whose mail, and what is told when it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.front import ALICE, BOB
from servers.relays import LOG_IN, WELCOME, Relays

if TYPE_CHECKING:
    from collections.abc import Iterator

LATER = b"454 4.7.0 Temporary failure, please try again later.\r\n"


@pytest.fixture(scope="module")
def relays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relays]:
    with Relays(tmp_path_factory.mktemp("relays")) as running:
        yield running


def taker(relays: Relays, account: str) -> str:
    """Log in and say goodbye; return who took the session."""
    with relays.session(account) as client:
        assert client.ask(b"QUIT\r\n").startswith(b"221 ")
    return relays.zproxy.record_from(client.address)["backend"]


def test_mail_leaves_by_the_home_where_that_is_an_mta(relays: Relays) -> None:
    assert taker(relays, ALICE) == "mta"


def test_mail_leaves_by_the_default_group_where_the_home_is_only_a_mailbox(relays: Relays) -> None:
    assert {taker(relays, BOB) for _ in range(4)} == {"farm-1", "farm-2"}


def test_a_home_that_is_down_is_a_temporary_failure_and_nobody_else_is_asked(relays: Relays) -> None:
    farm = (relays.mtas["farm-1"], relays.mtas["farm-2"])
    before = [len(mta.conversations) for mta in farm]
    with relays.greeted() as client:
        with relays.mtas["mta"].down():
            assert client.ask(LOG_IN[ALICE]) == LATER
        assert client.ask(LOG_IN[ALICE]) == WELCOME
    assert [len(mta.conversations) for mta in farm] == before


def test_a_member_of_the_group_that_is_down_is_stepped_over(relays: Relays) -> None:
    with relays.mtas["farm-1"].down():
        assert [taker(relays, BOB) for _ in range(4)] == ["farm-2"] * 4


def test_a_group_that_is_down_is_a_temporary_failure(relays: Relays) -> None:
    with relays.mtas["farm-1"].down(), relays.mtas["farm-2"].down(), relays.greeted() as client:
        assert client.ask(LOG_IN[BOB]) == LATER
