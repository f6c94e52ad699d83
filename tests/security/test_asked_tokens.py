"""Tokens that an issuer is asked about, and keys that he publishes: by a server that is well, slow, broken or gone."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from routing.fakes import DOMAIN, Bench, Clocks, ToldDirectory, account, counted
from security.authority import Authority, authority
from security.issuer import AUDIENCE, ISSUER, STRANGER, claims, jwk, jwks, token
from security.proofs import bearer, said
from servers.waiting import until
from zcontrol.security.endpoint import LARGEST_ANSWER, Endpoint
from zcontrol.security.keys import AGAIN_SECONDS, FORGET_SECONDS, REFRESH_SECONDS, UrlKeys
from zcontrol.security.oauth import OAuthVerifier
from zcontrol.security.open_oauth import DEFAULT_ALGORITHMS, open_oauth, open_prover
from zcontrol.security.signed import SignedTokens
from zcontrol.security.verify import Verifiers
from zcontrol.v1 import config_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SITI = f"siti@{DOMAIN}"
OPAQUE = b"2YotnFZFEjr1zCsicMWpAA"
SECRET_TOKEN = b"~".join([OPAQUE] * 3)
SHORT = Duration(nanos=300_000_000)


@pytest.fixture
def server() -> Iterator[Authority]:
    with authority() as serving:
        yield serving


@asynccontextmanager
async def asking(server: Authority, **config: object) -> AsyncIterator[tuple[Verifiers, Clocks]]:
    """What verifies by introspection, and its clock."""
    settings = {"audiences": [AUDIENCE], "timeout": Duration(seconds=10), **config}
    introspection = config_pb2.Introspection(url=server.url, client_id="zproxy", client_secret="s:ü")
    oauth = config_pb2.VerifyOAuth(introspection=introspection, **settings)  # type: ignore[arg-type]
    clocks = Clocks()
    clocks.now = float(claims()["iat"]) + 60
    async with Bench(directory=ToldDirectory(account("siti"))) as bench:
        verifiers = Verifiers(tokens=OAuthVerifier(oauth, open_prover(oauth), bench.resolver, wall=clocks))
        yield verifiers, clocks
        await verifiers.close()


class TestIntrospection:
    async def test_an_active_token_proves_its_account(self, server: Authority) -> None:
        server.tokens[OPAQUE.decode()] = claims(active=True)
        async with asking(server) as (verifiers, _):
            assert said(await verifiers.verify(bearer(OPAQUE))) == f"verified {SITI}"
        assert server.asked == [OPAQUE.decode()]
        assert server.authorizations == {f"Basic {base64.b64encode(b'zproxy:s%3A%C3%BC').decode()}"}

    @pytest.mark.parametrize(
        "told",
        [
            {"active": False},
            {"active": False, "email": SITI, "aud": AUDIENCE},
            claims(active=True, aud="calendar"),
            claims(active=True, aud=None),
            claims(active=True, exp=0),
            claims(active=True, email=None),
            claims(active=True, email=f"nobody@{DOMAIN}"),
        ],
    )
    async def test_what_is_not_active_or_not_for_us_is_refused(
        self, server: Authority, told: dict[str, object]
    ) -> None:
        server.tokens[OPAQUE.decode()] = told
        async with asking(server) as (verifiers, _):
            assert said(await verifiers.verify(bearer(OPAQUE))) == "refused"

    async def test_issuer_and_scope_count_where_they_are_set(self, server: Authority) -> None:
        server.tokens[OPAQUE.decode()] = claims(active=True, scope="mail")
        for setting, expected in (
            ({"issuer": ISSUER, "scopes": ["mail"]}, "verified"),
            ({"issuer": "https://other.example"}, "refused"),
            ({"scopes": ["calendar"]}, "refused"),
        ):
            async with asking(server, **setting) as (verifiers, _):
                assert (await verifiers.verify(bearer(OPAQUE))).WhichOneof("result") == expected

    @pytest.mark.parametrize(
        ("status", "document"),
        [
            (200, b"nonsense"),
            (200, b"[]"),
            (200, b"{}"),
            (200, b'{"active": "true", "aud": "mail", "email": "siti@tgg.net.id"}'),
            (200, b'{"active": 1, "aud": "mail", "email": "siti@tgg.net.id"}'),
            (200, b"[" * 100_000),
            (200, b" " * LARGEST_ANSWER + b'{"active": true}'),
            (400, b'{"active": false}'),
            (401, b'{"active": false}'),
            (302, b'{"active": false}'),
            (500, b'{"active": false}'),
            (503, b'{"active": false}'),
        ],
    )
    async def test_an_answer_that_tells_nothing_is_a_fault(
        self, server: Authority, status: int, document: bytes
    ) -> None:
        server.status, server.document = status, document
        async with asking(server) as (verifiers, _):
            assert said(await verifiers.verify(bearer(OPAQUE))) == "fault"

    async def test_one_bad_answer_takes_the_endpoint_from_nobody_else(self, server: Authority) -> None:
        server.tokens[OPAQUE.decode()] = claims(active=True)
        async with asking(server) as (verifiers, _):
            server.status = 400
            assert said(await verifiers.verify(bearer(b"strange"))) == "fault"
            server.status = 200
            assert said(await verifiers.verify(bearer(OPAQUE))) == f"verified {SITI}"

    async def test_refused_credentials_of_ours_are_told_with_the_mend(self, server: Authority) -> None:
        server.status = 401
        async with asking(server) as (verifiers, _):
            with capture_logs() as logs:
                verdict = await verifiers.verify(bearer(OPAQUE))
        assert "check client_id and client_secret" in verdict.fault.reason
        assert "check client_id and client_secret" in logs[0]["reason"]

    async def test_an_endpoint_that_hangs_is_a_fault_at_the_deadline_and_then_at_once(self, server: Authority) -> None:
        server.answers.clear()
        async with asking(server, timeout=SHORT) as (verifiers, _):
            assert "no answer within 0.3 s" in (await verifiers.verify(bearer(OPAQUE))).fault.reason
            assert "failed a moment ago" in (await verifiers.verify(bearer(b"other"))).fault.reason

    async def test_an_endpoint_that_is_gone_is_a_fault_and_tells_no_token(self, server: Authority) -> None:
        server.url = "http://127.0.0.1:1/"
        async with asking(server) as (verifiers, _):
            with capture_logs() as logs:
                verdict = await verifiers.verify(bearer(SECRET_TOKEN))
        assert said(verdict) == "fault"
        assert SECRET_TOKEN.decode() not in f"{logs} {verdict}"

    async def test_a_withdrawn_token_lives_no_longer_than_a_minute(self, server: Authority) -> None:
        server.tokens[OPAQUE.decode()] = claims(active=True)
        async with asking(server) as (verifiers, clocks):
            assert said(await verifiers.verify(bearer(OPAQUE))) == f"verified {SITI}"
            server.tokens.clear()
            clocks.now += 59.9
            assert said(await verifiers.verify(bearer(OPAQUE))) == f"verified {SITI}"
            clocks.now += 0.1
            assert said(await verifiers.verify(bearer(OPAQUE))) == "refused"

    async def test_connections_of_one_program_ask_once_together(self, server: Authority) -> None:
        server.tokens[OPAQUE.decode()] = claims(active=True)
        server.answers.clear()
        async with asking(server) as (verifiers, _):
            waiting = [asyncio.create_task(verifiers.verify(bearer(OPAQUE))) for _ in range(5)]
            await asyncio.to_thread(until, lambda: bool(server.asked))
            waiting.pop().cancel()
            server.answers.set()
            assert [said(verdict) for verdict in await asyncio.gather(*waiting)] == [f"verified {SITI}"] * 4
        assert len(server.asked) == 1

    async def test_a_bad_token_is_asked_about_each_time(self, server: Authority) -> None:
        async with asking(server) as (verifiers, _):
            for _ in range(3):
                assert said(await verifiers.verify(bearer(OPAQUE))) == "refused"
        assert len(server.asked) == 3


@asynccontextmanager
async def fetching(server: Authority) -> AsyncIterator[tuple[Verifiers, Clocks]]:
    """What verifies by keys at the server's URL, and its clock."""
    clocks = Clocks()
    clocks.now = 0.0
    keys = UrlKeys(Endpoint(server.url, ca_file="", timeout_seconds=10), monotonic=clocks)
    oauth = config_pb2.VerifyOAuth(issuer=ISSUER, audiences=[AUDIENCE], cached_tokens=1)
    async with Bench(directory=ToldDirectory(account("siti"))) as bench:
        verifiers = Verifiers(tokens=OAuthVerifier(oauth, SignedTokens(keys, DEFAULT_ALGORITHMS), bench.resolver))
        yield verifiers, clocks
        await verifiers.close()


class TestKeysAtAUrl:
    async def test_keys_are_fetched_once_for_many_tokens(self, server: Authority) -> None:
        server.document = jwks()
        async with fetching(server) as (verifiers, _):
            tokens = [token(algorithm, sub=str(n)) for n in range(10) for algorithm in DEFAULT_ALGORITHMS]
            verdicts = await asyncio.gather(*(verifiers.verify(bearer(each)) for each in tokens))
            assert {said(verdict) for verdict in verdicts} == {f"verified {SITI}"}
        assert len(server.asked) == 1

    async def test_a_new_key_is_fetched_when_a_token_names_it(self, server: Authority) -> None:
        server.document = jwks(jwk("rsa"))
        async with fetching(server) as (verifiers, clocks):
            assert said(await verifiers.verify(bearer(token()))) == f"verified {SITI}"
            server.document = jwks(jwk("rsa"), jwk("new", STRANGER))
            clocks.now += AGAIN_SECONDS
            assert said(await verifiers.verify(bearer(token(kid="new", key=STRANGER)))) == f"verified {SITI}"
        assert len(server.asked) == 2

    async def test_invented_names_of_keys_cause_no_flood_of_fetches(self, server: Authority) -> None:
        server.document = jwks()
        async with fetching(server) as (verifiers, clocks):
            for number in range(20):
                assert said(await verifiers.verify(bearer(token(kid=f"x{number}", key=STRANGER)))) == "refused"
            assert len(server.asked) == 1
            clocks.now += AGAIN_SECONDS
            for number in range(20):
                assert said(await verifiers.verify(bearer(token(kid=f"y{number}", key=STRANGER)))) == "refused"
            assert len(server.asked) == 2

    async def test_a_withdrawn_key_proves_nothing_after_the_next_fetch(self, server: Authority) -> None:
        server.document = jwks(jwk("rsa"), jwk("ec"))
        async with fetching(server) as (verifiers, clocks):
            known = token()
            assert said(await verifiers.verify(bearer(known))) == f"verified {SITI}"
            server.document = jwks(jwk("ec"))
            clocks.now += REFRESH_SECONDS
            # Served by the keys before, and fetched again behind its back.
            assert said(await verifiers.verify(bearer(known))) == f"verified {SITI}"
            async with asyncio.timeout(10):
                while said(await verifiers.verify(bearer(known))) != "refused":
                    await asyncio.to_thread(until, lambda: len(server.asked) == 2)

    async def test_without_the_server_known_keys_serve_and_unknown_ones_are_a_fault(self, server: Authority) -> None:
        server.document = jwks(jwk("rsa"))
        async with fetching(server) as (verifiers, clocks):
            assert said(await verifiers.verify(bearer(token()))) == f"verified {SITI}"
            server.status = 500
            clocks.now += AGAIN_SECONDS
            assert said(await verifiers.verify(bearer(token("ES256")))) == "fault"
            assert said(await verifiers.verify(bearer(token()))) == f"verified {SITI}"
            clocks.now += FORGET_SECONDS
            assert said(await verifiers.verify(bearer(token(sub="5")))) == "fault"

    async def test_a_server_that_comes_back_is_asked_again(self, server: Authority) -> None:
        server.document = b"nonsense"
        async with fetching(server) as (verifiers, clocks):
            before = counted("zproxy_verified", credential="token", result="fault")
            for _ in range(5):
                assert said(await verifiers.verify(bearer(token()))) == "fault"
            assert counted("zproxy_verified", credential="token", result="fault") == before + 5
            assert len(server.asked) == 1
            server.document = jwks()
            clocks.now += AGAIN_SECONDS
            assert said(await verifiers.verify(bearer(token()))) == f"verified {SITI}"

    async def test_keys_are_there_before_the_first_login_and_after_a_reload(self, server: Authority) -> None:
        server.document = jwks()
        settings = {"jwks_url": server.url, "issuer": ISSUER, "audiences": [AUDIENCE], "timeout": Duration(seconds=10)}
        oauth = config_pb2.VerifyOAuth(**settings)  # type: ignore[arg-type]
        async with Bench(directory=ToldDirectory(account("siti"))) as bench:
            before = open_oauth(oauth, bench.resolver)
            await before.probe()
            assert len(server.asked) == 1
            server.status = 500
            after, other = (open_oauth(each, bench.resolver, before) for each in (oauth, other_issuer(oauth)))
            await before.close()
            assert said(await after.verify(bearer(token()))) == f"verified {SITI}"
            assert said(await other.verify(bearer(token()))) == "fault"
            await after.close()
            await other.close()


def other_issuer(oauth: config_pb2.VerifyOAuth) -> config_pb2.VerifyOAuth:
    changed = config_pb2.VerifyOAuth()
    changed.CopyFrom(oauth)
    changed.issuer = "https://other.example"
    return changed
