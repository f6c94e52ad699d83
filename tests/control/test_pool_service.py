"""PoolService over its socket: every RPC, every status that pool.proto promises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from control.conftest import MEMBERS, Running
from control.pools import backend, shared
from zcontrol.config import Role, load
from zcontrol.errors import StoreUnavailableError
from zcontrol.pool import model
from zcontrol.server import Control
from zcontrol.services.refusals import STATUSES
from zcontrol.v1 import pool_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

Call = Callable[[Any], Awaitable[Any]]


def header(version: int = 0, **fields: str) -> pb.ChangeHeader:
    return pb.ChangeHeader(expected_version=version, **fields)


async def refused(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_get_gives_the_seed_as_version_one(running: Running) -> None:
    pool = await running.pool.Get(pb.GetPoolRequest())
    assert (pool.version, {b.name: b.group for b in pool.backends}) == (1, MEMBERS)


async def test_every_change_makes_the_next_version(running: Running) -> None:
    calls: list[Call] = [
        lambda p: p.AddGroup(pb.AddGroupRequest(group=shared("new"))),
        lambda p: p.AddBackend(pb.AddBackendRequest(backend=backend("new-1", "new"))),
        lambda p: p.UpdateBackend(pb.UpdateBackendRequest(backend=backend("mbox-1", host="127.0.0.9"))),
        lambda p: p.Drain(pb.DrainRequest(name="mbox-1")),
        lambda p: p.Undrain(pb.UndrainRequest(name="mbox-1")),
        lambda p: p.SetWeight(pb.SetWeightRequest(name="web-1", weight=5)),
        lambda p: p.SetDefaults(pb.SetDefaultsRequest(defaults=pb.Defaults(mail="web"))),
        lambda p: p.RemoveBackend(pb.RemoveBackendRequest(name="mbox-2")),
        lambda p: p.AddGroup(pb.AddGroupRequest(group=shared("old"))),
        lambda p: p.RemoveGroup(pb.RemoveGroupRequest(name="old")),
        lambda p: p.Rollback(pb.RollbackRequest(version=1)),
    ]
    versions = [(await call(running.pool)).version for call in calls]
    assert versions == list(range(2, 13))
    pool = await running.pool.Get(pb.GetPoolRequest())
    assert {b.name: b.group for b in pool.backends} == MEMBERS
    assert pool.backends[0].host == "127.0.0.2"


@pytest.mark.parametrize(
    ("call", "status", "told"),
    [
        (lambda p: p.Drain(pb.DrainRequest(name="x")), grpc.StatusCode.NOT_FOUND, "there are mbox-1"),
        (lambda p: p.Rollback(pb.RollbackRequest(version=9)), grpc.StatusCode.NOT_FOUND, "no version 9"),
        (lambda p: p.Get(pb.GetPoolRequest(version=9)), grpc.StatusCode.NOT_FOUND, "no version 9"),
        (lambda p: p.ListBackends(pb.ListBackendsRequest(group="x")), grpc.StatusCode.NOT_FOUND, "no group"),
        (
            lambda p: p.AddBackend(pb.AddBackendRequest(backend=backend("WEB"))),
            grpc.StatusCode.ALREADY_EXISTS,
            "take another name",
        ),
        (
            lambda p: p.Drain(pb.DrainRequest(header=header(7), name="mbox-1")),
            grpc.StatusCode.ABORTED,
            "at version 1, not 7; read it again",
        ),
        (
            lambda p: p.AddBackend(pb.AddBackendRequest(backend=backend("a b"))),
            grpc.StatusCode.INVALID_ARGUMENT,
            "name =",
        ),
        (
            lambda p: p.Drain(pb.DrainRequest(header=header(reason="x" * 257), name="mbox-1")),
            grpc.StatusCode.INVALID_ARGUMENT,
            "header.reason: at most 256 octets",
        ),
        (
            lambda p: p.Drain(pb.DrainRequest(header=header(author="\x1b[2J"), name="mbox-1")),
            grpc.StatusCode.INVALID_ARGUMENT,
            "header.author",
        ),
        (
            lambda p: p.RemoveGroup(pb.RemoveGroupRequest(name="web")),
            grpc.StatusCode.FAILED_PRECONDITION,
            "still has web-1",
        ),
    ],
)
async def test_a_refusal_has_its_status_and_says_what_to_do(
    running: Running, call: Call, status: grpc.StatusCode, told: str
) -> None:
    code, details = await refused(call(running.pool))
    assert code == status
    assert told in details
    assert (await running.pool.Get(pb.GetPoolRequest())).version == 1


def test_every_pool_error_has_a_status() -> None:
    assert set(model.PoolError.__subclasses__()) < set(STATUSES)


async def test_a_store_that_cannot_write_is_unavailable(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object, **__: object) -> None:
        raise StoreUnavailableError("disk full; make room")

    monkeypatch.setattr("zcontrol.pool.sqlite.SqliteStore.commit", full)
    code, details = await refused(running.pool.Drain(pb.DrainRequest(name="mbox-1")))
    assert (code, details) == (grpc.StatusCode.UNAVAILABLE, "disk full; make room")


async def test_list_filters_by_group_and_state(running: Running) -> None:
    await running.pool.Drain(pb.DrainRequest(name="web-1"))

    async def names(request: pb.ListBackendsRequest) -> list[str]:
        listed = await running.pool.ListBackends(request)
        assert listed.version == 2
        return [found.name for found in listed.backends]

    assert await names(pb.ListBackendsRequest(group="WEB")) == ["web-1", "web-2", "web-3"]
    assert await names(pb.ListBackendsRequest(state=pb.BACKEND_STATE_DRAINING)) == ["web-1"]
    assert await names(pb.ListBackendsRequest(group="web", state=pb.BACKEND_STATE_ACTIVE)) == ["web-2", "web-3"]


async def test_history_tells_who_did_what_and_why(running: Running) -> None:
    await running.pool.Drain(pb.DrainRequest(header=header(author="siti", reason="new disks"), name="MBOX-1"))
    newest, seed = (await running.pool.History(pb.HistoryRequest())).changes
    assert (newest.version, newest.author, newest.action, newest.reason) == (2, "siti", "drain mbox-1", "new disks")
    assert seed.version == 1
    assert newest.time.ToSeconds() >= seed.time.ToSeconds() > 0


async def test_history_tells_what_was_changed(running: Running) -> None:
    await running.pool.UpdateBackend(pb.UpdateBackendRequest(backend=backend("MBOX-1", host="127.0.0.9")))
    await running.pool.SetWeight(pb.SetWeightRequest(name="web-1", weight=5))
    await running.pool.SetDefaults(pb.SetDefaultsRequest(defaults=pb.Defaults(mail="web")))
    await running.pool.Rollback(pb.RollbackRequest(version=2))
    changes = (await running.pool.History(pb.HistoryRequest())).changes
    assert [change.action for change in changes][:4] == [
        "roll back to version 2: web-1 weight 5 to 100; defaults mail web to none",
        "set defaults: mail none to web",
        "update web-1: weight 100 to 5",
        "update mbox-1: host 127.0.0.2 to 127.0.0.9",
    ]


async def test_get_gives_an_older_version_too(running: Running) -> None:
    await running.pool.RemoveBackend(pb.RemoveBackendRequest(name="mbox-1"))
    seed = await running.pool.Get(pb.GetPoolRequest(version=1))
    assert (seed.version, [found.name for found in seed.backends]) == (1, list(MEMBERS))


async def test_a_change_that_changes_nothing_makes_no_version(running: Running) -> None:
    first = await running.pool.Drain(pb.DrainRequest(name="mbox-1"))
    again = await running.pool.Drain(pb.DrainRequest(name="mbox-1"))
    assert (first.version, first.unchanged) == (2, False)
    assert (again.version, again.unchanged, again.action) == (2, True, "drain mbox-1")
    assert (await running.pool.SetWeight(pb.SetWeightRequest(name="web-1", weight=100))).unchanged
    assert (await running.pool.Rollback(pb.RollbackRequest(version=2))).unchanged
    assert len((await running.pool.History(pb.HistoryRequest())).changes) == 2


async def test_without_an_author_history_has_the_way_the_caller_came(running: Running) -> None:
    assert (await running.pool.Drain(pb.DrainRequest(name="mbox-1"))).author == "a caller on the Unix socket"


async def test_many_changes_at_once_all_happen(running: Running) -> None:
    adds = [running.pool.AddBackend(pb.AddBackendRequest(backend=backend(f"new-{n}"))) for n in range(20)]
    versions = [(change).version for change in await asyncio.gather(*adds)]
    assert sorted(versions) == list(range(2, 22))
    assert len((await running.pool.Get(pb.GetPoolRequest())).backends) == len(MEMBERS) + 20


async def test_of_many_changes_of_one_version_one_happens(running: Running) -> None:
    calls = [
        running.pool.AddBackend(pb.AddBackendRequest(header=header(1), backend=backend(f"new-{n}"))) for n in range(10)
    ]

    async def outcome(call: Awaitable[Any]) -> grpc.StatusCode:
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    outcomes = await asyncio.gather(*map(outcome, calls))
    assert sorted(outcomes, key=str) == [grpc.StatusCode.ABORTED] * 9 + [grpc.StatusCode.OK]


async def test_watch_gives_the_current_pool_first_and_then_each_change(running: Running) -> None:
    watch = running.pool.Watch(pb.GetPoolRequest())
    assert (await watch.read()).version == 1
    await running.pool.Drain(pb.DrainRequest(name="mbox-1"))
    pool = await watch.read()
    assert (pool.version, pool.backends[0].state) == (2, pb.BACKEND_STATE_DRAINING)
    watch.cancel()


async def test_the_pool_survives_a_restart_and_the_file_seeds_only_once(running: Running, config_file: Path) -> None:
    await running.pool.RemoveBackend(pb.RemoveBackendRequest(name="mbox-2"))
    await running.control.stop(grace=0)
    running.control = await Control.start(load(config_file, Role.CONTROL))
    pool = await running.pool.Get(pb.GetPoolRequest(), wait_for_ready=True)
    assert (pool.version, len(pool.backends)) == (2, 4)
