"""The public keys that sign tokens: a JWKS (RFC 7517) as keys that fit one algorithm family each.

Only what verifies asymmetric signatures is read: a shared secret (`oct`), a key for encryption or a short RSA key is
passed over, and the private half of a key, should somebody have published it, is not looked at.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import PyJWTError

from zcontrol.errors import OAuthKeysError

PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

# Algorithms (RFC 7518, 3.1; RFC 8037, 3.1) and the keys that they take: `kty`, `crv`.
FAMILIES: Final[Mapping[str, tuple[str, str | None]]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One public key."""

    # Empty: the set does not name it.
    kid: str
    # The only algorithm it is for; empty: any of its family.
    algorithm: str
    family: tuple[str, str | None]
    public: PublicKey

    def fits(self, algorithm: str) -> bool:
        """Whether it may verify signatures by this algorithm."""
        return self.family == FAMILIES.get(algorithm) and self.algorithm in ("", algorithm)


def parse_keys(document: bytes) -> tuple[Key, ...]:
    """The keys of a JWKS; raises `OAuthKeysError` if there is none that could verify anything."""
    try:
        listed = json.loads(document)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise OAuthKeysError(f'no JWKS: {type(error).__name__}; it is a JSON object with "keys"') from error
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise OAuthKeysError(f'no JWKS: "keys" is no list of at most {MOST_KEYS}')
    keys = tuple(key for entry in listed if isinstance(entry, dict) and (key := _key(entry)))
    if not keys:
        raise OAuthKeysError("the JWKS has no public key to verify by: RSA of 2048 bits or more, EC, or Ed25519")
    return keys


def choose(keys: Iterable[Key], kid: str, algorithm: str) -> Key | None:
    """The key of that name; a token that names none is for the only key that fits."""
    fitting = [key for key in keys if key.fits(algorithm) and (not kid or key.kid == kid)]
    return fitting[0] if len(fitting) == 1 else None


def _key(entry: Mapping[str, Any]) -> Key | None:
    family = (entry.get("kty"), entry.get("crv"))
    algorithm = next((name for name, of in FAMILIES.items() if of == family), None)
    if algorithm is None or entry.get("use", "sig") != "sig" or not _verifies(entry.get("key_ops", ["verify"])):
        return None
    public_parts = {name: entry[name] for name in PUBLIC_PARTS if name in entry}
    try:
        public = get_default_algorithms()[algorithm].from_jwk(public_parts)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(public, RSAPublicKey) and public.key_size < SHORTEST_RSA_BITS:
        return None
    if not isinstance(public, PublicKey):
        return None
    return Key(kid=_text(entry, "kid"), algorithm=_text(entry, "alg"), family=FAMILIES[algorithm], public=public)


def _verifies(operations: object) -> bool:
    return isinstance(operations, list) and "verify" in operations


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


PUBLIC_PARTS: Final = ("kty", "crv", "n", "e", "x", "y")
# RFC 7518, 3.3.
SHORTEST_RSA_BITS: Final = 2048
# Issuers publish a handful.
MOST_KEYS: Final = 100
