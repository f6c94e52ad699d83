"""A user keeps his filters on the mailbox server where he lives, whichever way he came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.dovecot import login_from
from servers.sieve_client import SieveClient
from servers.zproxy import HOMES

if TYPE_CHECKING:
    from servers.certificates import Authority
    from servers.pigeonhole import ScriptServers
    from servers.zproxy import Zproxy

# One at each server: told of clients by XCLIENT, and by PROXY v2.
SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"
SCRIPT = 'require "fileinto";\r\nfileinto "Archive";\r\n'

each_account = pytest.mark.parametrize("account", [SITI, BUDI])


def secured(way: str, zproxy: Zproxy, authority: Authority) -> SieveClient:
    context = authority.client_context()
    if way == "implicit TLS":
        return SieveClient(zproxy.listeners["sieves"], context=context)
    client = SieveClient(zproxy.listeners["sieve"])
    client.begin_tls(context)
    return client


@each_account
@pytest.mark.parametrize("way", ["STARTTLS", "implicit TLS"])
def test_a_script_is_put_listed_and_made_active(
    way: str, account: str, sieve: Zproxy, servers: ScriptServers, authority: Authority
) -> None:
    name = way.replace(" ", "-").lower()
    with secured(way, sieve, authority) as client:
        assert client.log_in(account).last == b'OK "Logged in."\r\n'
        assert client.put(name, SCRIPT).ok
        assert client.say(f'SETACTIVE "{name}"').ok
        assert f'"{name}" ACTIVE\r\n'.encode() in client.say("LISTSCRIPTS").data
        assert SCRIPT.encode() in client.say(f'GETSCRIPT "{name}"').data[0]
        assert client.say("LOGOUT").ok
    record = sieve.record_from(client.address)
    kept = servers.scripts(HOMES[account], account)
    assert (kept / f"{name}.sieve").read_bytes() == SCRIPT.encode()
    assert (kept.parent / ".dovecot.sieve").resolve() == (kept / f"{name}.sieve").resolve()
    told = {key: record[key] for key in ("service", "account", "backend", "mechanism")}
    assert told == {"service": "sieve", "account": account, "backend": HOMES[account], "mechanism": "PLAIN"}


@each_account
def test_the_server_hears_where_the_client_is(
    account: str, sieve: Zproxy, servers: ScriptServers, authority: Authority
) -> None:
    with secured("STARTTLS", sieve, authority) as client:
        assert client.log_in(account).ok
        login = login_from(servers.mailboxes[HOMES[account]], client.address)
        assert client.say("LOGOUT").ok
    assert (login.service, login.user, login.tls) == ("managesieve", account, True)


def test_what_both_servers_can_do_is_offered_and_login_only_in_tls(sieve: Zproxy, authority: Authority) -> None:
    with SieveClient(sieve.listeners["sieve"]) as client:
        before = client.greeting.capabilities
        after = client.begin_tls(authority.client_context()).capabilities
        assert client.log_in(BUDI).ok
        own = client.say("CAPABILITY").capabilities
    assert (before["SASL"], "STARTTLS" in before) == ("", True)
    assert (after["SASL"], "STARTTLS" in after) == ("PLAIN LOGIN", False)
    extensions = set(after["SIEVE"].split())
    assert {"fileinto", "envelope", "imap4flags"} <= extensions
    assert not {"vacation", "regex", "editheader"} & extensions
    assert "editheader" in own["SIEVE"].split()
    named = {"IMPLEMENTATION": "zproxy", "NOTIFY": "mailto", "VERSION": "1.0"}
    assert {name: after[name] for name in named} == named


def test_who_may_not_log_in_in_clear_may_not_name_his_address_either(sieve: Zproxy, servers: ScriptServers) -> None:
    with SieveClient(sieve.listeners["sieve"]) as client:
        assert client.log_in(SITI).last.startswith(b"NO (ENCRYPT-NEEDED) ")
        assert client.say("XCLIENT ADDR=192.0.2.66").last == b'NO "unknown command"\r\n'
        assert client.say("LISTSCRIPTS").last == b'NO "log in first"\r\n'
        assert client.say('NOOP "sync"').last == b'OK (TAG "sync") "Done."\r\n'
    assert "192.0.2.66" not in "".join(server.log_file.read_text() for server in servers.mailboxes.values())
