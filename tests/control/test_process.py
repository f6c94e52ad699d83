"""`zproxy control` as a process: the ready line, signals, and a config taken wholly or not at all."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from zcontrol.config import Role, load
from zcontrol.config.fixed import changed_until_restart
from zcontrol.errors import ZproxyError
from zcontrol.process import _Process
from zcontrol.v1 import config_pb2, route_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from control.conftest import Running

PROGRAM = [sys.executable, "-c", "from zcontrol.cli import main; main()", "control", "--config"]
DEADLINE = 20.0


class ControlProcess:
    """A running `zproxy control`, read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ready(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            told: dict[str, Any] = json.loads(await self.process.stdout.readline())
        return told

    async def logged(self, event: str) -> dict[str, Any]:
        """The next log line of that event."""
        assert self.process.stderr is not None
        async with asyncio.timeout(DEADLINE):
            async for line in self.process.stderr:
                told: dict[str, Any] = json.loads(line)
                if event in told["event"]:
                    return told
        raise AssertionError(f"ended without {event!r}")


@pytest.fixture
async def control(config_file: Path) -> AsyncIterator[ControlProcess]:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, str(config_file), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    yield ControlProcess(process)
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def test_tells_when_it_is_ready_and_where(control: ControlProcess, config_file: Path) -> None:
    assert await control.ready() == {"ready": True, "listeners": [], "api": f"unix:{config_file.parent}/api.sock"}


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(control: ControlProcess, ending: signal.Signals, config_file: Path) -> None:
    await control.ready()
    control.process.send_signal(ending)
    await control.logged("control has stopped")
    assert await control.process.wait() == 0
    assert not config_file.with_name("api.sock").exists()


async def test_sighup_reloads_and_a_bad_file_is_refused_whole(control: ControlProcess, config_file: Path) -> None:
    await control.ready()
    control.process.send_signal(signal.SIGHUP)
    await control.logged("config reloaded")
    good = config_file.read_text()
    config_file.write_text(f"{good}\nnonsense = 1\n[cache]\nsoft_ttl = 5\n")
    control.process.send_signal(signal.SIGHUP)
    refused = await control.logged("config refused")
    assert ["nonsense" in refused["reason"][0], "soft_ttl" in refused["reason"][1]] == [True, True]
    config_file.write_text(good)
    control.process.send_signal(signal.SIGHUP)
    await control.logged("config reloaded")


async def test_a_faulty_config_exits_with_every_fault(config_file: Path) -> None:
    config_file.write_text("threads = ''\nhostnam = 1\n")
    process = await asyncio.create_subprocess_exec(*PROGRAM, str(config_file), stderr=asyncio.subprocess.PIPE)
    _, err = await process.communicate()
    assert process.returncode == 1
    assert all(key in err.decode() for key in ("threads", "hostnam", "state_directory", "directory"))
    assert "Traceback" not in err.decode()


async def test_a_state_directory_that_cannot_be_made_is_told(config_file: Path) -> None:
    config_file.write_text(config_file.read_text().replace('/state"', '/accounts.toml/state"'))
    process = await asyncio.create_subprocess_exec(*PROGRAM, str(config_file), stderr=asyncio.subprocess.PIPE)
    _, err = await process.communicate()
    assert process.returncode == 1
    assert b"state_directory" in err
    assert b"Not a directory; make it, or name another" in err
    assert b"Traceback" not in err


class RefusingEdge:
    """A data plane that takes no other config."""

    async def reload(self, _: object) -> None:
        raise ZproxyError("listeners[0].address: taken")


async def test_what_the_edge_refuses_control_does_not_take(running: Running) -> None:
    process = _Process(
        file=running.file, role=Role.CONTROL, started=load(running.file, Role.CONTROL), control=running.control
    )
    process.edge = RefusingEdge()  # type: ignore[assignment]
    running.file.write_text(running.file.read_text().replace('"tgg.net.id"', '"gec-course.com"'))
    await process.reload()
    told = await running.routes.Explain(route_pb2.ExplainRequest(login="siti"))
    assert told.route.account == "siti@tgg.net.id"
    process.edge = None
    # Nor does it matter now that the accounts file is gone.
    running.file.with_name("accounts.toml").unlink()
    await process.reload()
    told = await running.routes.Explain(route_pb2.ExplainRequest(login="siti"))
    assert "the directory knows nobody" in told.failure


async def test_a_reload_warns_of_the_keys_that_wait_for_a_restart_and_of_no_other(running: Running) -> None:
    process = _Process(
        file=running.file, role=Role.CONTROL, started=load(running.file, Role.CONTROL), control=running.control
    )
    good = running.file.read_text()
    running.file.write_text(f"api.reflection = true\nthreads = 7\n{good}")
    for _ in range(2):
        with capture_logs() as logs:
            await process.reload()
        # Threads are the edge's.
        assert [line["key"] for line in logs if "next start only" in line["event"]] == ["api.reflection"]
    running.file.write_text(good)
    with capture_logs() as logs:
        await process.reload()
    assert not [line for line in logs if "next start only" in line["event"]]


def test_an_address_that_follows_the_state_directory_is_not_called_changed(tmp_path: Path) -> None:
    def config(directory: str, threads: int) -> config_pb2.Config:
        file = tmp_path / "edge.toml"
        file.write_text(f"state_directory = '{tmp_path}/{directory}'\nthreads = {threads}\n")
        return load(file, Role.EDGE)

    changed = changed_until_restart(config("one", 1), config("two", 2), Role.EDGE)
    assert changed == ["state_directory", "threads"]
