"""Changes while people log in without a pause: certificates, bad configs, backends that come and go. No login fails."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

import grpc
import pytest

from servers.fake_backend import FakeBackend
from servers.fake_mailbox import imap
from servers.front import ALICE, BOB, IMPLICIT, PORTS, STARTTLS, Front
from servers.said import NOOP, WRONG
from servers.waiting import until
from zcontrol.demo.accounts import HOSTNAME
from zcontrol.demo.loopback import own_address
from zcontrol.v1 import pool_pb2, pool_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority

PEOPLE = [("imaps", ALICE), ("imap", BOB), ("pop3s", STARTTLS), ("imaps", IMPLICIT)]
# Logins of each that a change must be among.
MEANWHILE = 10
ANSWERED = b"n OK NOOP\r\n"
"""As `fake_mailbox` says it."""


class Crowd:
    """People who log in again and again; what any of them was told but a welcome is kept."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._leaving = threading.Event()
        self.welcomed = dict.fromkeys(range(len(PEOPLE)), 0)
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._live, args=(number,)) for number in self.welcomed]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        for thread in self._threads:
            thread.join()

    def go_on(self) -> None:
        """Wait until each has logged in some times more."""
        goal = {number: done + MEANWHILE for number, done in self.welcomed.items()}
        until(lambda: self.failures or all(self.welcomed[number] >= goal[number] for number in goal))
        assert self.failures == []

    def _live(self, number: int) -> None:
        listener, account = PEOPLE[number]
        while not self._leaving.is_set():
            try:
                with self._front.session(listener, account):
                    self.welcomed[number] += 1
            except (AssertionError, OSError) as failure:
                self.failures.append(f"{listener} {account}: {failure!r}")


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Front]:
    """Its pool does not change."""
    with Front(tmp_path_factory.mktemp("steady"), authority) as running:
        yield running


@pytest.fixture
def front(tmp_path: Path, authority: Authority) -> Iterator[Front]:
    with Front(tmp_path, authority) as running:
        yield running


def shown_certificate(front: Front) -> bytes:
    with front.greeted("imaps") as client:
        return client.peer_certificate()


def test_certificates_are_swapped_again_and_again_and_no_login_fails(steady: Front) -> None:
    with Crowd(steady) as crowd, steady.session("imaps", ALICE) as live:
        for _ in range(3):
            crowd.go_on()
            before = shown_certificate(steady)
            renewed = steady.authority.issue(HOSTNAME)
            steady.zproxy.config["certificates"] = [
                {"certificate_file": str(renewed.certificate_file), "key_file": str(renewed.key_file)}
            ]
            steady.zproxy.reload()
            until(lambda before=before: shown_certificate(steady) != before)
            crowd.go_on()
        assert live.ask(NOOP["imap"]) == ANSWERED


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("certificates", [{"certificate_file": "/nonexistent.pem", "key_file": "/nonexistent.key"}]),
        ("listeners", [{"name": "imap", "protocol": "imap", "address": "127.0.0.1:0", "tls": "sometimes"}]),
        ("backend_tls", {"ca_file": "/nonexistent.pem"}),
        ("directory", {"file": {"path": "/nonexistent.csv"}}),
        ("limitz", {"sessions": 1}),
    ],
)
def test_a_bad_file_is_refused_whole_and_no_login_fails(key: str, value: object, steady: Front) -> None:
    """The good half of it, a delay of half a minute, is not taken either."""
    zproxy = steady.zproxy
    good, told = zproxy.config, zproxy.errors().count("config refused")
    with Crowd(steady) as crowd:
        crowd.go_on()
        zproxy.config = good | {key: value, "timeouts": {"auth_failure_delay": "30s"}}
        zproxy.reload()
        zproxy.config = good
        until(lambda: zproxy.errors().count("config refused") > told and key in zproxy.errors())
        crowd.go_on()
        assert steady.answer("imap", "nobody@example.net") == WRONG["imap"]


@contextmanager
def pool(front: Front) -> Iterator[pool_pb2_grpc.PoolServiceStub]:
    with grpc.insecure_channel(front.control.api) as channel:
        yield pool_pb2_grpc.PoolServiceStub(channel)


def test_a_backend_added_under_running_logins_gets_its_users_and_no_login_fails(front: Front) -> None:
    host = own_address()
    with FakeBackend(imap, address=host, port=PORTS["imap"]) as newcomer, pool(front) as pools, Crowd(front) as crowd:
        crowd.go_on()
        added = pool_pb2.Backend(name="newcomer", host=host)
        added.endpoints.imap.port = PORTS["imap"]
        pools.AddBackend(pool_pb2.AddBackendRequest(backend=added))
        accounts = front.zproxy.directory / "accounts.csv"
        accounts.write_text(accounts.read_text().replace(f"{BOB},mbox,", f"{BOB},newcomer,"))
        until(lambda: any(b"AUTHENTICATE" in talk.heard for talk in newcomer.conversations))
        crowd.go_on()


def test_a_backend_is_drained_and_removed_and_no_session_is_lost(front: Front) -> None:
    with ExitStack() as stack, pool(front) as pools, Crowd(front) as crowd:
        live = [stack.enter_context(front.session("imaps", ALICE)) for _ in range(5)]
        pools.Drain(pool_pb2.DrainRequest(name="mbox"))
        crowd.go_on()
        accounts = front.zproxy.directory / "accounts.csv"
        accounts.write_text(accounts.read_text().replace(",mbox,", ",mbox-implicit,"))
        until(lambda: all(moved(front, account) for account in (ALICE, BOB)))
        removed = pools.RemoveBackend(pool_pb2.RemoveBackendRequest(name="mbox"))
        assert removed.sessions >= len(live)
        crowd.go_on()
        for client in live:
            assert client.ask(NOOP["imap"]) == ANSWERED


def moved(front: Front, account: str) -> bool:
    with front.session("imap", account) as client:
        pass
    return front.zproxy.record_from(client.address)["backend"] == "mbox-implicit"
