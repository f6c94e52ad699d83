"""The pool changes while people are logged in, and nobody notices; what was acknowledged outlives a kill -9."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from servers.clients import WAYS, Visitor
from servers.dovecot import login_from
from servers.waiting import until
from servers.zproxy import Zproxy, backend, two_mailboxes
from zcontrol.v1 import pool_pb2, pool_pb2_grpc, session_pb2, session_pb2_grpc

if TYPE_CHECKING:
    import imaplib
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.dovecot import StartDovecot
    from servers.zproxy import Config
    from zcontrol.demo.dovecot import MailboxServer

SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"


@pytest.fixture
def config(tmp_path: Path, authority: Authority, mailboxes: dict[str, MailboxServer]) -> Config:
    return two_mailboxes(tmp_path, authority, mailboxes)


@pytest.fixture
def zproxy(tmp_path: Path, config: Config) -> Iterator[Zproxy]:
    with Zproxy(tmp_path, config) as running:
        yield running


@pytest.fixture
def visitor(zproxy: Zproxy, authority: Authority) -> Visitor:
    return Visitor(zproxy=zproxy, context=authority.client_context())


@contextmanager
def pool(zproxy: Zproxy) -> Iterator[pool_pb2_grpc.PoolServiceStub]:
    with grpc.insecure_channel(zproxy.api) as channel:
        yield pool_pb2_grpc.PoolServiceStub(channel)


def third(server: MailboxServer) -> pool_pb2.Backend:
    """Describe a server as `backend` does for the config file."""
    made = pool_pb2.Backend(name=server.name, host=server.address)
    endpoints = backend(server)["endpoints"]
    made.endpoints.imap.port = endpoints["imap"]["port"]
    made.endpoints.imap.forward = pool_pb2.FORWARD_ID
    made.endpoints.pop3.port = endpoints["pop3"]["port"]
    made.endpoints.pop3.forward = pool_pb2.FORWARD_XCLIENT
    return made


@pytest.fixture
def held(visitor: Visitor) -> Iterator[list[imaplib.IMAP4]]:
    """Sessions that are logged in before, and must be served after."""
    with ExitStack() as stack:
        clients = [stack.enter_context(visitor.imap(WAYS["IMAPS"])) for _ in range(5)]
        for client in clients:
            client.login(BUDI, "demo")
        yield clients
        for client in clients:
            assert client.select(readonly=True) == ("OK", [b"1"])


@pytest.mark.usefixtures("held")
def test_a_server_added_at_run_time_gets_its_users_and_nobody_loses_a_session(
    start_dovecot: StartDovecot, zproxy: Zproxy, visitor: Visitor
) -> None:
    newcomer = start_dovecot("mbox-3", BUDI)
    with pool(zproxy) as stub:
        assert stub.AddBackend(pool_pb2.AddBackendRequest(backend=third(newcomer))).version == 2
    accounts = zproxy.directory / "accounts.csv"
    accounts.write_text(accounts.read_text().replace(f"{BUDI},mbox-2", f"{BUDI},mbox-3"))
    until(lambda: "lives on mbox-3" in visitor.read_first(WAYS["IMAPS"], BUDI))
    late = Visitor(zproxy=zproxy, context=visitor.context)
    late.read_first(WAYS["POP3"], BUDI)
    assert login_from(newcomer, late.address).user == BUDI


def test_a_server_is_drained_and_removed_and_no_session_is_lost(
    zproxy: Zproxy, visitor: Visitor, held: list[imaplib.IMAP4]
) -> None:
    until(lambda: _sessions(zproxy, "mbox-2") == len(held))
    with pool(zproxy) as stub:
        drained = stub.Drain(pool_pb2.DrainRequest(name="mbox-2"))
        assert drained.sessions == len(held)
        # It is his home: draining turns only those away whom balancing would send.
        assert "lives on mbox-2" in visitor.read_first(WAYS["IMAPS"], BUDI)
        until(lambda: _sessions(zproxy, "mbox-2") == len(held))
        removed = stub.RemoveBackend(pool_pb2.RemoveBackendRequest(name="mbox-2"))
        assert removed.sessions == len(held)
    until(lambda: _refused(visitor, BUDI).startswith("[UNAVAILABLE]"))
    assert "lives on mbox-1" in visitor.read_first(WAYS["IMAPS"], SITI)


def test_an_acknowledged_change_outlives_kill_9(zproxy: Zproxy, config: Config, authority: Authority) -> None:
    with pool(zproxy) as stub:
        acknowledged = stub.SetWeight(pool_pb2.SetWeightRequest(name="mbox-1", weight=7)).version
    zproxy.process.kill()
    zproxy.process.wait()
    with Zproxy(zproxy.directory, config) as again:
        with pool(again) as stub:
            current = stub.Get(pool_pb2.GetPoolRequest())
        assert (current.version, {one.name: one.weight for one in current.backends}["mbox-1"]) == (acknowledged, 7)
        visitor = Visitor(zproxy=again, context=authority.client_context())
        assert "lives on mbox-2" in visitor.read_first(WAYS["IMAPS"], BUDI)


def test_a_kick_is_answered_when_the_sessions_are_gone(zproxy: Zproxy, visitor: Visitor) -> None:
    kicked = visitor.imap(WAYS["IMAPS"])
    kicked.login(BUDI, "demo")
    with visitor.imap(WAYS["IMAP"]) as other, grpc.insecure_channel(zproxy.api) as channel:
        other.login(SITI, "demo")
        sessions = session_pb2_grpc.SessionServiceStub(channel)
        who = session_pb2.SessionFilter(account=BUDI)
        (listed,) = until(lambda: sessions.List(session_pb2.ListSessionsRequest(filter=who)).sessions)
        assert listed.client.rpartition(":")[0] == visitor.address
        answer = sessions.Kick(session_pb2.KickRequest(filter=who, text="you have moved", patience_ms=10_000))
        assert answer.sessions == 1
        assert len(sessions.List(session_pb2.ListSessionsRequest(filter=who)).sessions) == 0
        assert kicked.file.read().strip() == b"* BYE you have moved"
        assert other.noop()[0] == "OK"
    kicked.shutdown()


def _sessions(zproxy: Zproxy, backend_name: str) -> int:
    with grpc.insecure_channel(zproxy.api) as channel:
        which = session_pb2.SessionFilter(backend=backend_name)
        request = session_pb2.CountSessionsRequest(filter=which)
        return session_pb2_grpc.SessionServiceStub(channel).Count(request).sessions


def _refused(visitor: Visitor, account: str) -> str:
    with visitor.imap(WAYS["IMAPS"]) as client:
        try:
            client.login(account, "demo")
        except client.error as refusal:
            return refusal.args[0].decode()
    return ""
