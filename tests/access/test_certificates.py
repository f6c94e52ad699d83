"""Client certificates: names become roles by rule, and whatever stops counting stops within two seconds."""

# ruff: noqa: ANN401 - the types that mypy-protobuf makes for grpc.aio stubs exist for type checkers only

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from structlog.testing import capture_logs

from access.authorities import Office, pem, replace
from access.conftest import ROLES, drained, got_pool, refusal, write_api
from control.conftest import take
from control.edges import FakeEdge
from zcontrol.access.roles import VIEWER
from zcontrol.v1 import edge_pb2_grpc, pool_pb2, pool_pb2_grpc

if TYPE_CHECKING:
    from pathlib import Path

    from access.conftest import Doors

# As the protos promise, and what a slow machine needs.
SOON = 2.0 + 3.0


async def test_names_of_a_certificate_give_its_bearer_roles(doors: Doors) -> None:
    viewer = doors.channel(certificate=doors.office.issue("cn:siti"))
    assert await got_pool(viewer) == 1
    code, details = await refusal(drained(viewer))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert details == "certificate cn:siti is viewer; zcontrol.v1.PoolService/Drain takes operator"
    operator = doors.channel(certificate=doors.office.issue("dns:other", "email:budi@ops.tgg.net.id"))
    assert await drained(operator, author="budi") == 2
    history = await doors.running.pool.History(pool_pb2.HistoryRequest(limit=1))
    assert history.changes[0].author == "certificate email:budi@ops.tgg.net.id for budi"
    for channel in (viewer, operator):
        await channel.close()


async def test_a_certificate_that_no_rule_names_is_somebody_without_a_role(doors: Doors) -> None:
    channel = doors.channel(certificate=doors.office.issue("dns:www.tgg.net.id", "cn:www"))
    code, details = await refusal(got_pool(channel))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert details.startswith("certificate dns:www.tgg.net.id, cn:www has no role by api.certificates.roles; ")
    await channel.close()


async def test_an_authority_between_counts(doors: Doors) -> None:
    between = doors.office.authority("between", by=doors.office.root)
    channel = doors.channel(certificate=doors.office.issue("cn:siti", by=between))
    assert await got_pool(channel) == 1
    await channel.close()


async def test_no_certificate_of_ours_no_connection(doors: Doors, tmp_path: Path) -> None:
    stranger = Office(tmp_path / "stranger").issue("cn:siti")
    _, secret = await doors.token(VIEWER)
    ways = [
        doors.channel(listener="certificates"),
        # Not even with a token.
        doors.channel(listener="certificates", token=secret),
        doors.channel(certificate=stranger),
        doors.channel(certificate=doors.office.issue("cn:siti", for_servers=True)),
        doors.channel(certificate=doors.office.issue("cn:siti", lasts=timedelta(seconds=-1))),
    ]
    for channel in ways:
        code, _ = await refusal(got_pool(channel))
        assert code is grpc.StatusCode.UNAVAILABLE
        await channel.close()


async def test_a_certificate_shown_where_tokens_are_taken_proves_nothing(doors: Doors) -> None:
    channel = doors.channel(certificate=doors.office.issue("cn:siti"), listener="tokens")
    code, details = await refusal(got_pool(channel))
    assert (code, details.startswith("you show no token")) == (grpc.StatusCode.UNAUTHENTICATED, True)
    await channel.close()


async def attached(doors: Doors, certificate: Any) -> tuple[FakeEdge, grpc.aio.Channel]:
    channel = doors.channel(certificate=certificate)
    edge = FakeEdge(edge_pb2_grpc.EdgeServiceStub(channel), "edge-1")
    await edge.attach()
    assert (await edge.taken()).HasField("snapshot")
    return edge, channel


async def ending(edge: FakeEdge) -> tuple[grpc.StatusCode, str]:
    async with asyncio.timeout(SOON):
        return await edge.ending()


async def test_the_stream_of_a_certificate_that_runs_out_ends(doors: Doors) -> None:
    lasts = timedelta(seconds=3)
    ends = datetime.now(UTC) + lasts
    edge, channel = await attached(doors, doors.office.issue("dns:edge-1.tgg.net.id", lasts=lasts))
    async with asyncio.timeout(lasts.total_seconds() + SOON):
        code, details = await edge.ending()
    assert datetime.now(UTC) > ends.replace(microsecond=0)
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert details.startswith("certificate dns:edge-1.tgg.net.id has run out, at ")
    # On the same connection, which outlived it.
    assert (await refusal(got_pool(channel)))[0] is grpc.StatusCode.UNAUTHENTICATED
    await channel.close()


async def test_the_streams_of_an_authority_that_is_taken_out_end_and_others_go_on(doors: Doors, tmp_path: Path) -> None:
    other = Office(tmp_path / "other")
    replace(doors.office.ca_file, pem(doors.office.root.certificate) + pem(other.root.certificate))
    before, channel = await attached(doors, doors.office.issue("dns:edge-1.tgg.net.id"))
    replace(doors.office.ca_file, pem(other.root.certificate))
    code, details = await ending(before)
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "is of an authority that is no longer in api.certificates.client_ca_file" in details
    code, _ = await refusal(got_pool(channel))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    await channel.close()
    # Control itself still shows a certificate of the one before.
    trusting = tmp_path / "before"
    trusting.mkdir()
    (trusting / "ca.pem").write_bytes(pem(doors.office.root.certificate))
    doors.office.ca_file = trusting / "ca.pem"
    after = doors.channel(certificate=other.issue("cn:siti"))
    assert await got_pool(after) == 1
    await after.close()


async def test_a_certificate_shown_with_a_foreign_authority_beside_it_is_not_believed(
    doors: Doors, tmp_path: Path
) -> None:
    """Who lost his authority cannot go on by sending the new one along."""
    other = Office(tmp_path / "other")
    between = other.authority("between", by=other.root)
    certificate = doors.office.issue("cn:siti")
    with certificate.certificate_file.open("ab") as file:
        file.write(pem(between.certificate))
    channel = doors.channel(certificate=certificate)
    assert await got_pool(channel) == 1
    replace(doors.office.ca_file, pem(other.root.certificate))
    doors.running.control._access.guard._admission.refresh()  # noqa: SLF001 - as it does each second
    code, _ = await refusal(got_pool(channel))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    await channel.close()


@pytest.fixture
def revoked(office: Office, api: dict[str, Any]) -> Path:
    """The file of the authority's revocation list, which revokes nobody yet."""
    file = office.directory / "clients.crl"
    file.write_bytes(office.revoke())
    api["certificates"]["crl_files"] = [str(file)]
    return file


async def test_the_stream_of_a_certificate_that_is_revoked_ends_and_others_go_on(revoked: Path, doors: Doors) -> None:
    lost, other = (doors.office.issue("dns:edge-1.tgg.net.id") for _ in range(2))
    edge, channel = await attached(doors, lost)
    replace(revoked, doors.office.revoke(lost))
    code, details = await ending(edge)
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert details.startswith("certificate dns:edge-1.tgg.net.id is revoked; ")
    assert (await refusal(got_pool(channel)))[0] is grpc.StatusCode.UNAUTHENTICATED
    await channel.close()
    # Of the same name.
    _, channel = await attached(doors, other)
    await channel.close()


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ("another", "cannot be judged: api.certificates.crl_files has no list of its authority"),
        ("a namesake", "cannot be judged: api.certificates.crl_files has no list of its authority"),
        ("yesterday", "cannot be judged: the revocation list of its authority has run out"),
    ],
)
async def test_who_cannot_be_judged_is_refused(of: str, told: str, revoked: Path, doors: Doors, tmp_path: Path) -> None:
    other = Office(tmp_path / "other")
    lists = {
        "another": other.revoke(by=other.authority("another")),
        "a namesake": other.revoke(),
        "yesterday": doors.office.revoke(lasts=timedelta(hours=-1)),
    }
    replace(revoked, lists[of])
    channel = doors.channel(certificate=doors.office.issue("cn:siti"))
    code, details = await refusal(got_pool(channel))
    assert (code, told in details) == (grpc.StatusCode.UNAUTHENTICATED, True), details
    await channel.close()


async def test_an_authority_between_needs_a_list_too(revoked: Path, doors: Doors) -> None:
    between = doors.office.authority("between", by=doors.office.root)
    channel = doors.channel(certificate=doors.office.issue("cn:siti", by=between))
    assert "has no list of its authority" in (await refusal(got_pool(channel)))[1]
    replace(revoked, doors.office.revoke() + doors.office.revoke(by=between))
    doors.running.control._access.guard._admission.refresh()  # noqa: SLF001 - as it does each second
    assert await got_pool(channel) == 1
    await channel.close()


async def test_a_list_that_cannot_be_read_leaves_the_one_before_in_force(revoked: Path, doors: Doors) -> None:
    lost = doors.office.issue("cn:siti")
    replace(revoked, doors.office.revoke(lost))
    channel = doors.channel(certificate=lost)
    assert "is revoked" in (await refusal(got_pool(channel)))[1]
    replace(revoked, doors.office.revoke()[:-100])
    with capture_logs() as logs:
        doors.running.control._access.guard._admission.refresh()  # noqa: SLF001 - as it does each second
    assert "a revocation list that cannot be read" in logs[0]["reason"]
    assert "is revoked" in (await refusal(got_pool(channel)))[1]
    await channel.close()


async def test_a_rule_that_a_reload_takes_away_ends_the_streams_that_it_let_in(
    doors: Doors, config_file: Path, api: dict[str, Any]
) -> None:
    edge, channel = await attached(doors, doors.office.issue("dns:edge-1.tgg.net.id"))
    api["certificates"]["roles"] = ROLES[1:]
    write_api(config_file, api)
    await take(doors.running)
    code, details = await ending(edge)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert details.endswith("zcontrol.v1.EdgeService/Watch takes edge")
    await channel.close()


async def test_control_shows_a_renewed_certificate_without_a_restart(doors: Doors, tmp_path: Path) -> None:
    viewer = doors.office.issue("cn:siti")
    renewing = Office(tmp_path / "renewing")
    renewed = renewing.issue("dns:localhost", "ip:127.0.0.1")
    channel = doors.channel(certificate=viewer)
    assert await got_pool(channel) == 1
    # The key first: for a moment the two do not fit, and the pair of before stays in force.
    replace(doors.shown.key_file, renewed.key_file.read_bytes())
    with capture_logs() as logs:
        between = doors.channel(certificate=viewer)
        assert await got_pool(between) == 1
    told = {line["event"] for line in logs if line["log_level"] == "warning"}
    assert told == {"the certificate of the API is bad, the one before stays in force"}
    replace(doors.shown.certificate_file, renewed.certificate_file.read_bytes())
    after = doors.channel(certificate=viewer, office=renewing)
    assert await got_pool(after) == 1
    stale = doors.channel(certificate=viewer)
    assert (await refusal(got_pool(stale)))[0] is grpc.StatusCode.UNAVAILABLE
    # Who was connected before is not disturbed.
    assert await got_pool(channel) == 1
    for each in (channel, between, after, stale):
        await each.close()


async def test_a_watch_by_a_certificate_that_stays_good_is_let_be(doors: Doors) -> None:
    channel = doors.channel(certificate=doors.office.issue("cn:siti"))
    stub: Any = pool_pb2_grpc.PoolServiceStub(channel)
    watch = stub.Watch(pool_pb2.GetPoolRequest())
    await watch.read()
    for _ in range(3):
        doors.running.control._access.guard.judge()  # noqa: SLF001 - as it does each second
    await doors.running.pool.Drain(pool_pb2.DrainRequest(name="mbox-1"))
    assert (await watch.read()).version == 2
    watch.cancel()
    await channel.close()
