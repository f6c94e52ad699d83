"""The watch by which edges hold the pool: snapshot, changes, refusals, invalidations, and who is down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc
import pytest

from control.conftest import MEMBERS, Running, take
from control.edges import FakeEdge
from control.pools import backend
from zcontrol.v1 import edge_pb2, route_pb2
from zcontrol.v1 import pool_pb2 as pb

Attach = Callable[..., Awaitable[FakeEdge]]


async def attached(attach: Attach, edge_id: str = "edge-1") -> FakeEdge:
    """An edge that holds the seed."""
    edge = await attach(edge_id)
    assert (await edge.taken()).snapshot.pool.version == 1
    return edge


async def drain(running: Running, name: str) -> None:
    await running.pool.Drain(pb.DrainRequest(name=name))


async def test_an_edge_gets_the_whole_pool_first_and_then_changes(running: Running, attach: Attach) -> None:
    edge = await attach("edge-1")
    snapshot = (await edge.taken()).snapshot
    assert [found.name for found in snapshot.pool.backends] == list(MEMBERS)
    assert not snapshot.force
    await drain(running, "mbox-1")
    change = (await edge.taken()).change
    assert (change.base, change.version) == (1, 2)
    assert [(b.name, b.state) for b in change.backends] == [("mbox-1", pb.BACKEND_STATE_DRAINING)]
    assert {field.name for field, _ in change.ListFields()} == {"base", "version", "backends"}
    await running.pool.RemoveBackend(pb.RemoveBackendRequest(name="mbox-1"))
    await edge.taken()
    await running.pool.SetDefaults(pb.SetDefaultsRequest(defaults=pb.Defaults(mail="mbox-2")))
    assert (await edge.taken()).change.defaults.mail == "mbox-2"


async def test_a_slow_edge_gets_one_change_for_all_it_missed(running: Running, attach: Attach) -> None:
    edge = await attach("edge-1")
    await edge.update()
    for name in ("mbox-1", "mbox-2", "web-1"):
        await drain(running, name)
    await running.pool.RemoveBackend(pb.RemoveBackendRequest(name="mbox-1"))
    await edge.ack(1)
    change = (await edge.taken()).change
    assert (change.base, change.version) == (1, 5)
    assert [found.name for found in change.backends] == ["mbox-2", "web-1"]
    assert list(change.removed_backends) == ["mbox-1"]


async def test_a_refused_change_comes_again_as_a_snapshot(running: Running, attach: Attach) -> None:
    edge = await attached(attach)
    await drain(running, "mbox-1")
    assert (await edge.update()).change.version == 2
    await edge.nack(2, "base is not mine")
    assert (await edge.taken()).snapshot.pool.version == 2


async def test_a_refused_snapshot_waits_for_the_next_version(running: Running, attach: Attach) -> None:
    edge = await attach("edge-1")
    await edge.update()
    await edge.nack(1)
    await running.routes.Invalidate(route_pb2.InvalidateRequest(all=True))
    assert (await edge.update()).HasField("invalidation")
    await drain(running, "mbox-1")
    assert (await edge.taken()).snapshot.pool.version == 2


async def test_an_edge_that_never_answers_is_told_the_next_version_all_the_same(
    running: Running, attach: Attach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zcontrol.services.edge.ANSWER_SECONDS", 0.05)
    edge = await attach("edge-1")
    await edge.update()
    await drain(running, "mbox-1")
    assert (await edge.update()).change.version == 2


async def test_attaching_again_brings_a_snapshot_and_ends_the_stream_before(attach: Attach) -> None:
    first = await attached(attach)
    await attached(attach)
    code, told = await first.ending()
    assert (code, "edge-1" in told) == (grpc.StatusCode.ABORTED, True)


@pytest.mark.parametrize("edge_id", ["", "x" * 257])
async def test_a_stream_that_does_not_name_its_edge_is_refused(attach: Attach, edge_id: str) -> None:
    edge = await attach(edge_id)
    assert (await edge.ending())[0] == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(("holds", "force"), [(0, False), (1, True), (99, False)])
async def test_only_a_pool_that_was_emptied_by_hand_is_forced(
    running: Running, attach: Attach, holds: int, *, force: bool
) -> None:
    for name in ("mbox-1", "mbox-2"):
        await running.pool.RemoveBackend(pb.RemoveBackendRequest(name=name))
    for name in ("web-1", "web-2", "web-3"):
        down = backend(name, "web")
        down.state = pb.BACKEND_STATE_MAINTENANCE
        await running.pool.UpdateBackend(pb.UpdateBackendRequest(backend=down))
    for name in ("web-1", "web-2", "web-3"):
        await running.pool.RemoveBackend(pb.RemoveBackendRequest(name=name))
    edge = await attach("edge-1", holds=holds)
    assert (await edge.taken()).snapshot.force is force


async def test_an_invalidation_reaches_every_edge(running: Running, attach: Attach) -> None:
    edges = [await attached(attach, name) for name in ("edge-1", "edge-2")]
    told = await running.routes.Invalidate(route_pb2.InvalidateRequest(domain="tgg.net.id"))
    for edge in edges:
        invalidation = (await edge.update()).invalidation
        assert (list(invalidation.domains), invalidation.epoch) == (["tgg.net.id"], told.epoch)


async def test_an_edge_that_attaches_later_learns_the_epoch(running: Running, attach: Attach) -> None:
    told = await running.routes.Invalidate(route_pb2.InvalidateRequest(all=True))
    edge = await attach("edge-1")
    assert (await edge.taken()).snapshot.epoch == told.epoch


async def test_a_member_is_down_when_most_edges_say_so(attach: Attach) -> None:
    edges = [await attached(attach, f"edge-{n}") for n in range(3)]
    for edge in edges:
        await edge.health(web_1=True, web_2=True, web_3=True)
        assert list((await edge.update()).members_down.backends) == []
    await edges[0].health(web_1=False)
    await edges[1].health(web_1=False)
    for edge in edges:
        assert list((await edge.update()).members_down.backends) == ["web-1"]
    edges[0].leave()
    for edge in edges[1:]:
        # One of the two that are left is no majority.
        assert list((await edge.update()).members_down.backends) == []


async def test_a_group_is_never_called_down_whole(attach: Attach) -> None:
    edge = await attached(attach)
    await edge.health(web_1=False, web_2=False)
    assert list((await edge.update()).members_down.backends) == ["web-1", "web-2"]
    await edge.health(web_3=False)
    assert list((await edge.update()).members_down.backends) == []


async def test_a_member_that_was_removed_and_comes_again_is_not_down(running: Running, attach: Attach) -> None:
    edge = await attached(attach)
    await edge.health(web_1=False)
    assert list((await edge.update()).members_down.backends) == ["web-1"]
    await running.pool.RemoveBackend(pb.RemoveBackendRequest(name="web-1"))
    assert (await edge.taken()).HasField("change")
    assert list((await edge.update()).members_down.backends) == []
    await running.pool.AddBackend(pb.AddBackendRequest(backend=backend("web-1", "web")))
    assert (await edge.taken()).HasField("change")
    await edge.health(web_2=False)
    assert list((await edge.update()).members_down.backends) == ["web-2"]


async def test_a_backend_outside_of_shared_groups_is_left_to_each_edge(attach: Attach) -> None:
    edge = await attached(attach)
    await edge.health(mbox_1=False)
    assert list((await edge.update()).members_down.backends) == []


async def test_an_edge_keeps_its_list_until_it_has_told_what_it_sees(running: Running, attach: Attach) -> None:
    edge = await attached(attach)
    await drain(running, "mbox-1")
    assert (await edge.taken()).HasField("change")
    await edge.report(health=edge_pb2.HealthReport())
    assert (await edge.update()).HasField("members_down")


async def test_list_tells_which_endpoints_edges_call_down_and_why(running: Running, attach: Attach) -> None:
    async def listed(**filtered: str) -> pb.ListBackendsResponse:
        told: pb.ListBackendsResponse = await running.pool.ListBackends(pb.ListBackendsRequest(**filtered))
        return told

    assert (await listed()).edges == 0
    edges = [await attached(attach, name) for name in ("edge-1", "edge-2")]
    for edge in edges:
        await edge.health(mbox_1=True)
        await edge.update()
    await edges[0].health(mbox_1=False, web_1=False)
    await edges[1].health(web_1=False)
    # Only both together make a member down.
    assert (await edges[0].update()).HasField("members_down")
    told = await listed()
    assert told.edges == 2
    assert list(told.down) == [
        pb.EndpointDown(backend=name, service="imap", edges=votes, of=2, reason="refused")
        for name, votes in (("mbox-1", 1), ("web-1", 2))
    ]
    assert [endpoint.backend for endpoint in (await listed(group="web")).down] == ["web-1"]


async def test_an_edge_hears_what_control_verifies_before_the_pool_and_when_it_changes(
    running: Running, attach: Attach
) -> None:
    edge = await attach("edge-1")
    assert await edge.told_verifiers() == edge_pb2.Verifiers()
    await edge.taken()
    await take(running)
    verifying = '\nverify.ldap.bind = true\ndirectory.ldap = { urls = ["ldap://127.0.0.1:1"], base = "dc=x" }\n'
    text = running.file.read_text()
    lines = [verifying if line.startswith("directory.file") else line for line in text.splitlines()]
    running.file.write_text("\n".join(lines))
    await take(running)
    assert await edge.told_verifiers() == edge_pb2.Verifiers(passwords=True)
    # Of the routes that the other directory knew.
    assert (await edge.update()).HasField("invalidation")
    running.file.write_text(text)
    await take(running)
    assert await edge.told_verifiers() == edge_pb2.Verifiers()
