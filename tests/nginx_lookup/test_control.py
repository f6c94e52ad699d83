"""nginx_lookup as a part of control: its life, and reloads that take effect wholly or not at all."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from nginx_lookup.facade import request
from zcontrol.config import Role, load
from zcontrol.demo.loopback import own_address
from zcontrol.errors import DirectoryFileError
from zcontrol.nginx_lookup.listener import ListenError
from zcontrol.server import Control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SECRET = "only-for-tests-0123"


class Site:
    """A config file, and the control plane that runs by it."""

    def __init__(self, directory: Path) -> None:
        self.address = f"{own_address()}:7072"
        self._file = directory / "zproxy.toml"
        self.text = (
            f'state_directory = "{directory}/state"\ndirectory.file.path = "{directory}/accounts.toml"\n'
            'names.default_domain = "tgg.net.id"\n'
            '[[backends]]\nname = "mbox-1"\nhost = "10.0.0.1"\nendpoints.imap.port = 143\n'
        )
        (directory / "accounts.toml").write_text('[[accounts]]\naccount = "siti@tgg.net.id"\nhome = "mbox-1"\n')
        self.control: Control

    async def start(self, lookup: str) -> None:
        self._write(lookup)
        self.control = await Control.start(load(self._file, Role.CONTROL))

    async def reload(self, lookup: str) -> None:
        """As a process does at SIGHUP."""
        self._write(lookup)
        config = load(self._file, Role.CONTROL)
        await self.control.take(config, await self.control.prepare(config))

    async def ask(self, address: str = "", **headers: str) -> str:
        """Status line and Auth-Status of an answer; empty: nobody listens."""
        host, _, port = (address or self.address).rpartition(":")
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except ConnectionRefusedError:
            return ""
        writer.write(request(**headers))
        head = (await reader.read()).decode()
        writer.close()
        status = [line.partition(": ")[2] for line in head.splitlines() if line.startswith("Auth-Status")]
        return " ".join([head.splitlines()[0].partition(" ")[2], *status])

    def _write(self, lookup: str) -> None:
        table = f"[nginx_lookup]\n{lookup}\n" if lookup else ""
        self._file.write_text(f"{self.text}{table}")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    yield site
    await site.control.stop(grace=0)


async def test_it_is_switched_on_changed_and_off_by_reloads(site: Site) -> None:
    here = f'address = "{site.address}"'
    await site.start("")
    assert await site.ask() == ""
    await site.reload(here)
    assert await site.ask() == "200 OK OK"
    await site.reload(f'{here}\nsecret = "{SECRET}"')
    assert await site.ask() == "403 Forbidden"
    assert await site.ask(X_Auth_Key=SECRET) == "200 OK OK"
    await site.reload("")
    assert await site.ask() == ""


async def test_a_reload_that_cannot_listen_changes_nothing_at_all(site: Site) -> None:
    await site.start(f'address = "{site.address}"')
    with socket.socket() as taken:
        taken.bind((own_address(), 0))
        taken.listen()
        place = "{}:{}".format(*taken.getsockname())
        site.text = site.text.replace("tgg.net.id", "other.example")
        with pytest.raises(ListenError, match="free it, or choose another"):
            await site.reload(f'address = "{place}"')
    assert await site.ask(Auth_User="siti") == "200 OK OK"


async def test_a_reload_refused_for_another_reason_leaves_no_socket_behind(site: Site, tmp_path: Path) -> None:
    other = f"{own_address()}:7072"
    await site.start(f'address = "{site.address}"')
    (tmp_path / "accounts.csv").write_text("nonsense")
    site.text = site.text.replace("accounts.toml", "accounts.csv")
    with pytest.raises(DirectoryFileError):
        await site.reload(f'address = "{other}"')
    assert await site.ask(other) == ""
    assert await site.ask() == "200 OK OK"


async def test_a_start_that_cannot_listen_leaves_nothing_open(site: Site) -> None:
    with socket.socket() as taken:
        taken.bind((own_address(), 0))
        taken.listen()
        with pytest.raises(ListenError):
            await site.start('address = "{}:{}"'.format(*taken.getsockname()))
    await site.start(f'address = "{site.address}"')
    assert await site.ask() == "200 OK OK"


async def test_stopping_ends_it(site: Site) -> None:
    await site.start(f'address = "{site.address}"')
    await site.control.stop(grace=0)
    assert await site.ask() == ""
    await site.start("")


async def test_the_log_tells_where_it_listens(site: Site) -> None:
    with capture_logs() as logs:
        await site.start(f'address = "{own_address()}:0"')
    [line] = [line for line in logs if line["event"] == "nginx_lookup serves"]
    assert await site.ask(line["address"]) == "200 OK OK"
