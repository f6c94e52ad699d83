"""Filters kept by whoever has a token of the account, or proves its password without saying it."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest

from servers.dovecot import login_from
from servers.pigeonhole import ScriptServers
from servers.place import BUDI, NOBODY, SITI
from servers.scram import MECHANISMS as SCRAM_MECHANISMS
from servers.scram import Scram
from servers.tokens import MECHANISMS, dismissal, message
from servers.zproxy import HOMES
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.sieve_client import Response, SieveClient
    from servers.tokens import TokenIssuer
    from servers.zproxy import Zproxy

STRING = re.compile(rb'"([^"]*)"\r\n')
FAILED = b'NO "Authentication failed."\r\n'

each_account = pytest.mark.parametrize("account", [SITI, BUDI])
each_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS)
each_scram = pytest.mark.parametrize("mechanism", SCRAM_MECHANISMS)


@pytest.fixture(scope="module")
def servers(authority: Authority, issuer: TokenIssuer, scram_lines: str) -> Iterator[ScriptServers]:
    # The later list of mechanisms wins: it has to name all of them.
    both = "auth_mechanisms = plain login xoauth2 oauthbearer scram-sha-256 scram-sha-1\n"
    with ScriptServers(authority, lines=issuer.dovecot_lines + scram_lines + both) as running:
        yield running


@pytest.fixture(scope="module")
def sieve(tmp_path_factory: pytest.TempPathFactory, servers: ScriptServers) -> Iterator[Zproxy]:
    with servers.behind(tmp_path_factory.mktemp("sieve")) as running:
        yield running


def string(said: bytes) -> str:
    return f'"{base64.b64encode(said).decode()}"'


def authenticate(client: SieveClient, mechanism: str, said: bytes) -> Response:
    return client.say(f'AUTHENTICATE "{mechanism}" {string(said)}')


def challenged(client: SieveClient, said: str) -> bytes:
    """Say it, and return what is asked."""
    client.send(said.encode() + b"\r\n")
    asked = STRING.fullmatch(client.line())
    assert asked
    return base64.b64decode(asked[1])


def refused(client: SieveClient, mechanism: str, said: bytes) -> bytes:
    """Log in in vain, and return the error object that came before the refusal."""
    shown = challenged(client, f'AUTHENTICATE "{mechanism}" {string(said)}')
    assert client.say(string(dismissal(mechanism))).last == FAILED
    return shown


def test_all_mechanisms_that_both_servers_take_are_offered(sieve: Zproxy, servers: ScriptServers) -> None:
    expected = "PLAIN LOGIN OAUTHBEARER XOAUTH2 SCRAM-SHA-256 SCRAM-SHA-1"
    assert servers.offered(sieve)["SASL"] == expected


@each_account
@each_mechanism
def test_a_token_lets_its_own_account_in(
    mechanism: str, account: str, sieve: Zproxy, servers: ScriptServers, issuer: TokenIssuer
) -> None:
    with servers.client(sieve) as client:
        assert authenticate(client, mechanism, message(mechanism, account, issuer.token(account))).ok
        assert client.say("LISTSCRIPTS").ok
        login = login_from(servers.mailboxes[HOMES[account]], client.address)
    assert (login.user, login.method) == (account, mechanism)


@each_account
@each_mechanism
def test_a_token_that_is_not_good_hears_why_and_the_next_one_is_let_in(
    mechanism: str, account: str, sieve: Zproxy, servers: ScriptServers, issuer: TokenIssuer
) -> None:
    other = SITI if account == BUDI else BUDI
    with servers.client(sieve) as client:
        for token in (issuer.token(other), issuer.token(account, valid_for=-60)):
            assert refused(client, mechanism, message(mechanism, account, token)).startswith(b'{"status":')
        assert authenticate(client, mechanism, message(mechanism, account, issuer.token(account))).ok


@each_mechanism
def test_a_user_who_does_not_exist_is_refused_as_one_who_does(
    mechanism: str, sieve: Zproxy, servers: ScriptServers
) -> None:
    answers = set()
    for account in (SITI, NOBODY):
        with servers.client(sieve) as client:
            answers.add(refused(client, mechanism, message(mechanism, account, "forged")))
    assert len(answers) == 1


@each_account
@each_scram
def test_whoever_proves_his_password_is_let_in(
    mechanism: str, account: str, sieve: Zproxy, servers: ScriptServers
) -> None:
    scram = Scram(mechanism=mechanism, name=account, password=PASSWORD)
    with servers.client(sieve) as client:
        asked = challenged(client, f'AUTHENTICATE "{mechanism}" {string(scram.first())}')
        scram.check(challenged(client, string(scram.last(asked))))
        assert client.say('""').ok
        assert client.say("LISTSCRIPTS").ok


@each_scram
def test_a_wrong_proof_and_an_unknown_user_hear_the_same(mechanism: str, sieve: Zproxy, servers: ScriptServers) -> None:
    asked = set()
    for account in (SITI, NOBODY):
        scram = Scram(mechanism=mechanism, name=account, password="wrong")
        with servers.client(sieve) as client:
            last = scram.last(challenged(client, f'AUTHENTICATE "{mechanism}" {string(scram.first())}'))
            assert client.say(string(last)).last == FAILED
        asked.add((tuple(scram.asked), scram.asked["i"], len(scram.asked["s"]), len(scram.asked["r"])))
    assert len(asked) == 1
