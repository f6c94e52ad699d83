"""One memcached of three is down: nobody notices, and only its own share of the routes is looked up anew."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import grpc
import pytest

from servers.front import FARMERS, Front, within
from servers.memcached import Memcached
from servers.said import WELCOME
from zcontrol.v1 import route_pb2, route_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority

TIMEOUT_SECONDS = 0.2
# All eight logins, of which the first may have to wait for the server that does not answer.
AT_ONCE_SECONDS = 8 * 0.1 + TIMEOUT_SECONDS + 2


@pytest.fixture
def memcacheds() -> Iterator[list[Memcached]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Memcached()) for _ in range(3)]


@pytest.fixture
def front(tmp_path: Path, authority: Authority, memcacheds: list[Memcached]) -> Iterator[Front]:
    cache = {
        "memcached": [one.address for one in memcacheds],
        "timeout": f"{TIMEOUT_SECONDS}s",
        "seal_key": "a key of more than thirty-two octets, for tests",
    }
    with Front(tmp_path, authority, farm="stateless", apart=True, cache=cache) as running:
        yield running


def sources(front: Front) -> dict[str, str]:
    """Return from where control has the route of each."""
    with grpc.insecure_channel(front.control.api) as channel:
        routes = route_pb2_grpc.RouteServiceStub(channel)
        return {account: routes.Explain(route_pb2.ExplainRequest(login=account)).source for account in FARMERS}


@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_it_costs_nobody_a_login_and_others_no_cached_route(
    how: str, front: Front, memcacheds: list[Memcached]
) -> None:
    for account in FARMERS:
        assert front.answer("imap", account).startswith(WELCOME["imap"])
    fullest = max(memcacheds, key=lambda one: len(one.contents()))
    share = len(fullest.contents())
    assert 0 < share < len(FARMERS)
    fullest.stop() if how == "stopped" else fullest.pause()
    # An edge that starts now knows nobody, and asks control for all of them.
    front.zproxy.__exit__()
    front.zproxy.__enter__()
    with within(AT_ONCE_SECONDS):
        for account in FARMERS:
            assert front.answer("imap", account).startswith(WELCOME["imap"])
    assert sorted(sources(front).values()) == ["cache"] * (len(FARMERS) - share) + ["directory"] * share
