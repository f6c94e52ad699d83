"""How many logins a second one core of the control plane verifies: by LDAP binds, and by tokens, remembered and new.

Starts its own slapd on loopback, sends batches as an edge does, and prints processor time of this process for each
login: what slapd uses is its own, and so is gRPC's, about 4 µs a login in batches. Best of several rounds, with spread.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jwt
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

# The suite's servers.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.slapd import BASE, Slapd, person, with_password
from zcontrol.routing.open import open_resolver
from zcontrol.security.open import open_verifiers
from zcontrol.services.verify import answer_proofs
from zcontrol.v1 import config_pb2, pool_pb2, route_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from zcontrol.security.verify import Verifiers

ACCOUNTS: Final = 4_000
BATCH: Final = 64
ROUNDS: Final = 7
ISSUER: Final = "https://login.example"
PASSWORD: Final = "only for benches"  # noqa: S105 - of accounts that a bench makes


def main() -> None:
    """Start slapd, measure, print."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        slapd = Slapd(directory / "slapd")
        stack.callback(slapd.stop)
        slapd.load(
            [with_password(person(f"u{n}", mail=_name(n), mailHost="mbox-1"), PASSWORD) for n in range(ACCOUNTS)]
        )
        slapd.start()
        keys = {"RS256": rsa.generate_private_key(65537, 2048), "ES256": ec.generate_private_key(ec.SECP256R1())}
        (directory / "jwks.json").write_text(_jwks(keys))
        uvloop.run(_measure(_config(slapd.url, directory / "jwks.json"), keys))


async def _measure(config: config_pb2.Config, keys: dict[str, Any]) -> None:
    pool = pool_pb2.Pool(version=1, backends=[pool_pb2.Backend(name="mbox-1", host="mbox1.example")])
    resolver = open_resolver(config, lambda: pool)
    verifiers = open_verifiers(config, resolver)
    passwords = [_proof(n, password=PASSWORD.encode()) for n in range(ACCOUNTS)]
    await _round(verifiers, passwords[: ACCOUNTS // 4])
    _print("LDAP binds", [await _round(verifiers, passwords) for _ in range(ROUNDS)])
    for algorithm, key in keys.items():
        rounds = [[_proof(n, token=_token(n, algorithm, key, turn)) for n in range(500)] for turn in range(ROUNDS)]
        _print(f"new tokens, {algorithm}", [await _round(verifiers, proofs) for proofs in rounds])
    known = rounds[-1] * 20
    _print("remembered tokens", [await _round(verifiers, known) for _ in range(ROUNDS)])
    await verifiers.close()
    await resolver.close()


async def _round(verifiers: Verifiers, proofs: Sequence[route_pb2.Proof]) -> tuple[float, float]:
    """Send every proof once, over the wire format; processor time and time of one login in seconds."""
    batches = [
        route_pb2.VerifyBatch(id=at, proofs=proofs[at : at + BATCH]).SerializeToString()
        for at in range(0, len(proofs), BATCH)
    ]
    replies = _Replies()
    begun, cpu = time.perf_counter(), time.process_time()
    await answer_proofs(lambda: verifiers, _arriving(batches), replies)  # type: ignore[arg-type] - all it needs of one
    spent = time.process_time() - cpu, time.perf_counter() - begun
    if replies.verified != len(proofs):
        sys.exit(f"only {replies.verified} of {len(proofs)} were verified")
    return spent[0] / len(proofs), spent[1] / len(proofs)


async def _arriving(batches: Sequence[bytes]) -> AsyncIterator[route_pb2.VerifyBatch]:
    for octets in batches:
        yield route_pb2.VerifyBatch.FromString(octets)
        # As a stream does, it gives way.
        await asyncio.sleep(0)


class _Replies:
    """Takes the place of a stream's context."""

    def __init__(self) -> None:
        self.verified = 0

    async def write(self, reply: route_pb2.VerifyReply) -> None:
        """Count what an edge would read."""
        told = route_pb2.VerifyReply.FromString(reply.SerializeToString())
        self.verified += sum(verdict.HasField("verified") for verdict in told.verdicts)


def _config(ldap: str, jwks: Path) -> config_pb2.Config:
    return config_pb2.Config(
        directory=config_pb2.Directory(ldap=config_pb2.LdapDirectory(urls=[ldap], base=BASE)),
        verify=config_pb2.VerifySettings(
            ldap=config_pb2.VerifyLdap(bind=True),
            oauth=config_pb2.VerifyOAuth(jwks_file=str(jwks), issuer=ISSUER, audiences=["mail"]),
        ),
    )


def _proof(number: int, **credential: bytes) -> route_pb2.Proof:
    name = _name(number)
    question = route_pb2.Question(login=name.encode())
    return route_pb2.Proof(question=question, account=name, service="imap", **credential)


def _token(number: int, algorithm: str, key: Any, turn: int) -> bytes:  # noqa: ANN401 - a private key of some kind
    claims = {"iss": ISSUER, "aud": "mail", "email": _name(number), "exp": int(time.time()) + 3600, "jti": str(turn)}
    return jwt.encode(claims, key, algorithm, headers={"kid": algorithm}).encode()


def _jwks(keys: dict[str, Any]) -> str:
    written = {
        "RS256": RSAAlgorithm.to_jwk(keys["RS256"].public_key(), as_dict=True),
        "ES256": ECAlgorithm.to_jwk(keys["ES256"].public_key(), as_dict=True),
    }
    return json.dumps({"keys": [{**key, "kid": kid} for kid, key in written.items()]})


def _name(number: int) -> str:
    return f"user{number}@tgg.net.id"


def _print(what: str, rounds: Sequence[tuple[float, float]]) -> None:
    cpu = [spent for spent, _ in rounds]
    best, spread = min(cpu), statistics.pstdev(cpu) / statistics.mean(cpu)
    whole = min(taken for _, taken in rounds)
    print(  # noqa: T201 - the bench's output
        f"{what:18} {1 / best:8.0f} logins/s a core  {best * 1e6:6.1f} µs each  ± {spread:.0%}, {len(rounds)} rounds; "
        f"{1 / whole:.0f}/s by the clock"
    )


if __name__ == "__main__":
    main()
