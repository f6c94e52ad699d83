"""Filters of whom control has proved, kept by a master user that the mailbox servers believe."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from servers import proving
from servers.dovecot import login_from, logins
from servers.pigeonhole import ScriptServers
from servers.place import BUDI, SITI
from servers.proving import MASTER, right
from servers.raw_client import plain
from servers.waiting import until
from servers.zproxy import HOMES, Zproxy
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.tokens import TokenIssuer

FAILED = b'NO "Authentication failed."\r\n'


@pytest.fixture(scope="module")
def servers(authority: Authority) -> Iterator[ScriptServers]:
    with proving.master_lines() as lines, ScriptServers(authority, lines=lines) as running:
        yield running


@pytest.fixture(scope="module")
def sieve(tmp_path_factory: pytest.TempPathFactory, servers: ScriptServers, issuer: TokenIssuer) -> Iterator[Zproxy]:
    path = tmp_path_factory.mktemp("styles")
    with ExitStack() as stack:
        slapd = stack.enter_context(proving.directory(path / "slapd", HOMES))
        config = servers.config(path) | proving.config(slapd, issuer)
        for backend in config["backends"]:
            backend["endpoints"]["sieve"] |= {"login_style": "verify_then_master", "master_user": MASTER["name"]}
        running = stack.enter_context(Zproxy(path, config))
        until(lambda: servers.offered(running)["SIEVE"])
        yield running


@pytest.mark.parametrize("account", [SITI, BUDI])
def test_a_proved_password_opens_the_filters_of_its_account(
    account: str, sieve: Zproxy, servers: ScriptServers
) -> None:
    with servers.client(sieve) as client:
        assert client.log_in(account, right(account)).ok
        assert client.put("proved", "keep;\r\n").ok
        assert login_from(servers.mailboxes[HOMES[account]], client.address).user == account
        assert client.say("LOGOUT").ok
    assert (servers.scripts(HOMES[account], account) / "proved.sieve").exists()
    assert sieve.record_from(client.address)["verified"] == "password"


def test_an_attackers_own_password_opens_no_other_filters(sieve: Zproxy, servers: ScriptServers) -> None:
    attempts = [(SITI, right(BUDI), ""), (BUDI, right(BUDI), SITI), (SITI, PASSWORD, "")]
    attempts += [(f"{SITI}*{MASTER['user']}", MASTER["password"], ""), (MASTER["user"], MASTER["password"], SITI)]
    for name, password, authzid in attempts:
        with servers.client(sieve) as client:
            said = client.say(f'AUTHENTICATE "PLAIN" "{plain(name, password, authzid).decode()}"')
            assert said.last == FAILED, (name, authzid)
            assert client.say("LISTSCRIPTS").last == b'NO "log in first"\r\n'
        for server in servers.mailboxes.values():
            assert all(login.rip != client.address for login in logins(server))
