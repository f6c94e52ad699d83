"""Errors become gRPC statuses here, once, as pool.proto and token.proto promise them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import grpc

from zcontrol.access.tokens import TokenInvalidError, TokenNotFoundError, TooManyTokensError
from zcontrol.errors import StoreUnavailableError, ZproxyError
from zcontrol.pool import model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def refusals(context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """End the call with the status of whatever error of these is raised inside."""
    try:
        yield
    except tuple(STATUSES) as error:
        await context.abort(STATUSES[type(error)], str(error))


STATUSES: dict[type[ZproxyError], grpc.StatusCode] = {
    model.PoolConflictError: grpc.StatusCode.ABORTED,
    model.PoolInvalidError: grpc.StatusCode.INVALID_ARGUMENT,
    model.PoolNameTakenError: grpc.StatusCode.ALREADY_EXISTS,
    model.PoolNotFoundError: grpc.StatusCode.NOT_FOUND,
    model.PoolStrandedError: grpc.StatusCode.FAILED_PRECONDITION,
    StoreUnavailableError: grpc.StatusCode.UNAVAILABLE,
    TokenInvalidError: grpc.StatusCode.INVALID_ARGUMENT,
    TokenNotFoundError: grpc.StatusCode.NOT_FOUND,
    TooManyTokensError: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
