"""Logins that prove a password without saying it, between a client and a real mailbox server."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from servers.dovecot import login_from, logins, start
from servers.place import BUDI, LISTS, NOBODY, SITI, Place, config, listed
from servers.said import WRONG
from servers.scram import MECHANISMS, Scram
from servers.waiting import until
from servers.zproxy import Zproxy
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.dovecot import StartDovecot
    from servers.raw_client import RawClient
    from servers.zproxy import StartZproxy

AUTH = {"imap": b"a AUTHENTICATE ", "pop3": b"AUTH "}

each_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS)
each_protocol = pytest.mark.parametrize("protocol", ["imap", "pop3"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, authority: Authority, scram_lines: str) -> Iterator[Place]:
    with ExitStack() as stack:
        mailbox = start(stack, authority, "mbox-1", SITI, BUDI, lines=scram_lines)
        directory = tmp_path_factory.mktemp("zproxy")
        zproxy = stack.enter_context(Zproxy(directory, config(directory, authority, mailbox)))
        place = Place(zproxy, mailbox, authority)
        for protocol in LISTS:
            until(lambda protocol=protocol: b"SCRAM-SHA-256" in listed(place, protocol))
        yield place


def asked(client: RawClient, protocol: str, scram: Scram, *, initial: bool = True) -> bytes:
    """Say the first message, and return what is asked."""
    command = AUTH[protocol] + scram.mechanism.encode()
    first = base64.b64encode(scram.first())
    if initial:
        return challenge(client.ask(command + b" " + first + b"\r\n"))
    assert client.ask(command + b"\r\n") == b"+ \r\n"
    return challenge(client.ask(first + b"\r\n"))


def challenge(line: bytes) -> bytes:
    assert line.startswith(b"+ "), line
    return base64.b64decode(line[2:])


def proved(client: RawClient, protocol: str, scram: Scram, *, initial: bool = True) -> bytes:
    """Go as far as the proof, and return the line that answers it."""
    last = scram.last(asked(client, protocol, scram, initial=initial))
    return client.ask(base64.b64encode(last) + b"\r\n")


@each_mechanism
@each_protocol
@pytest.mark.parametrize("initial", [True, False])
def test_a_user_and_his_server_prove_themselves_to_each_other(
    place: Place, protocol: str, mechanism: str, *, initial: bool
) -> None:
    scram = Scram(mechanism=mechanism, name=SITI, password=PASSWORD)
    with place.client(protocol) as client:
        scram.check(challenge(proved(client, protocol, scram, initial=initial)))
        answer = client.ask(b"\r\n")
        assert answer.startswith((b"a OK", b"* CAPABILITY", b"+OK")), answer
        login = login_from(place.mailbox, client.address)
    assert (login.user, login.service, login.method) == (SITI, protocol, mechanism)
    record = place.zproxy.record_from(client.address)
    assert (record["account"], record["mechanism"]) == (SITI, mechanism)


@each_mechanism
@each_protocol
def test_a_user_who_does_not_exist_is_asked_and_refused_as_one_with_a_wrong_password(
    place: Place, protocol: str, mechanism: str
) -> None:
    kinds, salts, answers = set(), {SITI: set[str](), NOBODY: set[str]()}, set()
    for account in (SITI, NOBODY) * 2:
        scram = Scram(mechanism=mechanism, name=account, password="wrong")
        with place.client(protocol) as client:
            answers.add(proved(client, protocol, scram))
        nonce = scram.asked["r"].removeprefix(scram.nonce)
        kinds.add((tuple(scram.asked), scram.asked["i"], len(base64.b64decode(scram.asked["s"])), len(nonce)))
        salts[account].add(scram.asked["s"])
    assert answers == {WRONG[protocol]}
    assert len(kinds) == 1
    assert [len(of_account) for of_account in salts.values()] == [1, 1]


@each_protocol
def test_a_wrong_password_leaves_the_connection_open_for_the_right_one(place: Place, protocol: str) -> None:
    with place.client(protocol) as client:
        for name in (SITI, NOBODY):
            scram = Scram(mechanism="SCRAM-SHA-256", name=name, password="wrong")
            assert proved(client, protocol, scram) == WRONG[protocol]
        scram = Scram(mechanism="SCRAM-SHA-256", name=SITI, password=PASSWORD)
        scram.check(challenge(proved(client, protocol, scram)))
        assert not client.ask(b"\r\n").startswith((b"a NO", b"-ERR"))


@each_protocol
def test_whoever_breaks_off_may_begin_again_and_his_server_hears_no_more_of_it(place: Place, protocol: str) -> None:
    with place.client(protocol) as client:
        for name in (SITI, NOBODY):
            asked(client, protocol, Scram(mechanism="SCRAM-SHA-1", name=name, password=PASSWORD))
            assert b"authentication cancelled" in client.ask(b"*\r\n")
        scram = Scram(mechanism="SCRAM-SHA-1", name=BUDI, password=PASSWORD)
        scram.check(challenge(proved(client, protocol, scram)))
        client.ask(b"\r\n")
        assert login_from(place.mailbox, client.address).user == BUDI


@each_protocol
def test_another_is_acted_for_only_where_the_directory_grants_it(place: Place, protocol: str) -> None:
    scram = Scram(mechanism="SCRAM-SHA-256", name=SITI, password=PASSWORD, header=f"n,a={BUDI},")
    with place.client(protocol) as client:
        assert proved(client, protocol, scram) == WRONG[protocol]
    assert all(login.rip != client.address for login in logins(place.mailbox))
    assert place.zproxy.refusal_of(client.address)["error"] == "account may not act as the other one"


@each_protocol
def test_who_may_not_act_as_another_cannot_be_told_from_who_does_not_exist(place: Place, protocol: str) -> None:
    """Not even by two logins of one name, with and without the other's."""
    same = []
    for name in (SITI, NOBODY):
        salts = set()
        for header in ("n,,", f"n,a={BUDI},"):
            scram = Scram(mechanism="SCRAM-SHA-256", name=name, password="wrong", header=header)
            with place.client(protocol) as client:
                assert proved(client, protocol, scram) == WRONG[protocol]
            salts.add(scram.asked["s"])
        same.append(len(salts))
    assert same[0] == same[1]


@each_protocol
def test_channel_binding_and_a_changed_header_are_refused(place: Place, protocol: str) -> None:
    with place.client(protocol) as client:
        bound = Scram(mechanism="SCRAM-SHA-256", name=SITI, password=PASSWORD, header="p=tls-exporter,,")
        first = base64.b64encode(bound.first())
        assert b"channel binding" in client.ask(AUTH[protocol] + b"SCRAM-SHA-256 " + first + b"\r\n")
        scram = Scram(mechanism="SCRAM-SHA-256", name=SITI, password=PASSWORD)
        last = scram.last(asked(client, protocol, scram)).replace(b"c=biws", b"c=eSws")
        assert b"not a SCRAM message" in client.ask(base64.b64encode(last) + b"\r\n")


@each_protocol
def test_a_client_that_could_bind_the_channel_and_was_not_told_so_is_let_in(place: Place, protocol: str) -> None:
    scram = Scram(mechanism="SCRAM-SHA-256", name=SITI, password=PASSWORD, header="y,,")
    with place.client(protocol) as client:
        scram.check(challenge(proved(client, protocol, scram)))


def test_neither_proof_nor_message_is_in_any_record_or_log(place: Place) -> None:
    scram = Scram(mechanism="SCRAM-SHA-256", name=SITI, password=PASSWORD, nonce="geheimesRauschen")
    with place.client("imap") as client:
        proved(client, "imap", scram)
        client.ask(b"\r\n")
    place.zproxy.record_from(client.address)
    written = place.zproxy.records_file.read_text() + place.zproxy.errors()
    assert "geheimesRauschen" not in written
    assert base64.b64encode(b"geheimesRauschen")[:20].decode() not in written


def test_it_is_offered_only_where_every_mailbox_server_takes_it(
    tmp_path: Path, authority: Authority, scram_lines: str, start_dovecot: StartDovecot, start_zproxy: StartZproxy
) -> None:
    takes, does_not = start_dovecot("mbox-1", SITI, lines=scram_lines), start_dovecot("mbox-2")
    place = Place(start_zproxy(config(tmp_path, authority, takes, does_not)), takes, authority)
    # Both were asked, for all else that they share is offered.
    assert b"SCRAM" not in until(lambda: b"IDLE" in listed(place, "imap") and listed(place, "imap"))
