"""A home backend or a member of a group goes down and comes back: who is told what, and who is served by whom."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from servers.front import ALICE, FARM, FARMERS, IMPLICIT, Front, within
from servers.said import NOOP, TEMPORARY, WELCOME, log_in
from servers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority

HEALTH = {"interval": "0.2s", "timeout": "1s", "fall": 2, "rise": 2}
# DESIGN, section 7: control moves the users of a shared member within three seconds; a busy machine may add some.
MOVED_SECONDS = 3 + 2
AT_ONCE_SECONDS = 1
both = pytest.mark.parametrize("protocol", ["imap", "pop3"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Front]:
    with Front(tmp_path_factory.mktemp("shared"), authority, farm="shared", health=HEALTH) as running:
        yield running


@pytest.fixture(scope="module")
def stateless(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Front]:
    with Front(tmp_path_factory.mktemp("stateless"), authority, farm="stateless", health=HEALTH) as running:
        yield running


@contextmanager
def down(front: Front, *names: str) -> Iterator[None]:
    """Within the block these backends refuse connections on all their ports, and have closed those they had."""
    with ExitStack() as stack:
        for name in names:
            for backend in front.backends[name].values():
                stack.enter_context(backend.down())
        yield


def server_of(front: Front, protocol: str, account: str) -> str:
    """Log in, and return the name of the member that served."""
    with front.greeted(protocol) as client:
        assert client.ask(log_in(protocol, account)).startswith(WELCOME[protocol])
        told = client.address.encode()
        members = {name: front.backends[name][protocol].conversations for name in FARM}
        (name,) = (name for name, talks in members.items() if any(told in talk.heard for talk in talks))
        return name


@both
def test_a_user_whose_home_is_down_comes_back_when_it_does(protocol: str, shared: Front) -> None:
    with down(shared, "mbox"):
        assert shared.answer(protocol, ALICE) == TEMPORARY[protocol]
        # Probes have noticed: nobody waits for a connection any more.
        until(lambda: "down" in why_refused(shared, protocol, ALICE))
        with within(AT_ONCE_SECONDS):
            assert shared.answer(protocol, ALICE) == TEMPORARY[protocol]
            assert shared.answer(protocol, IMPLICIT).startswith(WELCOME[protocol])
    until(lambda: shared.answer(protocol, ALICE).startswith(WELCOME[protocol]))


@both
def test_a_stateless_member_that_dies_ends_its_sessions_and_fails_no_login(protocol: str, stateless: Front) -> None:
    with ExitStack() as sessions:
        clients = [sessions.enter_context(stateless.session(protocol, account)) for account in FARMERS * 2]
        with down(stateless, "farm-1"):
            ended = [client for client in clients if not client.ask_or_end(NOOP[protocol])]
            assert 0 < len(ended) < len(clients)
            assert {server_of(stateless, protocol, account) for account in FARMERS * 2} == {"farm-2"}


@both
def test_all_members_down_is_a_temporary_failure(protocol: str, stateless: Front) -> None:
    with down(stateless, *FARM):
        assert stateless.answer(protocol, FARMERS[0]) == TEMPORARY[protocol]
    until(lambda: stateless.answer(protocol, FARMERS[0]).startswith(WELCOME[protocol]))


def test_every_session_of_a_user_is_at_one_shared_member(shared: Front) -> None:
    served = {account: {server_of(shared, protocol, account) for protocol in ("imap", "pop3")} for account in FARMERS}
    assert all(len(names) == 1 for names in served.values())
    assert set.union(*served.values()) == set(FARM)


@both
def test_users_of_a_shared_member_that_died_are_told_to_come_back_until_control_has_moved_them(
    protocol: str, shared: Front
) -> None:
    served = {account: server_of(shared, protocol, account) for account in FARMERS}
    there = next(account for account, name in served.items() if name == "farm-1")
    elsewhere = next(account for account, name in served.items() if name == "farm-2")
    with down(shared, "farm-1"):
        heard = set()
        moved = lambda: heard_until_welcome(shared, protocol, there, heard)  # noqa: E731
        with within(MOVED_SECONDS):
            until(moved, seconds=MOVED_SECONDS)
        assert heard <= {TEMPORARY[protocol]}
        assert server_of(shared, protocol, there) == server_of(shared, protocol, elsewhere) == "farm-2"
    until(lambda: server_of(shared, protocol, there) == "farm-1")


def heard_until_welcome(front: Front, protocol: str, account: str, heard: set[bytes]) -> bool:
    answer = front.answer(protocol, account)
    if answer.startswith(WELCOME[protocol]):
        return True
    heard.add(answer)
    return False


def why_refused(front: Front, protocol: str, account: str) -> str:
    with front.greeted(protocol) as client:
        assert client.ask(log_in(protocol, account)) == TEMPORARY[protocol]
    return front.zproxy.refusal_of(client.address)["error"]
