"""Pool errors become gRPC statuses here, once, as pool.proto promises them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import grpc

from zcontrol.pool import model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def refusals(context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """End the call with the status of whatever pool error is raised inside."""
    try:
        yield
    except model.PoolError as error:
        await context.abort(STATUSES[type(error)], str(error))


STATUSES: dict[type[model.PoolError], grpc.StatusCode] = {
    model.PoolConflictError: grpc.StatusCode.ABORTED,
    model.PoolInvalidError: grpc.StatusCode.INVALID_ARGUMENT,
    model.PoolNameTakenError: grpc.StatusCode.ALREADY_EXISTS,
    model.PoolNotFoundError: grpc.StatusCode.NOT_FOUND,
    model.PoolStrandedError: grpc.StatusCode.FAILED_PRECONDITION,
    model.PoolUnavailableError: grpc.StatusCode.UNAVAILABLE,
}
