"""The control plane is gone: sessions go on, known users log in, unknown ones are told to come back, and can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from servers.front import ALICE, BOB, IMPLICIT, TIMEOUTS, Front, within
from servers.pausing import pause, resume
from servers.said import DONE, NOOP, TEMPORARY, WELCOME, WRONG
from servers.waiting import until
from zcontrol.v1 import pool_pb2, pool_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority

LOOKUP_SECONDS = 0.5
# What a busy machine may add.
SLACK_SECONDS = 2
# The edge's pauses between two tries have grown to a few seconds by then.
BACK_SECONDS = 20
both = pytest.mark.parametrize("how", ["killed", "stopped"])


@pytest.fixture
def front(tmp_path: Path, authority: Authority) -> Iterator[Front]:
    timeouts = TIMEOUTS | {"lookup": f"{LOOKUP_SECONDS}s"}
    with Front(tmp_path, authority, apart=True, timeouts=timeouts) as running:
        yield running


def take_away(front: Front, how: str) -> None:
    """Kill it, or stop it without closing anything, as a machine that hangs does."""
    if how == "killed":
        front.control.kill()
    else:
        pause(front.control.process.pid)


def bring_back(front: Front, how: str) -> None:
    if how == "killed":
        front.control.__enter__()
    else:
        resume(front.control.process.pid)


@both
def test_only_users_whom_the_edge_does_not_know_notice(how: str, front: Front) -> None:
    with front.session("imap", BOB) as imap, front.session("pop3", BOB) as pop3:
        live = {"imap": imap, "pop3": pop3}
        assert front.answer("imap", ALICE).startswith(WELCOME["imap"])
        take_away(front, how)
        for protocol, client in live.items():
            assert client.ask(NOOP[protocol]) == ANSWERED[protocol]
            assert front.answer(protocol, ALICE).startswith(WELCOME[protocol])
            for account in (IMPLICIT, "nobody@example.net"):
                with within(LOOKUP_SECONDS + SLACK_SECONDS):
                    assert front.answer(protocol, account) == TEMPORARY[protocol]
        bring_back(front, how)
        until(lambda: front.answer("imap", IMPLICIT).startswith(WELCOME["imap"]), seconds=BACK_SECONDS)
        assert front.answer("pop3", "nobody@example.net") == WRONG["pop3"]
        for protocol, client in live.items():
            assert client.ask(NOOP[protocol]) == ANSWERED[protocol]


@both
def test_an_edge_that_starts_meanwhile_serves_the_pool_it_has_on_disk(how: str, front: Front) -> None:
    take_away(front, how)
    front.zproxy.__exit__()
    for ports in front.backends.values():
        for backend in ports.values():
            backend.conversations.clear()
    front.zproxy.__enter__()
    # It probes the backends of the last good pool, which it cannot have from anywhere else.
    front.await_probes()
    with front.greeted("imap") as client:
        assert client.ask(NOOP["imap"]).startswith(DONE["imap"])
    assert front.answer("imap", ALICE) == TEMPORARY["imap"]
    bring_back(front, how)
    until(lambda: front.answer("imap", ALICE).startswith(WELCOME["imap"]), seconds=BACK_SECONDS)


def test_a_change_that_was_acknowledged_outlives_kill_9_of_both(front: Front) -> None:
    with grpc.insecure_channel(front.control.api) as channel:
        pools = pool_pb2_grpc.PoolServiceStub(channel)
        acknowledged = pools.RemoveBackend(pool_pb2.RemoveBackendRequest(name="mbox-implicit")).version
    front.control.kill()
    front.zproxy.kill()
    front.control.__enter__()
    front.zproxy.__enter__()
    with grpc.insecure_channel(front.control.api) as channel:
        pool = pool_pb2_grpc.PoolServiceStub(channel).Get(pool_pb2.GetPoolRequest())
    assert pool.version == acknowledged
    until(lambda: front.answer("imap", ALICE).startswith(WELCOME["imap"]))
    assert front.answer("imap", IMPLICIT) == TEMPORARY["imap"]


def test_control_that_ends_politely_ends_no_session(front: Front) -> None:
    with front.session("imap", ALICE) as live:
        front.control.__exit__()
        assert live.ask(NOOP["imap"]) == ANSWERED["imap"]
        front.control.__enter__()
        assert live.ask(NOOP["imap"]) == ANSWERED["imap"]


# As `fake_mailbox` says it.
ANSWERED = {"imap": b"n OK NOOP\r\n", "pop3": b"+OK NOOP\r\n"}
