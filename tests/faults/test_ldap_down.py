"""LDAP is down: users whom the caches know log in, past their soft TTL too; others are told to come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from servers.front import ALICE, BOB, IMPLICIT, TIMEOUTS, Front, within
from servers.said import TEMPORARY, WELCOME, WRONG
from servers.slapd import BASE, person
from servers.waiting import until
from zcontrol.v1 import route_pb2, route_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.slapd import Slapd, StartSlapd

SOFT_TTL_SECONDS = 1
LOOKUP_SECONDS = 1
LDAP_SECONDS = 0.3
# What a busy machine may add.
SLACK_SECONDS = 2
# A server that failed is left alone for a few seconds.
BACK_SECONDS = 20
NOBODY = "nobody@example.net"
ENTRIES = [
    person("alice", mail=ALICE, mailHost="mbox"),
    person("bob", mail=BOB, mailHost="mbox"),
    person("implicit", mail=IMPLICIT, mailHost="mbox-implicit"),
]


@pytest.fixture
def replicas(start_slapd: StartSlapd) -> list[Slapd]:
    return [start_slapd(*ENTRIES) for _ in range(2)]


@pytest.fixture
def front(tmp_path: Path, authority: Authority, replicas: list[Slapd]) -> Iterator[Front]:
    urls = [replica.url for replica in replicas]
    with Front(
        tmp_path,
        authority,
        directory={"ldap": {"urls": urls, "base": BASE, "timeout": f"{LDAP_SECONDS}s"}},
        cache={"soft_ttl": f"{SOFT_TTL_SECONDS}s", "hard_ttl": "1h", "negative_ttl": "1s"},
        timeouts=TIMEOUTS | {"lookup": f"{LOOKUP_SECONDS}s"},
    ) as running:
        yield running


def age(front: Front, account: str) -> int:
    with grpc.insecure_channel(front.control.api) as channel:
        explained = route_pb2_grpc.RouteServiceStub(channel).Explain(route_pb2.ExplainRequest(login=account))
    return explained.age_seconds


@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_all_down_is_noticed_only_by_users_whom_no_cache_knows(how: str, front: Front, replicas: list[Slapd]) -> None:
    for account in (ALICE, BOB):
        assert front.answer("imap", account).startswith(WELCOME["imap"])
    for replica in replicas:
        replica.stop() if how == "stopped" else replica.pause()
    until(lambda: age(front, ALICE) > SOFT_TTL_SECONDS)
    for protocol in ("imap", "pop3"):
        for account in (ALICE, BOB):
            with within(LOOKUP_SECONDS + SLACK_SECONDS):
                assert front.answer(protocol, account).startswith(WELCOME[protocol])
        for account in (IMPLICIT, NOBODY):
            with within(LOOKUP_SECONDS + SLACK_SECONDS):
                assert front.answer(protocol, account) == TEMPORARY[protocol]
    replicas[1].start() if how == "stopped" else replicas[1].resume()
    until(lambda: front.answer("imap", IMPLICIT).startswith(WELCOME["imap"]), seconds=BACK_SECONDS)
    assert front.answer("imap", NOBODY) == WRONG["imap"]


@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_one_of_two_down_is_noticed_by_nobody(how: str, front: Front, replicas: list[Slapd]) -> None:
    replicas[0].stop() if how == "stopped" else replicas[0].pause()
    with within(LOOKUP_SECONDS + SLACK_SECONDS):
        assert front.answer("imap", ALICE).startswith(WELCOME["imap"])
        assert front.answer("pop3", IMPLICIT).startswith(WELCOME["pop3"])
        assert front.answer("imap", NOBODY) == WRONG["imap"]
