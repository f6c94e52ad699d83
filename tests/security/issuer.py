"""Issuers of tokens, good ones and forgers: keys of every kind, and tokens that say whatever a test wants."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import TYPE_CHECKING, Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of all claims: tests with clocks of their own set them by it, however late they run.
NOW: Final = int(time.time())
ISSUER: Final = "https://login.example"
AUDIENCE: Final = "mail"
NAMES: Final = {"RS256": "rsa", "PS256": "rsa", "ES256": "ec", "ES384": "ec384", "EdDSA": "ed"}
PRIVATE: Final[dict[str, Any]] = {
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "ec384": ec.generate_private_key(ec.SECP384R1()),
    "ed": ed25519.Ed25519PrivateKey.generate(),
}
STRANGER: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(kid: str, key: Any = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any key
    """The public half of a key, as a set lists it."""
    key = key or PRIVATE[kid]
    algorithm = {"RSAPrivateKey": "RS256", "Ed25519PrivateKey": "EdDSA"}.get(type(key).__name__.lstrip("_"), "ES256")
    if hasattr(key, "curve"):
        algorithm = "ES384" if key.curve.key_size == 384 else "ES256"
    written = get_default_algorithms()[algorithm].to_jwk(key.public_key())  # type: ignore[union-attr]
    return {**json.loads(written), "kid": kid, **more}


def jwks(*keys: Mapping[str, Any]) -> bytes:
    """A set; without keys that of the good issuer."""
    return json.dumps({"keys": keys or [jwk(kid) for kid in PRIVATE]}).encode()


def claims(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 - a claim may be anything
    """Good claims but for what a test changes; None takes one away."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "1234",
        "email": "siti@tgg.net.id",
        "iat": NOW - 60,
        "exp": NOW + 3600,
        **changed,
    }
    return {claim: value for claim, value in good.items() if value is not None}


def token(algorithm: str = "RS256", *, kid: str | None = None, key: object = None, **changed: object) -> bytes:
    """A token that is good but for what a test changes."""
    kid = NAMES[algorithm] if kid is None else kid
    private: Any = key or PRIVATE[NAMES[algorithm]]
    headers = {"kid": kid} if kid else {}
    return jwt.encode(claims(**changed), private, algorithm, headers=headers).encode()


def raw(header: Mapping[str, Any] | bytes, payload: object, signature: bytes = b"") -> bytes:
    """A token put together by hand."""
    parts = [header if isinstance(header, bytes) else json.dumps(header).encode(), json.dumps(payload).encode()]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (*parts, signature))


def with_shared_secret(secret: bytes) -> bytes:
    """A token in the good RSA key's name, signed by what everybody may know."""
    unsigned = raw({"alg": "HS256", "kid": "rsa"}, claims()).rpartition(b".")[0]
    return unsigned + b"." + base64.urlsafe_b64encode(hmac.digest(secret, unsigned, "sha256")).rstrip(b"=")


def signed(header: Mapping[str, Any], payload: object) -> bytes:
    """A token put together by hand and signed by the good RSA key."""
    unsigned = raw(header, payload).rpartition(b".")[0]
    signature = get_default_algorithms()["RS256"].sign(unsigned, PRIVATE["rsa"])
    return unsigned + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")
