"""File descriptors run out: accept rests and does not spin; who is in stays, who waits gets in when there is room."""

from __future__ import annotations

import resource
import select
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from servers.front import ALICE, Front
from servers.process import cpu_seconds, descriptors
from servers.said import DONE, NOOP, TEMPORARY, WELCOME, log_in
from servers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.raw_client import RawClient

# What is called down stays so for a minute: an edge that blames its backends for its own lack is caught.
HEALTH = {"interval": "100ms", "timeout": "1s", "fall": 2, "rise": 600}
ROOM = 20
CROWD = 60
WATCHED_SECONDS = 1.0
# For two threads that each look ten times a second, and probes; one that spins takes a whole second.
RESTING_CPU_SECONDS = 0.3
# As `fake_mailbox` says it.
ANSWERED = b"n OK NOOP\r\n"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Front]:
    with Front(tmp_path_factory.mktemp("descriptors"), authority, apart=True, health=HEALTH) as running:
        yield running


@contextmanager
def room_for(front: Front, more: int) -> Iterator[None]:
    """Within the block the edge may open so many files more."""
    edge = front.zproxy.process.pid
    before = resource.prlimit(edge, resource.RLIMIT_NOFILE)
    resource.prlimit(edge, resource.RLIMIT_NOFILE, (descriptors(edge) + more, before[1]))
    try:
        yield
    finally:
        resource.prlimit(edge, resource.RLIMIT_NOFILE, before)


def greeted(clients: list[RawClient]) -> list[RawClient]:
    readable, _, _ = select.select(clients, [], [], 0)
    return readable


def test_who_is_in_stays_in_and_who_waits_gets_in_when_there_is_room(front: Front) -> None:
    edge = front.zproxy.process.pid
    with front.session("imap", ALICE) as live, ExitStack() as crowd:
        with room_for(front, ROOM):
            clients = [crowd.enter_context(front.client("imap")) for _ in range(CROWD)]
            inside = until(lambda: greeted(clients) if len(greeted(clients)) >= ROOM else None)
            waiting = [client for client in clients if client not in inside]
            assert len(waiting) > ROOM
            before = cpu_seconds(edge)
            assert waiting[0].heard_within(WATCHED_SECONDS).octets == b""
            assert cpu_seconds(edge) - before <= RESTING_CPU_SECONDS
            assert greeted(waiting) == []
            assert live.ask(NOOP["imap"]) == ANSWERED
            # There is none left for a connection to the backend either.
            assert inside[0].line().startswith(b"* OK")
            assert inside[0].ask(log_in("imap", ALICE)) == TEMPORARY["imap"]
            assert inside[0].ask(NOOP["imap"]).startswith(DONE["imap"])
            for client in inside:
                client.__exit__()
            until(lambda: len(greeted(waiting)) >= ROOM)
        for client in waiting:
            assert client.line().startswith(b"* OK")
        assert waiting[-1].ask(log_in("imap", ALICE)).startswith(WELCOME["imap"])
        assert live.ask(NOOP["imap"]) == ANSWERED
    assert front.zproxy.errors().count("accept rests while") == 1
