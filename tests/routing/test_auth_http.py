"""A directory that asks as nginx asks: what it sends, and what the answers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.auth_http import POOL, auth_http, backend
from routing.fakes import DOMAIN, Bench, counted
from servers.auth_script import auth_script, lives_at
from zcontrol.directory.auth_http_request import escape
from zcontrol.directory.base import Found
from zcontrol.errors import DirectoryError
from zcontrol.v1 import config_pb2, pool_pb2, route_pb2

if TYPE_CHECKING:
    from servers.auth_script import Headers
    from zcontrol.directory.base import Outcome

SITI = f"siti@{DOMAIN}"


async def said(answer: Headers, name: str = SITI, **config: object) -> Outcome:
    """What becomes of one answer to one name."""
    with auth_script({name: answer}) as script:
        async with auth_http(script.url, **config) as directory:
            [outcome] = await directory.find([name])
            return outcome


async def test_asks_as_nginx_does_but_without_the_password() -> None:
    name = f"a b%c\u00e9@{DOMAIN}"
    with auth_script({name: lives_at("10.0.0.1", 143)}) as script:
        added = config_pb2.AuthHttpHeader(name="X-Auth-Key", value="tiga rahasia")
        async with auth_http(script.url, headers=[added]) as directory:
            assert await directory.find([name]) == [Found(account=name, home="mbox-1")]
    [asked] = script.asked
    octets = [(key, value.encode("latin-1")) for key, value in asked]
    assert octets == [
        ("Host", script.address.encode()),
        ("Auth-Method", b"plain"),
        ("Auth-User", f"a%20b%25c\u00e9@{DOMAIN}".encode()),
        ("Auth-Pass", b"_password_"),
        ("Auth-Protocol", b"imap"),
        ("Auth-Login-Attempt", b"1"),
        ("Client-IP", b"127.0.0.1"),
        ("X-Auth-Key", b"tiga rahasia"),
    ]


def test_escapes_what_would_end_or_bend_a_header_and_nothing_else() -> None:
    octets = bytes(range(256))
    escaped = escape(octets)
    whole = bytes(octet for octet in range(0x21, 0x100) if octet not in b"%\x7f")
    assert escaped == b"".join(b"%%%02X" % octet if octet not in whole else bytes([octet]) for octet in octets)


@pytest.mark.parametrize(
    ("server", "port", "home"),
    [
        ("10.0.0.1", 143, "mbox-1"),
        # Of a route for all protocols the port only tells several backends at one address apart.
        ("10.0.0.1", 9999, "mbox-1"),
        ("10.0.0.9", 2143, "twin-2"),
        ("2001:0DB8::0001", 143, "six"),
        ("[2001:db8::1]", 143, "six"),
        ("::ffff:10.0.0.2", 143, "mbox-2"),
        ("172.16.3.4", 143, "old-site"),
        ("172.16.9.9", 143, "exactly"),
        ("Legacy.Example", 143, "legacy"),
    ],
)
async def test_matches_an_answer_to_a_home(server: str, port: int, home: str) -> None:
    homes = {"172.16.0.0/16": "old-site", "172.16.9.0/24": "exactly", "legacy.example": "legacy"}
    elsewhere = [backend(name, f"10.9.9.{number}", imap=143) for number, name in enumerate(homes.values())]
    pool = pool_pb2.Pool(backends=[*POOL.backends, *elsewhere])
    assert await said(lives_at(server, port), homes=homes, pool=pool) == Found(account=SITI, home=home)


async def test_a_home_of_the_config_that_the_pool_does_not_have_is_a_fault() -> None:
    outcome = await said(lives_at("172.16.3.4", 143), homes={"172.16.3.4": "gone"})
    assert isinstance(outcome, DirectoryError)
    assert 'names "gone", which the pool does not have' in str(outcome)


@pytest.mark.parametrize("server", ["10.0.0.3", "169.254.169.254", "unix:/run/x", "mbox-9.example", "10.0.0.1:143"])
async def test_an_address_outside_the_pool_is_a_fault_that_says_how_to_mend_it(server: str) -> None:
    before = counted("zproxy_auth_http_outside")
    outcome = await said(lives_at(server, 143))
    assert isinstance(outcome, DirectoryError)
    assert f'"{server}", which is no backend\'s host: add the backend to the pool, or say in' in str(outcome)
    assert counted("zproxy_auth_http_outside") == before + 1


async def test_several_backends_at_one_address_are_told_apart_by_port_or_not_at_all() -> None:
    outcome = await said(lives_at("10.0.0.9", 143))
    assert isinstance(outcome, DirectoryError)
    assert "several backends and none with that port" in str(outcome)


@pytest.mark.parametrize(
    ("user", "found"),
    [
        ("", Found(account=SITI, home="mbox-1")),
        (SITI, Found(account=SITI, home="mbox-1")),
        # A name with a domain is the account: limits and kicks count all its aliases as one.
        (f"hartono@{DOMAIN}", Found(account=f"hartono@{DOMAIN}", home="mbox-1")),
        (f"Siti@{DOMAIN}", Found(account=SITI, home="mbox-1", backend_login=f"Siti@{DOMAIN}")),
        ("u10023", Found(account=SITI, home="mbox-1", backend_login="u10023")),
    ],
)
async def test_auth_user_is_the_account_or_what_the_backend_calls_it(user: str, found: Found) -> None:
    assert await said(lives_at("10.0.0.1", 143, user=user)) == found


@pytest.mark.parametrize(
    "answer",
    [
        {"Auth-Status": f"user not found:{SITI}", "Auth-Wait": "10"},
        {"Auth-Status": f"Error occurred during authentication: account not found for [{SITI}]. oip=10.0.0.9"},
        {"Auth-Status": "No Such User"},
        {"Auth-Status": "Kein solcher Benutzer"},
        {"Auth-Status": "unknown user", "Auth-Error-Code": "550 5.1.1"},
    ],
)
async def test_only_what_says_so_for_certain_is_nobody(answer: Headers) -> None:
    assert await said(answer, unknown_statuses=["kein Solcher"]) is None


@pytest.mark.parametrize(
    "answer",
    [
        {"Auth-Status": "Invalid login or password", "Auth-Wait": "3"},
        {"Auth-Status": "Temporary server problem, try again later", "Auth-Error-Code": "451 4.3.0"},
        {"Auth-Status": "no such user", "Auth-Error-Code": "451 4.3.0"},
        {"Auth-Status": "WAIT", "Auth-Wait": "5"},
        {"Auth-Status": f"mailhost not found for user: {SITI}"},
        {"Auth-Status": "ok", "Auth-Server": "10.0.0.1", "Auth-Port": "143"},
    ],
)
async def test_whatever_else_is_said_is_a_temporary_failure(answer: Headers) -> None:
    outcome = await said(answer)
    assert isinstance(outcome, DirectoryError)
    assert 'set directory.auth_http.mode = "verify"' in str(outcome)


async def test_one_bad_name_never_fails_its_neighbours() -> None:
    names = [f"user{number}@{DOMAIN}" for number in range(64)]
    accounts = {name: lives_at("10.0.0.1", 143) for name in names}
    accounts[names[3]] = {"Auth-Status": "OK"}
    with auth_script(accounts) as script:
        async with auth_http(script.url, connections=4) as directory:
            outcomes = await directory.find(names)
        assert script.connections <= 4
    assert isinstance(outcomes.pop(3), DirectoryError)
    assert outcomes == [Found(account=name, home="mbox-1") for name in names if name != names[3]]


async def test_routes_are_cached_as_those_of_any_directory() -> None:
    with auth_script({SITI: lives_at("10.0.0.1", 143)}) as script:
        async with auth_http(script.url) as directory, Bench(directory=directory, pool=POOL) as bench:
            answers = [await bench.ask_one("Siti"), await bench.ask_one(SITI)]
            assert [answer.route.home for answer in answers] == ["mbox-1", "mbox-1"]
            assert (await bench.ask_one("nobody")).HasField("none")
            assert (await bench.ask_one("nobody")).HasField("none")
        assert script.users == [SITI, f"nobody@{DOMAIN}"]


async def test_in_verify_mode_every_name_has_a_route_that_must_be_verified_and_nobody_is_asked() -> None:
    with auth_script({}) as script:
        verify = config_pb2.AUTH_HTTP_MODE_VERIFY
        async with auth_http(script.url, mode=verify) as directory, Bench(directory=directory) as bench:
            answer = await bench.ask_one("siti")
        assert script.asked == []
    assert (answer.route.account, answer.route.home, answer.route.verify) == (SITI, "", True)
    assert answer.route.status == route_pb2.ACCOUNT_STATUS_ACTIVE
