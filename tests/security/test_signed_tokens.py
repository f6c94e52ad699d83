"""Signed tokens against the keys of their issuer: the good, the forged, and whose account they are."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from jwt.algorithms import RSAAlgorithm

from routing.fakes import DOMAIN, Bench, Clocks, ToldDirectory, account, counted
from security.issuer import (
    AUDIENCE,
    ISSUER,
    NOW,
    PRIVATE,
    STRANGER,
    claims,
    jwk,
    jwks,
    raw,
    signed,
    token,
    with_shared_secret,
)
from security.proofs import bearer, said
from zcontrol.errors import DirectoryUnavailableError, OAuthKeysError
from zcontrol.security.claims import DEFAULT_LEEWAY_SECONDS
from zcontrol.security.jwks import choose, parse_keys
from zcontrol.security.keys import LOOK_SECONDS, FileKeys
from zcontrol.security.oauth import OAuthVerifier
from zcontrol.security.open_oauth import DEFAULT_ALGORITHMS, open_oauth
from zcontrol.security.signed import SignedTokens
from zcontrol.security.verify import Verifiers
from zcontrol.v1 import config_pb2, route_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SITI = f"siti@{DOMAIN}"
LOCKED = route_pb2.ACCOUNT_STATUS_LOCKED


def directory() -> ToldDirectory:
    told = ToldDirectory(account("siti"), account("budi"), account("sari", status=LOCKED))
    told.accounts[f"s@{DOMAIN}"] = told.accounts[SITI]
    return told


@asynccontextmanager
async def verifying(path: Path, told: ToldDirectory | None = None, **config: object) -> AsyncIterator[Verifiers]:
    """What verifies tokens by a JWKS file, with the good issuer's keys unless a test wrote others."""
    file = path / "jwks.json"
    if not file.exists():
        file.write_bytes(jwks())
    settings = {"jwks_file": str(file), "issuer": ISSUER, "audiences": [AUDIENCE], **config}
    async with Bench(directory=told or directory()) as bench:
        oauth = config_pb2.VerifyOAuth(**settings)  # type: ignore[arg-type]
        verifiers = Verifiers(tokens=open_oauth(oauth, bench.resolver))
        yield verifiers
        await verifiers.close()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_good_token_proves_the_account_of_its_claim(tmp_path: Path, algorithm: str) -> None:
    async with verifying(tmp_path) as verifiers:
        assert said(await verifiers.verify(bearer(token(algorithm)))) == f"verified {SITI}"
        with_login = bearer(token(algorithm), login="budi", account=f"budi@{DOMAIN}")
        assert said(await verifiers.verify(with_login)) == f"verified {SITI}", "whose it is, whatever was typed"


GOOD = claims()
HEADER = {"alg": "RS256", "kid": "rsa"}
FORGED: dict[str, bytes] = {
    "unsigned": raw({"alg": "none"}, GOOD),
    "unsigned, spelled otherwise": raw({"alg": "NonE", "kid": "rsa"}, GOOD),
    "unsigned, yet with a signature": raw({"alg": "none", "kid": "rsa"}, GOOD, b"x" * 256),
    "its signature cut off": token().rpartition(b".")[0] + b".",
    "its signature another's": token().rpartition(b".")[0] + b"." + token(sub="5").rpartition(b".")[2],
    "its claims changed": b".".join((*token(email=f"budi@{DOMAIN}").split(b".")[:2], token().split(b".")[2])),
    "signed by a stranger in a known key's name": token(key=STRANGER),
    "signed by a stranger in no name": token(key=STRANGER, kid=""),
    "signed by a stranger in an unknown name": token(key=STRANGER, kid="stranger"),
    "signed by a stranger who brings his key": raw(
        {**HEADER, "jwk": jwk("x", STRANGER), "jku": "https://evil.example"}, GOOD, b"x" * 256
    ),
    "signed with the public key as a shared secret": with_shared_secret(json.dumps(jwk("rsa")).encode()),
    "signed with the public modulus as a shared secret": with_shared_secret(jwk("rsa")["n"].encode()),
    "signed with an empty shared secret": with_shared_secret(b""),
    "signed by a key of another kind": raw({"alg": "ES256", "kid": "rsa"}, GOOD, b"x" * 64),
    "signed by an algorithm that is not listed": token("PS256"),
    "signed with an extension": signed({**HEADER, "crit": ["exp"], "exp": 1}, GOOD),
    "signed over a payload that is not encoded": signed({**HEADER, "crit": ["b64"], "b64": False}, GOOD),
    "without an algorithm": signed({"kid": "rsa"}, GOOD),
    "with a list of algorithms": signed({"alg": ["RS256"], "kid": "rsa"}, GOOD),
    "with a number for a key": signed({"alg": "RS256", "kid": 7}, GOOD),
    "with claims that are a list": signed(HEADER, [GOOD]),
    "with claims that are a number": signed(HEADER, 7),
    "two parts": b"a.b",
    "five parts, encrypted": b"a.b.c.d.e",
    "dots": b"..",
    "opaque": b"2YotnFZFEjr1zCsicMWpAA",
    "not base64": b"e30.e30.!",
    "a header without end": raw(b"[" * 40_000, GOOD),
    "a header that is no JSON": raw(b"\xff\xfe", GOOD),
    "a number without end": raw(b'{"alg":"RS256","kid":"rsa","x":' + b"9" * 20_000 + b"}", GOOD),
    "a space before": b" " + token(),
    "a line after": token() + b"\r\n",
    "a NUL in it": token().replace(b".", b"\0.", 1),
    "two tokens": token() + b" " + token(),
    "64 KiB": b"a" * 65_536,
    "more": b"a" * 65_537,
    "nothing": b"",
}
UNFIT: dict[str, bytes] = {
    "expired": token(exp=NOW - 60),
    "expired long ago": token(exp=0),
    "never expiring": token(exp=None),
    "expiring at a text": signed(HEADER, claims(exp="never")),
    "expiring at a number in a text": signed(HEADER, claims(exp=str(NOW + 3600))),
    "expiring at true": signed(HEADER, claims(exp=True)),
    "expiring at no number": signed(HEADER, claims(exp=float("nan"))),
    "expiring at infinity": signed(HEADER, claims(exp=float("inf"))),
    "expiring in a list": signed(HEADER, claims(exp=[NOW + 3600])),
    "of the future": token(nbf=NOW + 86400),
    "issued in the future": token(iat=NOW + 86400),
    "of another issuer": token(iss="https://evil.example"),
    "of a list of issuers": signed(HEADER, claims(iss=[ISSUER])),
    "of our issuer with a slash": token(iss=f"{ISSUER}/"),
    "of no issuer": token(iss=None),
    "for another audience": token(aud="calendar"),
    "for other audiences": token(aud=["calendar", "drive"]),
    "for an audience in an object": signed(HEADER, claims(aud={AUDIENCE: 1})),
    "for no audience": token(aud=None),
    "of nobody": token(email=None),
    "of an empty name": token(email=""),
    "of a list of names": signed(HEADER, claims(email=[SITI])),
    "of a number": signed(HEADER, claims(email=7)),
    "of half a character": signed(HEADER, claims(email="\ud800@tgg.net.id")),
    "of an unverified address": token(email_verified=False),
    "of an address that is unverified in a text": token(email_verified="false"),
    "bound to a key": token(cnf={"jkt": "x"}),
    "of somebody unknown": token(email=f"nobody@{DOMAIN}"),
    "of somebody elsewhere": token(email="siti@evil.example"),
    "of nobody's name": token(email="\n"),
    "of a locked account": token(email=f"sari@{DOMAIN}"),
}


@pytest.mark.parametrize("forged", [*FORGED.values()], ids=[*FORGED])
async def test_a_forged_token_is_refused(tmp_path: Path, forged: bytes) -> None:
    async with verifying(tmp_path) as verifiers:
        for _ in range(2):
            assert said(await verifiers.verify(bearer(forged))) == "refused"


@pytest.mark.parametrize("unfit", [*UNFIT.values()], ids=[*UNFIT])
async def test_a_token_for_something_else_is_refused(tmp_path: Path, unfit: bytes) -> None:
    async with verifying(tmp_path) as verifiers:
        for _ in range(2):
            assert said(await verifiers.verify(bearer(unfit, login="siti", account=SITI))) == "refused"


async def test_the_hand_that_makes_these_can_make_good_ones(tmp_path: Path) -> None:
    async with verifying(tmp_path) as verifiers:
        assert said(await verifiers.verify(bearer(signed(HEADER, GOOD)))) == f"verified {SITI}"
        assert said(await verifiers.verify(bearer(token(aud=["drive", AUDIENCE])))) == f"verified {SITI}"
        assert said(await verifiers.verify(bearer(token(exp=NOW + 0.5 + 3600)))) == f"verified {SITI}"
        assert said(await verifiers.verify(bearer(token(email_verified=True)))) == f"verified {SITI}"


async def test_what_the_operator_lists_is_taken_and_nothing_else(tmp_path: Path) -> None:
    async with verifying(tmp_path, algorithms=["PS256", "ES384"]) as verifiers:
        assert said(await verifiers.verify(bearer(token("PS256")))) == f"verified {SITI}"
        assert said(await verifiers.verify(bearer(token("ES384")))) == f"verified {SITI}"
        assert said(await verifiers.verify(bearer(token("RS256")))) == "refused"


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ({"scope": "mail profile"}, "verified"),
        ({"scope": ["profile", "mail"]}, "verified"),
        ({"scp": "mail"}, "verified"),
        ({"scope": "mailbox"}, "refused"),
        ({}, "refused"),
    ],
)
async def test_the_scope_must_be_in_it(tmp_path: Path, scopes: dict[str, Any], expected: str) -> None:
    async with verifying(tmp_path, scopes=["mail"]) as verifiers:
        verdict = await verifiers.verify(bearer(token(**scopes)))
        assert verdict.WhichOneof("result") == expected


class TestNames:
    """The claim's name means what the same name means in a login, save for what the client can choose."""

    async def test_an_alias_is_its_account(self, tmp_path: Path) -> None:
        async with verifying(tmp_path) as verifiers:
            assert said(await verifiers.verify(bearer(token(email=f"S@{DOMAIN.upper()}")))) == f"verified {SITI}"

    async def test_another_claim_may_name_it(self, tmp_path: Path) -> None:
        async with verifying(tmp_path, account_claim="preferred_username") as verifiers:
            verdict = await verifiers.verify(bearer(token(preferred_username="budi")))
            assert said(verdict) == f"verified budi@{DOMAIN}"
            assert said(await verifiers.verify(bearer(token()))) == "refused"

    async def test_a_spelling_of_it_that_its_issuer_may_have_given_to_somebody_else_is_refused(
        self, tmp_path: Path
    ) -> None:
        async with verifying(tmp_path, account_claim="preferred_username") as verifiers:
            for name in ("\uff53iti", "siti ", f"siti@{DOMAIN}.", f"\uff53iti@{DOMAIN}"):
                forged = token(preferred_username=name)
                for proof in (bearer(forged), bearer(forged, login="siti", account=SITI)):
                    assert said(await verifiers.verify(proof)) == "refused"

    async def test_the_clients_host_name_does_not_qualify_the_claim(self, tmp_path: Path) -> None:
        told = ToldDirectory(account("siti"), hosts={"evil.example": "evil.example"})
        told.accounts["siti@evil.example"] = account("siti")
        async with verifying(tmp_path, told, account_claim="sub") as verifiers:
            proof = bearer(token(sub="siti"), login="siti", account="siti@evil.example")
            proof.question.virtual_host = "evil.example"
            assert said(await verifiers.verify(proof)) == f"verified {SITI}"

    async def test_a_directory_that_is_down_is_a_fault(self, tmp_path: Path) -> None:
        told = directory()
        told.down = DirectoryUnavailableError("gone")
        async with verifying(tmp_path, told) as verifiers:
            assert said(await verifiers.verify(bearer(token()))) == "fault"
            assert said(await verifiers.verify(bearer(token(), login="siti", account=SITI))) == f"verified {SITI}"


class TestTimes:
    """By a clock that the test sets."""

    @asynccontextmanager
    async def verifying(self, path: Path, **config: object) -> AsyncIterator[tuple[Verifiers, Clocks]]:
        clocks = Clocks()
        clocks.now = float(NOW)
        (path / "jwks.json").write_bytes(jwks())
        oauth = config_pb2.VerifyOAuth(issuer=ISSUER, audiences=[AUDIENCE], **config)  # type: ignore[arg-type]
        prover = SignedTokens(FileKeys(str(path / "jwks.json"), monotonic=clocks), DEFAULT_ALGORITHMS)
        async with Bench(directory=directory()) as bench:
            verifiers = Verifiers(tokens=OAuthVerifier(oauth, prover, bench.resolver, wall=clocks))
            yield verifiers, clocks
            await verifiers.close()

    async def test_a_good_token_is_remembered_until_it_expires_and_no_longer(self, tmp_path: Path) -> None:
        good = token(exp=NOW + 100)
        async with self.verifying(tmp_path) as (verifiers, clocks):
            before = counted("zproxy_oauth_tokens", result="remembered")
            for _ in range(3):
                assert said(await verifiers.verify(bearer(good))) == f"verified {SITI}"
            assert counted("zproxy_oauth_tokens", result="remembered") == before + 2
            clocks.now = NOW + 99.9
            assert said(await verifiers.verify(bearer(good))) == f"verified {SITI}"
            assert counted("zproxy_oauth_tokens", result="remembered") == before + 3
            # Looked at anew: the issuer's clock may be a little behind ours.
            clocks.now = NOW + 100 + DEFAULT_LEEWAY_SECONDS - 0.1
            assert said(await verifiers.verify(bearer(good))) == f"verified {SITI}"
            assert counted("zproxy_oauth_tokens", result="remembered") == before + 3
            clocks.now = NOW + 100 + DEFAULT_LEEWAY_SECONDS
            assert said(await verifiers.verify(bearer(good))) == "refused"

    async def test_no_more_tokens_are_remembered_than_configured(self, tmp_path: Path) -> None:
        async with self.verifying(tmp_path, cached_tokens=2) as (verifiers, _):
            tokens = [token(sub=str(number)) for number in range(3)]
            for each in (*tokens, tokens[0]):
                await verifiers.verify(bearer(each))
            before = counted("zproxy_oauth_tokens", result="remembered")
            for each in (tokens[0], tokens[2], tokens[1]):
                await verifiers.verify(bearer(each))
            assert counted("zproxy_oauth_tokens", result="remembered") == before + 2

    async def test_a_key_that_is_withdrawn_proves_nothing_more(self, tmp_path: Path) -> None:
        file = tmp_path / "jwks.json"
        async with self.verifying(tmp_path) as (verifiers, clocks):
            assert said(await verifiers.verify(bearer(token()))) == f"verified {SITI}"
            replace(file, jwks(jwk("ec")))
            clocks.now += LOOK_SECONDS
            assert said(await verifiers.verify(bearer(token()))) == "refused"
            assert said(await verifiers.verify(bearer(token("ES256")))) == f"verified {SITI}"

    async def test_a_file_that_turns_bad_keeps_the_keys_before(self, tmp_path: Path) -> None:
        file = tmp_path / "jwks.json"
        async with self.verifying(tmp_path) as (verifiers, clocks):
            for bad in (b"nonsense", jwks({"kty": "oct", "k": "AAAA", "kid": "rsa"})):
                replace(file, bad)
                clocks.now += LOOK_SECONDS
                assert said(await verifiers.verify(bearer(token()))) == f"verified {SITI}"
            file.unlink()
            clocks.now += LOOK_SECONDS
            assert said(await verifiers.verify(bearer(token()))) == f"verified {SITI}"


def replace(file: Path, content: bytes) -> None:
    """Move another file into place, as a careful operator does."""
    new = file.with_suffix(".new")
    new.write_bytes(content)
    new.replace(file)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [7, null, "x", {}]}',
        b'{"keys": ' + b"[" * 100_000,
        jwks({"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256"}),
        jwks({**jwk("rsa"), "use": "enc"}),
        jwks({**jwk("rsa"), "key_ops": ["encrypt"]}),
        jwks({**jwk("rsa"), "key_ops": 7}),
        jwks({**jwk("rsa"), "n": "AQAB"}),
        jwks({**jwk("ec"), "crv": "P-999"}),
        jwks({**jwk("ec"), "x": "AA"}),
        jwks({"kty": "RSA", "kid": "a"}),
        jwks(*[jwk("ec")] * 101),
    ],
)
def test_a_set_without_a_usable_key_is_told(document: bytes) -> None:
    with pytest.raises(OAuthKeysError, match="JWKS"):
        parse_keys(document)


def test_a_token_without_a_key_name_is_for_the_only_key_that_fits() -> None:
    one = parse_keys(jwks(jwk("rsa"), jwk("ec")))
    two = parse_keys(jwks(jwk("rsa"), jwk("b", STRANGER)))
    assert choose(one, "", "RS256") is one[0]
    assert choose(two, "", "RS256") is None
    assert choose(two, "b", "RS256") is two[1]
    assert choose(one, "rsa", "ES256") is None


def test_a_key_for_one_algorithm_verifies_by_no_other() -> None:
    [key] = parse_keys(jwks(jwk("rsa", alg="PS256")))
    assert (key.fits("PS256"), key.fits("RS256"), key.fits("ES256")) == (True, False, False)


def test_the_private_half_of_a_key_is_not_read() -> None:
    whole = json.loads(RSAAlgorithm.to_jwk(PRIVATE["rsa"]))
    assert "d" in whole
    [key] = parse_keys(jwks({**whole, "kid": "rsa", "key_ops": ["sign", "verify"]}))
    assert not hasattr(key.public, "private_numbers")
