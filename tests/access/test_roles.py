"""The table of methods: each has a row, and each role may do what it says and no more."""

# ruff: noqa: ANN401 - the types that mypy-protobuf makes for grpc.aio stubs exist for type checkers only

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from access.conftest import drained, got_pool, refusal
from zcontrol.access.roles import ADMIN, EDGE, METHODS, OPERATOR, VIEWER, having
from zcontrol.v1 import audit_pb2, config_pb2, edge_pb2, pool_pb2, route_pb2, session_pb2, token_pb2

if TYPE_CHECKING:
    from access.conftest import Doors

MODULES = (audit_pb2, config_pb2, edge_pb2, pool_pb2, route_pb2, session_pb2, token_pb2, health_pb2, reflection_pb2)
SERVED = {
    f"/{service.full_name}/{method.name}"
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
# What no viewer could do without being noticed.
CHANGING = ("Add", "Update", "Remove", "Set", "Drain", "Undrain", "Rollback", "Kick", "Invalidate", "Create", "Revoke")


def test_every_method_of_every_service_has_a_row_and_no_row_is_of_another() -> None:
    assert set(METHODS) == SERVED


def test_what_changes_something_is_audited_and_takes_more_than_a_viewer() -> None:
    for method, rule in METHODS.items():
        changes = method.rpartition("/")[2].startswith(CHANGING)
        assert rule.changes == changes, method
        assert rule.admits((VIEWER,)) is (not changes and VIEWER in rule.takes), method


def test_a_role_includes_those_below_it_and_an_edge_is_an_edge() -> None:
    assert having((ADMIN,)) == {ADMIN, OPERATOR, VIEWER}
    assert having((OPERATOR,)) == {OPERATOR, VIEWER}
    assert having((EDGE,)) == {EDGE}
    assert having((EDGE, VIEWER)) == {EDGE, VIEWER}


@pytest.mark.parametrize("role", [EDGE, VIEWER, OPERATOR, ADMIN])
async def test_a_role_is_served_what_it_takes_and_refused_all_else(doors: Doors, role: int) -> None:
    _, secret = await doors.token(role)
    channel = doors.channel(token=secret)
    for method, rule in METHODS.items():
        # A request that no service takes: who is admitted gets as far as that.
        call: Any = channel.unary_unary(method)
        code, details = await outcome(call(b"\xff", timeout=10))
        if rule.admits((role,)):  # type: ignore[arg-type]
            assert code is not grpc.StatusCode.PERMISSION_DENIED, (method, details)
        else:
            assert code is grpc.StatusCode.PERMISSION_DENIED, (method, details)
            assert f"{method[1:]} takes" in details
    await channel.close()


async def outcome(call: Any) -> tuple[grpc.StatusCode, str]:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), str(error.details())
    return grpc.StatusCode.OK, ""


async def test_a_refusal_says_who_one_is_and_which_role_it_takes(doors: Doors) -> None:
    token_id, secret = await doors.token(VIEWER, note="monitoring")
    channel = doors.channel(token=secret)
    assert await got_pool(channel) == 1
    assert await refusal(drained(channel)) == (
        grpc.StatusCode.PERMISSION_DENIED,
        f"token {token_id} (monitoring) is viewer; zcontrol.v1.PoolService/Drain takes operator",
    )
    await channel.close()


async def test_who_proves_nothing_does_not_learn_which_methods_there_are(doors: Doors) -> None:
    channel = doors.channel()
    for method in ("/zcontrol.v1.PoolService/Get", "/zcontrol.v1.PoolService/Nothing", "/a/b"):
        call: Any = channel.unary_unary(method)
        code, details = await refusal(call(b""))
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert details.startswith("you show no token")
    await channel.close()


async def test_a_method_that_there_is_not_is_told_to_who_may_call(doors: Doors) -> None:
    call: Any = doors.running.channel.unary_unary("/zcontrol.v1.PoolService/Nothing")
    assert await refusal(call(b"")) == (
        grpc.StatusCode.UNIMPLEMENTED,
        "there is no method 'zcontrol.v1.PoolService/Nothing'",
    )


async def test_reflection_is_answered_to_admins_only(doors: Doors) -> None:
    method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    for role, expected in ((OPERATOR, grpc.StatusCode.PERMISSION_DENIED), (ADMIN, grpc.StatusCode.UNIMPLEMENTED)):
        _, secret = await doors.token(role)
        channel = doors.channel(token=secret)
        stream: Any = channel.stream_stream(method)
        # Off: an admin learns that, nobody else does.
        assert await stream(iter([b"\x3a\x00"])).code() is expected
        await channel.close()
