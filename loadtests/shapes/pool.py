"""The pool of the system under load, by its gRPC API: add the spare server, take it away."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import grpc
import grpc.experimental.gevent

from clients.steps import ServerError
from plan.fields import PlanError
from zcontrol.config.reader import read_message
from zcontrol.v1 import pool_pb2, pool_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_SECONDS = 10
HEADER = pool_pb2.ChangeHeader(author="load test", reason="server added under load")


class Pool:
    """PoolService, as far as a load test changes it."""

    def __init__(self, api: str, spare: dict[str, Any]) -> None:
        # Else a call would hold up every user of this process.
        grpc.experimental.gevent.init_gevent()
        self._api = api
        self._spare = pool_pb2.Backend()
        if faults := read_message(spare, self._spare, os.environ):
            raise PlanError("; ".join(f"spare.{fault.path}: {fault.problem}" for fault in faults))

    def add(self) -> str:
        """Add it."""
        request = pool_pb2.AddBackendRequest(header=HEADER, backend=self._spare)
        return self._changed(lambda pool: pool.AddBackend(request, timeout=ANSWER_SECONDS))

    def remove(self) -> str:
        """Send it nobody new, then remove it; live sessions stay where they are."""
        drain = pool_pb2.DrainRequest(header=HEADER, name=self._spare.name)
        self._changed(lambda pool: pool.Drain(drain, timeout=ANSWER_SECONDS))
        remove = pool_pb2.RemoveBackendRequest(header=HEADER, name=self._spare.name)
        return self._changed(lambda pool: pool.RemoveBackend(remove, timeout=ANSWER_SECONDS))

    def _changed(self, ask: Callable[[pool_pb2_grpc.PoolServiceStub], pool_pb2.PoolChange]) -> str:
        try:
            with grpc.insecure_channel(self._api) as channel:
                change = ask(pool_pb2_grpc.PoolServiceStub(channel))
        except grpc.RpcError as error:
            raise ServerError(f"{error.code().name}: {error.details()}") from error
        return f"{change.action}, pool version {change.version}"
