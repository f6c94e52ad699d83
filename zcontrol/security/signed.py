"""Tokens that their issuer has signed (RFC 7515, RFC 7519), proved by his public keys."""

import json
from collections.abc import Collection
from typing import Final, final

import jwt

from zcontrol.errors import TokenRefusedError
from zcontrol.security.claims import Claims
from zcontrol.security.jwks import Key
from zcontrol.security.keys import Keys
from zcontrol.security.oauth import Prover


@final
class SignedTokens(Prover):
    """Proves by keys; nobody is asked about a token."""

    expiry_required = True
    # Only so that a token without much future left to the cache's bound is not looked at each time.
    longest_kept_seconds = 3600.0

    def __init__(self, keys: Keys, algorithms: Collection[str]) -> None:
        self.keys: Final = keys
        self._algorithms: Final = frozenset(algorithms)

    def generation(self) -> int:
        """That of the keys."""
        return self.keys.generation()

    async def claims(self, token: str) -> Claims:
        """What the token says, if a key of the issuer's has signed it."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise TokenRefusedError(f"no signed token: {error}; opaque ones need introspection") from error
        algorithm, kid = header.get("alg"), header.get("kid") or ""
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise TokenRefusedError("signed by an algorithm that verify.oauth.algorithms does not list")
        if "crit" in header or "b64" in header:
            # RFC 7515, 4.1.11: of such extensions we know none.
            raise TokenRefusedError("signed with an extension (crit) that we do not know")
        key = await self.keys.find(kid, algorithm)
        if key is None:
            raise TokenRefusedError("signed by a key that its issuer does not publish")
        return _claims(token, key, algorithm)

    def go_on_from(self, before: Prover) -> None:
        """Know the keys that another has fetched."""
        if isinstance(before, SignedTokens):
            self.keys.go_on_from(before.keys)

    async def probe(self) -> None:
        """Fetch the keys, where they are not at hand."""
        await self.keys.probe()

    async def close(self) -> None:
        """Let go of the keys' source."""
        await self.keys.close()


def _claims(token: str, key: Key, algorithm: str) -> Claims:
    try:
        payload = _JWS.decode(token, key.public, [algorithm])
        claims = json.loads(payload)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise TokenRefusedError(f"forged, or damaged on its way: {type(error).__name__}") from error
    if not isinstance(claims, dict):
        raise TokenRefusedError("its claims are no JSON object")
    return claims


_JWS: Final = jwt.PyJWS()
