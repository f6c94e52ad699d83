"""What a refusal tells: nothing. One text, one moment, a growing delay, an end; and no word of the client's own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from servers.fake_mailbox import IMAP_GREETING, PASSWORD, POP3_GREETING, imap_login, pop3_login
from servers.front import ALICE, BOB, LOCKED, TIMEOUTS, Front
from servers.raw_client import plain
from servers.said import AUTHENTICATE, TEMPORARY, WRONG, log_in
from servers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.fake_backend import Behaviour, Conversation
    from servers.raw_client import RawClient

DELAY_SECONDS = 0.5
TENTH = 0.1
# What a busy machine may add.
SLACK_SECONDS = 0.2
# A backend that takes a good part of the delay to say no: who knows the account could tell, if it were added.
PONDERS_SECONDS = 0.3
ATTEMPTS = 3
SESSIONS = 4
REFUSED = {
    "wrong password": plain(ALICE, "wrong"),
    "unknown name": plain("nobody@example.net", PASSWORD),
    "name without a domain": plain("nobody", PASSWORD),
    "locked account": plain(LOCKED, PASSWORD),
    "authzid not granted": plain(ALICE, PASSWORD, authzid=BOB),
    "authzid unknown": plain(ALICE, PASSWORD, authzid="nobody@example.net"),
}
both = pytest.mark.parametrize("protocol", ["imap", "pop3"])


def refused(protocol: str, why: str) -> bytes:
    return AUTHENTICATE[protocol] + b" " + REFUSED[why] + b"\r\n"


def ponders(protocol: str) -> Behaviour:
    greeting, log_in = (IMAP_GREETING, imap_login) if protocol == "imap" else (POP3_GREETING, pop3_login)

    def ponders_before_it_greets(conversation: Conversation) -> None:
        threading.Event().wait(PONDERS_SECONDS)
        conversation.send(greeting)
        log_in(conversation)

    return ponders_before_it_greets


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Front]:
    timeouts = TIMEOUTS | {"auth_failure_delay": f"{DELAY_SECONDS}s"}
    limits = {"login_attempts": ATTEMPTS, "sessions_per_address": SESSIONS, "bad_commands": 5}
    with Front(tmp_path_factory.mktemp("strict"), authority, timeouts=timeouts, limits=limits) as running:
        yield running


def seconds_to(client: RawClient, said: bytes, answer: bytes) -> float:
    began = time.monotonic()
    assert client.ask(said) == answer
    return time.monotonic() - began


@both
@pytest.mark.parametrize("why", REFUSED)
def test_every_refusal_is_one_text_at_one_moment(why: str, protocol: str, strict: Front) -> None:
    pondering = strict.behaving("mbox", protocol, ponders(protocol))
    with pondering, strict.greeted(protocol) as client:
        took = seconds_to(client, refused(protocol, why), WRONG[protocol])
    assert DELAY_SECONDS * (1 - TENTH) <= took <= DELAY_SECONDS * (1 + TENTH) + SLACK_SECONDS


@both
def test_each_refusal_takes_longer_and_the_last_one_is_the_end(protocol: str, strict: Front) -> None:
    said = refused(protocol, "wrong password")
    with strict.greeted(protocol) as client:
        for attempt in range(1, ATTEMPTS + 1):
            took = seconds_to(client, said, WRONG[protocol])
            delay = DELAY_SECONDS * attempt
            assert delay * (1 - TENTH) <= took <= delay * (1 + TENTH) + SLACK_SECONDS
        assert client.rest().splitlines() == ([b"* BYE Goodbye."] if protocol == "imap" else [])


@both
def test_a_client_that_leaves_while_it_waits_for_its_refusal_is_let_go_at_once(protocol: str, strict: Front) -> None:
    with strict.untouched(), strict.greeted(protocol) as client:
        client.send(refused(protocol, "unknown name"))
    record = strict.zproxy.record_from(client.address)
    assert record["error"] == "client left"
    assert record["total_ms"] < 1000 * DELAY_SECONDS / 2


@both
def test_an_address_has_only_so_many_sessions_and_gets_them_back(protocol: str, strict: Front) -> None:
    clients = [strict.greeted(protocol)]
    address = clients[0].address
    clients += [strict.greeted(protocol, address=address) for _ in range(SESSIONS - 1)]
    with strict.client(protocol, address=address) as refused, strict.client(f"{protocol}s", address=address) as other:
        assert refused.rest().splitlines()[-1].startswith(b"* BYE" if protocol == "imap" else b"-ERR [SYS/TEMP]")
        assert other.rest() == b""
    strict.greeted(protocol).__exit__()
    for client in clients:
        client.__exit__()
    until(lambda: admitted(strict, protocol, address))


def admitted(front: Front, listener: str, address: str) -> bool:
    with front.client(listener, address=address) as client:
        return client.line().startswith((b"* OK", b"+OK"))


REFLECTED = {
    "imap": [
        b"a MARK\r\n",
        b"a NOOP MARK\r\n",
        b"MARK\r\n",
        b"MARK* NOOP\r\n",
        b'a LOGIN "MARK@example.net" "MARK"\r\n',
        b"a AUTHENTICATE MARK\r\n",
        b"a AUTHENTICATE PLAIN MARK\r\n",
        b'a ID ("MARK" "MARK")\r\n',
        b"a LOGIN {5}MARK\r\n",
    ],
    "pop3": [
        b"MARK\r\n",
        b"NOOP MARK\r\n",
        b"PASS MARK\r\n",
        b"AUTH MARK\r\n",
        b"AUTH PLAIN MARK\r\n",
        b"XCLIENT NAME=MARK\r\n",
        b"USER MARK\r\nPASS MARK\r\n",
    ],
}


@both
def test_no_answer_holds_a_word_of_the_clients(protocol: str, front: Front) -> None:
    """ALPACA: a browser made to talk to a mail port must not find its own script in the answer."""
    for said in REFLECTED[protocol]:
        with front.greeted(protocol) as client:
            client.send(said + (b"z LOGOUT\r\n" if protocol == "imap" else b"QUIT\r\n"))
            assert b"MARK" not in client.rest(), said


@pytest.mark.parametrize("hops", [0, 1])
def test_a_client_whose_hops_are_used_up_is_put_off_and_speaks_against_no_backend(hops: int, front: Front) -> None:
    with front.untouched(), front.greeted("imap") as client:
        client.send(f'i ID ("x-proxy-ttl" "{hops}")\r\n'.encode())
        assert client.lines(2)[1].startswith(b"i OK")
        assert client.ask(log_in("imap", ALICE)) == TEMPORARY["imap"]
    refusal = front.zproxy.refusal_of(client.address)["error"]
    assert "too many proxies" in refusal
    assert refusal.endswith("(route)")
