"""The control plane as a whole: where it listens, who may connect, how it starts, reloads and stops."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from control.conftest import Running, take
from zcontrol.access.listening import ControlError
from zcontrol.config import Role, load
from zcontrol.directory.ldap import LdapDirectory
from zcontrol.errors import DirectoryError, StoreUnavailableError, ZproxyError
from zcontrol.pool.store import Note
from zcontrol.server import Control
from zcontrol.v1 import pool_pb2, route_pb2

# A ServerReflectionRequest that asks for every service.
LIST_SERVICES = b"\x3a\x00"


def rewrite(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


async def explained(running: Running, login: str) -> route_pb2.ExplainResponse:
    told: route_pb2.ExplainResponse = await running.routes.Explain(route_pb2.ExplainRequest(login=login))
    return told


@pytest.mark.parametrize("umask", [0o000, 0o077])
async def test_the_socket_is_for_owner_and_group_whatever_the_umask(config_file: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        control = await Control.start(load(config_file, Role.CONTROL))
        path = Path(control.address.removeprefix("unix:"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert os.umask(umask) == umask
        await control.stop(grace=0)
    finally:
        os.umask(before)
    assert not path.exists()


async def test_a_socket_that_a_killed_process_left_is_taken_over(config_file: Path) -> None:
    config = load(config_file, Role.CONTROL)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(config.api.address.removeprefix("unix:"))
    control = await Control.start(config)
    await control.stop(grace=0)


async def test_a_socket_on_which_somebody_serves_is_left_to_him(config_file: Path) -> None:
    config = load(config_file, Role.CONTROL)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(config.api.address.removeprefix("unix:"))
        other.listen()
        with pytest.raises(ControlError, match="another process serves on"):
            await Control.start(config)
    control = await Control.start(config)
    await control.stop(grace=0)


async def test_a_port_that_is_taken_is_told(config_file: Path) -> None:
    config = load(config_file, Role.CONTROL)
    with socket.create_server(("127.0.0.1", 0)) as other:
        config.api.address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ControlError, match="free it, or choose another"):
            await Control.start(config)


async def test_a_loopback_port_may_be_drawn(config_file: Path) -> None:
    rewrite(config_file, "api.address", 'api.address = "127.0.0.1:0"\n# ')
    running = Running(config_file, await Control.start(load(config_file, Role.CONTROL)))
    assert not running.control.address.endswith(":0")
    assert (await running.pool.Get(pool_pb2.GetPoolRequest())).version == 1
    await running.channel.close()
    await running.control.stop(grace=0)


async def test_a_second_control_on_one_store_does_not_start(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zcontrol.sqlite._LOCK_SECONDS", 0.0)
    config = load(running.file, Role.CONTROL)
    config.api.address += ".second"
    with pytest.raises(StoreUnavailableError, match="another control process holds it"):
        await Control.start(config)


async def test_health_and_reflection_are_served_as_configured(config_file: Path) -> None:
    rewrite(config_file, "[[groups]]", "api.reflection = true\n[[groups]]")
    running = Running(config_file, await Control.start(load(config_file, Role.CONTROL)))
    health: Any = health_pb2_grpc.HealthStub(running.channel)
    checked = await health.Check(health_pb2.HealthCheckRequest(service="zcontrol.v1.PoolService"))
    assert checked.status == health_pb2.HealthCheckResponse.SERVING
    reflect: Any = running.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    answer: Any = await reflect(iter([LIST_SERVICES])).read()
    assert b"zcontrol.v1.RouteService" in answer
    await running.channel.close()
    await running.control.stop(grace=0)


async def test_reflection_is_off_by_default(running: Running) -> None:
    reflect: Any = running.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    assert await reflect(iter([LIST_SERVICES])).code() == grpc.StatusCode.UNIMPLEMENTED


async def test_a_message_beyond_the_cap_is_refused(running: Running) -> None:
    huge = pool_pb2.DrainRequest(name="x" * (17 * 2**20))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.pool.Drain(huge)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_reload_takes_another_directory_and_other_names_and_keeps_streams(running: Running) -> None:
    watch = running.pool.Watch(pool_pb2.GetPoolRequest())
    await watch.read()
    assert (await explained(running, "siti")).backend == "mbox-1"
    other = running.file.with_name("other.csv")
    other.write_text("account,home\nsiti@gec-course.com,mbox-2\n")
    rewrite(running.file, "accounts.toml", "other.csv")
    rewrite(running.file, '"tgg.net.id"', '"gec-course.com"')
    await take(running)
    assert (await explained(running, "siti")).backend == "mbox-2"
    await running.pool.Drain(pool_pb2.DrainRequest(name="mbox-1"))
    assert (await watch.read()).version == 2
    watch.cancel()


async def test_a_reload_that_cannot_be_prepared_changes_nothing(running: Running) -> None:
    rewrite(running.file, "accounts.toml", "broken.csv")
    running.file.with_name("broken.csv").write_text("nonsense\n")
    with pytest.raises(DirectoryError):
        await take(running)
    assert (await explained(running, "siti")).backend == "mbox-1"


async def test_bad_accounts_stop_no_reload_unless_they_are_another_file(running: Running) -> None:
    running.file.with_name("accounts.toml").write_text("nonsense")
    rewrite(running.file, "names.default_domain", "cache.entries = 9\nnames.default_domain")
    with capture_logs() as logs:
        await take(running)
    assert any("accounts.toml:1: " in line.get("reason", "") for line in logs)
    assert (await explained(running, "siti")).backend == "mbox-1"
    rewrite(running.file, "accounts.toml", "other.toml")
    running.file.with_name("other.toml").write_text("nonsense")
    with pytest.raises(DirectoryError):
        await take(running)


async def test_what_fails_at_the_start_leaves_nothing_open(config_file: Path) -> None:
    accounts = config_file.with_name("accounts.toml")
    good = accounts.read_text()
    accounts.write_text("nonsense")
    with pytest.raises(ZproxyError):
        await Control.start(load(config_file, Role.CONTROL))
    accounts.write_text(good)
    control = await Control.start(load(config_file, Role.CONTROL))
    await control.stop(grace=0)


async def test_stop_ends_the_streams_of_edges(running: Running) -> None:
    watch = running.pool.Watch(pool_pb2.GetPoolRequest())
    await watch.read()
    await running.control.stop(grace=0)
    assert await watch.read() is grpc.aio.EOF
    running.control = await Control.start(load(running.file, Role.CONTROL))


async def test_a_backend_that_only_the_file_knows_is_told_of(running: Running) -> None:
    with running.file.open("a") as file:
        file.write('[[backends]]\nname = "mbox-9"\nhost = "127.0.0.9"\nendpoints.imap.port = 143\n')
    with capture_logs() as logs:
        await take(running)
    told = [line for line in logs if "only seeds an empty pool" in line["event"]]
    assert [line["backends"] for line in told] == [["mbox-9"]]


async def test_at_start_and_reload_an_ldap_directory_that_cannot_be_reached_is_warned_of(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed: asyncio.Queue[None] = asyncio.Queue()
    probe = LdapDirectory.probe

    async def told(directory: LdapDirectory) -> None:
        await probe(directory)
        await probed.put(None)

    monkeypatch.setattr(LdapDirectory, "probe", told)
    rewrite(config_file, "directory.file.path", "directory.ldap = {urls = ['ldap://127.0.0.1:1'], base = 'dc=x'}\n#")
    with capture_logs() as logs:
        running = Running(config_file, await Control.start(load(config_file, Role.CONTROL)))
        await asyncio.wait_for(probed.get(), 10)
        await take(running)
        await asyncio.wait_for(probed.get(), 10)
    assert [line.get("server") for line in logs].count("ldap://127.0.0.1:1") == 2
    await running.channel.close()
    await running.control.stop(grace=0)


async def test_a_reload_that_proves_nobody_any_more_is_refused_while_a_backend_relies_on_it(running: Running) -> None:
    pool = pool_pb2.Pool()
    pool.CopyFrom(running.control._store.current)  # noqa: SLF001 - as it was before a site took its [verify] away
    pool.backends[0].endpoints.imap.login_style = pool_pb2.LOGIN_STYLE_VERIFY_THEN_MASTER
    await running.control._store.commit(pool, base=1, note=Note(author="a", action="b"))  # noqa: SLF001 - the same
    with pytest.raises(ControlError, match=r"nothing proves clients, as login_style of mbox-1 needs"):
        await take(running)
    assert (await explained(running, "siti")).backend == "mbox-1"
