"""Tokens that only their issuer can read: asked for one by one (RFC 7662)."""

import base64
import json
from contextlib import suppress
from typing import Final, final
from urllib.parse import quote_plus

from zcontrol.errors import OAuthUnavailableError, TokenRefusedError
from zcontrol.security.claims import Claims
from zcontrol.security.endpoint import Endpoint
from zcontrol.security.oauth import Prover
from zcontrol.v1 import config_pb2


@final
class IntrospectedTokens(Prover):
    """Proves by asking."""

    # RFC 7662, 2.2: `active` says it, and `exp` may be left out.
    expiry_required = False
    # A token that was withdrawn lives no longer here.
    longest_kept_seconds = 60.0

    def __init__(self, config: config_pb2.Introspection, endpoint: Endpoint) -> None:
        self._endpoint: Final = endpoint
        self._headers: Final = {"Authorization": _authorization(config)}

    async def claims(self, token: str) -> Claims:
        """What the issuer says of an active token."""
        form = {"token": token, "token_type_hint": "access_token"}
        body = await self._endpoint.ask(form=form, headers=self._headers)
        try:
            claims = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise OAuthUnavailableError(f"{self._endpoint.name}: answered no JSON; check the URL") from error
        if not isinstance(claims, dict) or not isinstance(claims.get("active"), bool):
            raise OAuthUnavailableError(f"{self._endpoint.name}: answered without active; check the URL")
        if not claims["active"]:
            raise TokenRefusedError("not active, says its issuer")
        return claims

    async def probe(self) -> None:
        """Ask about a token that nobody has, so that the log tells if the issuer does not take us for who we are."""
        with suppress(TokenRefusedError, OAuthUnavailableError):
            await self.claims("zproxy-asks-whether-it-may-ask")

    async def close(self) -> None:
        """Close connections."""
        await self._endpoint.close()


def _authorization(config: config_pb2.Introspection) -> str:
    if not config.client_id:
        return f"Bearer {config.bearer_token}"
    # RFC 6749, 2.3.1: each part is form-encoded first.
    pair = f"{quote_plus(config.client_id)}:{quote_plus(config.client_secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
