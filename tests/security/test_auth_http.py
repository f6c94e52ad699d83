"""A server that is asked with the real password: what it hears, and what its answers mean for that one login."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.auth_http import auth_http
from routing.fakes import DOMAIN
from security.proofs import password, said
from servers.auth_script import auth_script, lives_at, undone
from zcontrol.security.auth_http import AuthHttpVerifier
from zcontrol.security.verify import Verifiers
from zcontrol.v1 import config_pb2, route_pb2

if TYPE_CHECKING:
    from servers.auth_script import AuthScript, Headers

SITI = f"siti@{DOMAIN}"
PASSWORD = "rah%asia \u00e9\x7f"
VERIFY = config_pb2.AUTH_HTTP_MODE_VERIFY


async def asked(script: AuthScript, proof: route_pb2.Proof, **config: object) -> route_pb2.Verdict:
    """The verdict on one proof."""
    async with auth_http(script.url, mode=VERIFY, **config) as directory:
        return await Verifiers(passwords=AuthHttpVerifier.of(directory)).verify(proof)


async def verdict(answer: Headers, **config: object) -> route_pb2.Verdict:
    """What becomes of one answer."""
    with auth_script({SITI: answer}) as script:
        return await asked(script, password("Siti", PASSWORD, SITI), **config)


async def test_hears_what_an_nginx_would_tell_it() -> None:
    proof = password("Siti", PASSWORD, SITI)
    proof.service, proof.client_address, proof.attempt = "submission", "2001:db8::7", 2
    proof.tls_version, proof.ehlo = "TLSv1.3", "laptop example\r\nAuth-User: mallory"
    with auth_script({SITI: lives_at("10.0.0.1", 143)}) as script:
        assert said(await asked(script, proof)) == f"verified {SITI}"
    [headers] = script.asked
    assert [name for name, _ in headers].count("Auth-User") == 1
    told = dict(headers)
    assert told["Auth-Pass"] == "rah%25asia%20\u00e9%7F".encode().decode("latin-1")
    assert undone(told, "Auth-Pass") == PASSWORD
    assert undone(told, "Auth-SMTP-Helo") == proof.ehlo
    assert {name: told[name] for name in ("Auth-Method", "Auth-User", "Auth-Protocol", "Auth-Login-Attempt")} == {
        "Auth-Method": "plain",
        "Auth-User": SITI,
        "Auth-Protocol": "smtp",
        "Auth-Login-Attempt": "2",
    }
    assert (told["Client-IP"], told["Auth-SSL"]) == ("2001:db8::7", "on")


async def test_what_it_answers_is_good_for_that_login() -> None:
    told = await verdict(lives_at("10.0.0.9", 2143, user="u10023", password="other one"))
    verified = route_pb2.Verified(account=SITI, home="twin-2", backend_login="u10023", backend_password=b"other one")
    assert told == route_pb2.Verdict(verified=verified)


async def test_what_it_does_not_answer_is_left_to_the_route_and_the_client() -> None:
    told = await verdict(lives_at("10.0.0.1", 143))
    assert told == route_pb2.Verdict(verified=route_pb2.Verified(account=SITI, home="mbox-1"))


async def test_each_login_is_asked_about() -> None:
    with auth_script({SITI: lives_at("10.0.0.1", 143)}) as script:
        async with auth_http(script.url, mode=VERIFY) as directory:
            verifier = AuthHttpVerifier.of(directory)
            for _ in range(3):
                assert said(await verifier.verify(password("siti", PASSWORD, SITI))) == f"verified {SITI}"
    assert script.users == [SITI] * 3


@pytest.mark.parametrize(
    "answer",
    [
        {"Auth-Status": "Invalid login or password", "Auth-Wait": "3"},
        {"Auth-Status": "Invalid login or password", "Auth-Error-Code": "535 5.7.8"},
        {"Auth-Status": "No such user"},
        {"Auth-Status": "ok", "Auth-Server": "10.0.0.1", "Auth-Port": "143"},
    ],
)
async def test_another_answer_is_a_refusal(answer: Headers) -> None:
    assert said(await verdict(answer)) == "refused"


@pytest.mark.parametrize(
    "answer",
    [
        {"Auth-Status": "Temporary server problem, try again later", "Auth-Wait": "3"},
        {"Auth-Status": "Invalid login or password", "Auth-Error-Code": "451 4.3.0"},
        {"Auth-Status": "Internal error"},
        {"Auth-Status": "Datenbank weg"},
        {"Auth-Status": "WAIT", "Auth-Wait": "5"},
        # An answer that lets somebody in, but nowhere that we know.
        lives_at("10.0.0.77", 143),
        lives_at("10.0.0.1", 0),
        {"Auth-Status": "OK"},
        {"Auth-Status": "OK", "Auth-Wait": "9999999"},
        {},
    ],
)
async def test_what_says_nothing_of_the_password_is_never_a_refusal(answer: Headers) -> None:
    assert said(await verdict(answer, temporary_statuses=["datenbank"])) == "fault"


async def test_a_server_that_is_broken_or_away_is_never_a_refusal() -> None:
    with auth_script({SITI: lives_at("10.0.0.1", 143)}) as script:
        script.status = 500
        assert said(await asked(script, password("siti", PASSWORD, SITI))) == "fault"
    told = await asked(script, password("siti", PASSWORD, SITI))
    assert said(told) == "fault"
    assert PASSWORD not in str(told)


async def test_neither_an_empty_password_nor_a_token_is_asked_about() -> None:
    with auth_script({SITI: lives_at("10.0.0.1", 143)}) as script:
        assert said(await asked(script, password("siti", "", SITI))) == "refused"
        token = route_pb2.Proof(account=SITI, token=b"abc")
        assert said(await asked(script, token)) == "fault"
    assert script.asked == []


async def test_a_login_without_an_account_proves_nothing() -> None:
    with auth_script({SITI: lives_at("10.0.0.1", 143)}) as script:
        assert said(await asked(script, password("siti", PASSWORD))) == "fault"
    assert script.asked == []


async def test_a_name_that_the_server_repeats_makes_no_refusal_a_temporary_failure() -> None:
    """Else whoever guesses passwords of an address with such a detail would never be counted as failing."""
    for name in (f"siti+unavailable@{DOMAIN}", f"INTERNAL@{DOMAIN}"):
        with auth_script({name: {"Auth-Status": f"Invalid login for {name}"}}) as script:
            assert said(await asked(script, password(name, PASSWORD, name))) == "refused"
        with auth_script({name: {"Auth-Status": f"{name}: database unavailable"}}) as script:
            assert said(await asked(script, password(name, PASSWORD, name))) == "fault"
