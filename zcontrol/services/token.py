"""TokenService: who else may call control, said by those who may say so."""

# ruff: noqa: N802 - gRPC names its methods

from __future__ import annotations

from datetime import timedelta
from typing import Any, final

import grpc

from zcontrol.access.caller import leave, speaker
from zcontrol.access.roles import named
from zcontrol.access.tokens import Tokens, Wanted
from zcontrol.services.refusals import refusals
from zcontrol.v1 import token_pb2, token_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


@final
class TokenService(token_pb2_grpc.TokenServiceServicer):
    """Serves all tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def Create(self, request: token_pb2.CreateTokenRequest, context: Context) -> token_pb2.CreateTokenResponse:
        """Draw a token and tell it, once."""
        wanted = Wanted(role=request.role, note=request.note, lifetime=_lifetime(request), author=speaker())
        async with refusals(context):
            token, secret = await self._tokens.create(wanted)
        leave(f"token {token.id}: added, {_told(token)}")
        return token_pb2.CreateTokenResponse(token=token, secret=secret)

    async def List(self, request: token_pb2.ListTokensRequest, context: Context) -> token_pb2.ListTokensResponse:
        """All tokens, oldest first."""
        del request, context
        return token_pb2.ListTokensResponse(tokens=self._tokens.list())

    async def Revoke(self, request: token_pb2.RevokeTokenRequest, context: Context) -> token_pb2.RevokeTokenResponse:
        """Let a token open nothing any more."""
        async with refusals(context):
            token = await self._tokens.revoke(request.id)
        leave(f"token {token.id}: removed, {_told(token)}")
        return token_pb2.RevokeTokenResponse(token=token)


def _lifetime(request: token_pb2.CreateTokenRequest) -> timedelta | None:
    if request.forever:
        return None
    if not request.HasField("lifetime"):
        return USUAL_LIFETIME
    # What a timedelta cannot hold is no lifetime either.
    seconds = min(max(request.lifetime.seconds, -LARGEST_SECONDS), LARGEST_SECONDS)
    return timedelta(seconds=seconds, microseconds=request.lifetime.nanos / 1000)


def _told(token: token_pb2.Token) -> str:
    until = f"until {token.expires.ToJsonString()}" if token.HasField("expires") else "for ever"
    return f"{named((token.role,))} {until}"


USUAL_LIFETIME = timedelta(days=90)
LARGEST_SECONDS = 100 * 365 * 24 * 3600
