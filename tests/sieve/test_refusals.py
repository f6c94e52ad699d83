"""Who is not let in to his filters, what he is told, and what the server's own words come to."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import grpc
import pytest

from servers import fake_scripts
from servers.fake_backend import FakeBackend
from servers.fake_mailbox import PASSWORD
from servers.front import ALICE, BOB, ONE_PROBE, TIMEOUTS
from servers.place import BUDI, NOBODY, SITI
from servers.sieve_client import SieveClient
from servers.waiting import until
from servers.zproxy import Zproxy, directory_file, listener
from zcontrol.demo.loopback import own_address
from zcontrol.v1 import session_pb2, session_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.fake_backend import Behaviour
    from servers.pigeonhole import ScriptServers

FAILED = b'NO "Authentication failed."\r\n'
TEMPORARY = b'NO (TRYLATER) "Temporary failure, please try again later."\r\n'
# The config's auth_failure_delay, less a tenth.
SHORTEST_DELAY_SECONDS = 0.2 * 0.9
PORT = 4190


class Front(NamedTuple):
    """The product before one fake server; Bob's has nothing that listens."""

    zproxy: Zproxy
    fake: FakeBackend

    def client(self, behaviour: Behaviour) -> SieveClient:
        """Connect, when the server does that."""
        self.fake.behaviour = behaviour
        return SieveClient(self.zproxy.listeners["sieve"])


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    directory = tmp_path_factory.mktemp("front")
    with FakeBackend(fake_scripts.converse, address=own_address(), port=PORT) as fake:
        hosts = {"mbox": fake.address, "mbox-down": own_address()}
        config = {
            "listeners": [listener("sieve", "sieve", "off")],
            "timeouts": TIMEOUTS,
            "health": ONE_PROBE,
            "directory": directory_file(directory / "accounts.csv", {ALICE: "mbox", BOB: "mbox-down"}),
            "backends": [
                {"name": name, "host": host, "endpoints": {"sieve": {"port": PORT}}} for name, host in hosts.items()
            ],
        }
        with Zproxy(directory, config) as zproxy:
            until(lambda: fake.conversations)
            yield Front(zproxy, fake)


def test_a_wrong_password_and_an_unknown_user_hear_the_same_at_the_same_moment(
    sieve: Zproxy, servers: ScriptServers
) -> None:
    for account in (SITI, BUDI, NOBODY):
        with servers.client(sieve) as client:
            began = time.monotonic()
            assert client.log_in(account, "wrong").last == FAILED
            assert time.monotonic() - began > SHORTEST_DELAY_SECONDS
            if account != NOBODY:
                assert client.log_in(account).ok


def test_the_last_of_too_many_attempts_is_told_goodbye(sieve: Zproxy, servers: ScriptServers) -> None:
    with servers.client(sieve) as client:
        assert [client.log_in(SITI, "wrong").last for _ in range(3)] == [FAILED] * 3
        assert client.rest() == b'BYE "Too many failed logins."\r\n'


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('NO "wrong"', FAILED),
        ('NO (TRYLATER) "Full house."', b'NO (TRYLATER) "Full house."\r\n'),
        ('NO (QUOTA) "No more."', b'NO (QUOTA) "No more."\r\n'),
        ('NO (REFERRAL "sieve://192.0.2.9") "There."', TEMPORARY),
        ('BYE (REFERRAL "sieve://192.0.2.9") "There."', TEMPORARY),
        ('NO (ENCRYPT-NEEDED) "TLS"', TEMPORARY),
        ("NO {9}\r\nnot\r\nyou!", FAILED),
        ("* NO IMAP", TEMPORARY),
    ],
)
def test_the_servers_reason_is_told_where_it_is_one_for_the_client(said: str, told: bytes, front: Front) -> None:
    with front.client(partial(fake_scripts.converse, refusal=said.encode() + b"\r\n")) as client:
        assert client.log_in(ALICE, "wrong").last == told


def test_a_server_that_is_down_is_a_temporary_fault(front: Front) -> None:
    with front.client(fake_scripts.converse) as client:
        assert client.log_in(BOB, PASSWORD).last == TEMPORARY
        assert client.log_in(ALICE, PASSWORD).last == b'OK "in"\r\n'


def test_a_referral_in_a_success_and_what_follows_it_are_told_apart(front: Front) -> None:
    welcome = b'OK (REFERRAL sieve://192.0.2.9) "in"\r\n"OWNER" "alice"\r\nOK "capabilities"\r\n'
    with front.client(partial(fake_scripts.converse, welcome=welcome)) as client:
        assert client.log_in(ALICE, PASSWORD).last == b'OK "in"\r\n'
        assert client.response() == ([b'"OWNER" "alice"\r\n'], b'OK "capabilities"\r\n')
        assert client.say("LISTSCRIPTS").last == b"OK\r\n"
        assert front.fake.conversations[-1].commands == [b"LISTSCRIPTS"]


def test_a_session_that_is_kicked_is_told_to_come_back(front: Front) -> None:
    with front.client(fake_scripts.converse) as client:
        assert client.log_in(ALICE, PASSWORD).ok
        with grpc.insecure_channel(front.zproxy.api) as channel:
            sessions = session_pb2_grpc.SessionServiceStub(channel)
            mine = session_pb2.SessionFilter(client_address=client.address)
            until(lambda: sessions.List(session_pb2.ListSessionsRequest(filter=mine)).sessions)
            kick = session_pb2.KickRequest(filter=mine, text="you have moved", patience_ms=60_000)
            kicked = sessions.Kick.future(kick)
            assert client.rest() == b'BYE (TRYLATER) "you have moved"\r\n'
            client.half_close()
            assert kicked.result().sessions == 1
