"""The command line against a running control: what it prints for people and programs, and how it exits."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from typer.testing import CliRunner

from control.conftest import take
from zcontrol.cli import app
from zcontrol.v1 import pool_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from control.conftest import Running
    from control.edges import FakeEdge

PROGRAM = [sys.executable, "-c", "from zcontrol.cli import main; main()"]


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever it is
        assert self.code == 0, self.err
        return json.loads(self.out)


Zproxy = Callable[..., Coroutine[None, None, Said]]


async def call(*words: str, **environ: str) -> Said:
    """Run the command in a thread, beside the control that it calls."""
    environment = {"LOGNAME": "siti", "SUDO_USER": None, "ZPROXY_API": None, **environ}
    result = await asyncio.to_thread(CliRunner().invoke, app, words, env=environment)
    return Said(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def zproxy(running: Running) -> Zproxy:
    """The command, told where control is."""
    return lambda *words: call("--api", running.control.address, *words)


async def pool(running: Running) -> dict[str, pb.Backend]:
    return {found.name: found for found in (await running.pool.Get(pb.GetPoolRequest())).backends}


async def test_pool_list_is_a_table_for_people_and_json_for_programs(zproxy: Zproxy) -> None:
    table = (await zproxy("pool", "list")).out
    assert table.splitlines()[1].split() == [
        *("mbox-1", "active", "100", "127.0.0.2", "imap:143"),
        *("unknown:", "no", "edge", "is", "attached"),
    ]
    assert "version 1" in table
    listed = (await zproxy("pool", "list", "--group", "web", "--json")).json
    assert listed["version"] == 1
    assert [(found["name"], found["state"]) for found in listed["backends"]] == [
        ("web-1", "active"),
        ("web-2", "active"),
        ("web-3", "active"),
    ]
    assert listed["backends"][0]["weight"] == 100
    assert listed["backends"][0]["endpoints"]["imap"]["port"] == 143


async def test_pool_list_tells_what_edges_say(zproxy: Zproxy, attach: Callable[..., Awaitable[FakeEdge]]) -> None:
    edge = await attach("edge-1")
    await edge.taken()
    await edge.health(mbox_1=False, mbox_2=True)
    await edge.update()
    rows = (await zproxy("pool", "list")).out.splitlines()
    assert rows[0].split()[-1] == "HEALTH"
    assert rows[1].rstrip().endswith("imap down (1 of 1 edges): refused")
    assert rows[2].split()[-1] == "up"
    told = (await zproxy("pool", "list", "--json")).json
    assert told["edges"] == 1
    assert told["down"] == [{"backend": "mbox-1", "service": "imap", "edges": 1, "of": 1, "reason": "refused"}]
    said = await zproxy("route", "explain", "siti")
    assert (said.code, "every edge calls mbox-1's imap down (refused)" in said.err) == (1, True)


async def test_pool_add_describes_a_backend_by_options(running: Running, zproxy: Zproxy) -> None:
    words = "pool add mbox-3 --host mbox-3.example --imap 993/implicit --pop3 110 --verify-name m3.example --weight 5"
    said = await zproxy(*words.split(), "--forward", "id", "--forward", "xclient", "--reason", "more room")
    assert (said.code, said.out) == (0, "version 2: add mbox-3\n")
    added = (await pool(running))["mbox-3"]
    imap, pop3 = added.endpoints.imap, added.endpoints.pop3
    assert (added.host, added.weight, added.HasField("weight")) == ("mbox-3.example", 5, True)
    assert (imap.port, imap.tls, imap.verify_name) == (993, pb.BACKEND_TLS_IMPLICIT, "m3.example")
    assert (pop3.port, pop3.tls, pop3.verify_name) == (110, pb.BACKEND_TLS_UNSPECIFIED, "")
    assert (imap.forward, pop3.forward) == (pb.FORWARD_ID, pb.FORWARD_XCLIENT)
    history = (await zproxy("pool", "history", "--json")).json["changes"]
    assert (history[0]["author"], history[0]["reason"]) == ("siti", "more room")


@pytest.mark.parametrize(("service", "port"), [("submission", 587), ("sieve", 4190)])
async def test_pool_add_describes_one_service_by_options(
    service: str, port: int, running: Running, zproxy: Zproxy
) -> None:
    words = f"pool add new --host 127.0.0.9 --{service} {port}/starttls --verify-name new.example --forward xclient"
    said = await zproxy(*words.split())
    assert (said.code, said.out) == (0, "version 2: add new\n")
    (field, endpoint) = (await pool(running))["new"].endpoints.ListFields()[0]
    assert (field.name, endpoint.port, endpoint.verify_name) == (service, port, "new.example")
    assert (endpoint.tls, endpoint.forward) == (pb.BACKEND_TLS_STARTTLS, pb.FORWARD_XCLIENT)


async def test_pool_add_describes_a_webmail_beside_a_mailbox(running: Running, zproxy: Zproxy) -> None:
    words = "pool add new --host 127.0.0.9 --imap 143 --http 443/implicit --http-admin 7071/implicit --forward proxy_v2"
    said = await zproxy(*words.split(), "--login-style", "token")
    assert (said.code, said.out) == (0, "version 2: add new\n")
    new = (await pool(running))["new"].endpoints
    assert (new.http.port, new.http_admin.port) == (443, 7071)
    for endpoint in (new.http, new.http_admin):
        assert (endpoint.tls, endpoint.forward) == (pb.BACKEND_TLS_IMPLICIT, pb.FORWARD_PROXY_V2)
        # Clients log in at one of the two: the style is for that one.
        assert (endpoint.login_style, new.imap.login_style) == (pb.LOGIN_STYLE_UNSPECIFIED, pb.LOGIN_STYLE_TOKEN)
    await zproxy("pool", "update", "new", "--http", "80/off", "--http-admin", "0")
    new = (await pool(running))["new"].endpoints
    assert (new.http.port, new.http.tls, new.HasField("http_admin")) == (80, pb.BACKEND_TLS_OFF, False)


async def test_pool_update_changes_what_is_given_and_leaves_the_rest(running: Running, zproxy: Zproxy) -> None:
    await zproxy("pool", "update", "mbox-1", "--tls", "starttls", "--verify", "none", "--pop3", "110/off")
    changed = (await pool(running))["mbox-1"]
    assert (changed.host, changed.endpoints.imap.port) == ("127.0.0.2", 143)
    assert (changed.endpoints.imap.tls, changed.endpoints.imap.verify) == (pb.BACKEND_TLS_STARTTLS, pb.VERIFY_NONE)
    await zproxy("pool", "update", "mbox-1", "--tls", "off", "--pop3", "0")
    changed = (await pool(running))["mbox-1"]
    assert (changed.endpoints.imap.verify, changed.endpoints.HasField("pop3")) == (pb.VERIFY_UNSPECIFIED, False)


async def test_every_change_of_the_pool_can_be_made(running: Running, zproxy: Zproxy) -> None:
    changes = [
        "drain mbox-1",
        "undrain mbox-1",
        "set-weight web-1 7",
        "group add new --kind stateless",
        "group remove new",
        "defaults --mail web",
        "remove mbox-2",
        "rollback 1",
    ]
    for version, change in enumerate(changes, 2):
        assert (await zproxy("pool", *change.split(), "--json")).json["version"] == version
    assert list(await pool(running)) == ["mbox-1", "mbox-2", "web-1", "web-2", "web-3"]


async def test_drain_tells_of_live_sessions(zproxy: Zproxy) -> None:
    assert (await zproxy("pool", "drain", "mbox-1")).out == "version 2: drain mbox-1; 0 live sessions there\n"
    again = "version 2: drain mbox-1: it was so already, no new version; 0 live sessions there\n"
    assert (await zproxy("pool", "drain", "mbox-1")).out == again


async def test_pool_get_shows_groups_and_defaults_too(zproxy: Zproxy) -> None:
    await zproxy("pool", "defaults", "--mail", "mbox-1", "--http", "web")
    rows = [line.split() for line in (await zproxy("pool", "get")).out.splitlines()]
    assert ["web", "shared"] in rows
    assert ["mail", "mbox-1"] in rows
    assert ["http", "web"] in rows


async def test_pool_get_of_one_backend_shows_all_that_is_set(zproxy: Zproxy) -> None:
    rows = [line.split() for line in (await zproxy("pool", "get", "WEB-1")).out.splitlines()]
    assert dict(rows) == {
        "name": "web-1",
        "group": "web",
        "host": "127.0.0.2",
        "weight": "100",
        "state": "active",
        "version": "1",
        "imap.port": "143",
        "imap.tls": "off",
        "imap.login_style": "replay",
        "imap.forward": "none",
    }
    told = (await zproxy("pool", "get", "web-1", "--json")).json
    assert (told["state"], told["weight"]) == ("active", 100)
    assert (told["endpoints"]["imap"]["port"], told["endpoints"]["imap"]["tls"]) == (143, "off")


async def test_pool_get_shows_an_older_version(zproxy: Zproxy) -> None:
    await zproxy("pool", "update", "mbox-1", "--host", "127.0.0.9")
    assert (await zproxy("pool", "get", "mbox-1", "--json")).json["host"] == "127.0.0.9"
    assert (await zproxy("pool", "get", "mbox-1", "--version", "1", "--json")).json["host"] == "127.0.0.2"
    assert "version 1" in (await zproxy("pool", "get", "--version", "1")).out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("pool get nobody", 3, "there are mbox-1"),
        ("pool drain nobody", 3, 'no backend "nobody"; there are mbox-1'),
        ("pool drain mbox-1 --expect 9", 4, "at version 1, not 9; read it again"),
        ("pool add mbox-1 --host 127.0.0.9 --imap 143", 1, "mbox-1 is a backend already"),
        ("pool add new --host a:b --imap 143", 1, 'host = "a:b": not an IP address'),
        ("pool add new --imap 143", 2, "--host is missing"),
        ("pool add new --host 127.0.0.9", 2, "at least one service: --imap"),
        ("pool add new --host 127.0.0.9 --imap x", 2, "write a port"),
        ("pool add new --host 127.0.0.9", 2, "--http, --http-admin"),
        ("pool add new --host 127.0.0.9 --http 80/starttls", 1, "HTTP knows no STARTTLS"),
        ("pool add new --host 127.0.0.9 --http 80 --login-style token", 2, "'token' is for imap and pop3"),
        ("pool add new --host 127.0.0.9 --imap 143 --tls on", 2, "none of off, implicit, starttls"),
        ("pool add new --host 127.0.0.9 --imap 143 --forward xclient", 2, "'xclient' is for pop3"),
        ("pool add new --host 127.0.0.9 --submission 587 --forward id", 2, "is for imap"),
        ("pool add new --host 127.0.0.9 --imap 143 --login-style verify_then_xclient", 2, "is for submission"),
        ("pool add new --host 127.0.0.9 --imap 143 --login-style verify_then_master", 1, "nothing proves a client"),
        ("pool add new --host 127.0.0.9 --imap 143 --master-user zproxy", 2, "means nothing with these"),
        ("pool add new --host 127.0.0.9 --imap 143 --verify none", 2, "means nothing without TLS"),
        ("pool update nobody --weight 1", 3, "there are mbox-1"),
        ("pool defaults", 2, "give at least one of --mail"),
        ("pool rollback 9", 3, "no version 9"),
        ("sessions kick", 2, "say --all"),
        ("sessions kick --all --patience soon", 2, "not a duration"),
        ("sessions list --address 127.0.0.1:143", 2, "is no IP address"),
        ("route invalidate", 2, "give one of --account"),
        ("route explain siti --service telnet", 1, "one of imap, pop3"),
        ("route explain nobody@tgg.net.id", 1, "the directory knows nobody of that name"),
    ],
)
async def test_a_failure_says_why_and_exits_with_its_code(zproxy: Zproxy, words: str, code: int, told: str) -> None:
    said = await zproxy(*words.split())
    assert (said.code, told in " ".join(said.err.split())) == (code, True), said.err


async def test_route_explain_tells_the_way_of_a_login(zproxy: Zproxy) -> None:
    out = (await zproxy("route", "explain", "SITI")).out
    assert "siti@tgg.net.id" in out
    told = (await zproxy("route", "explain", "siti", "--json")).json
    assert (told["backend"], told["endpoint"], told["failure"]) == ("mbox-1", "127.0.0.2:143", "")
    assert (await zproxy("route", "invalidate", "--all", "--json")).json["epoch"] > 0


async def test_sessions_without_edges_are_none(zproxy: Zproxy) -> None:
    assert (await zproxy("sessions", "list", "--json")).json == {"sessions": [], "truncated": False}
    assert (await zproxy("sessions", "count", "--user", "siti@tgg.net.id", "--json")).json["sessions"] == 0
    assert (await zproxy("sessions", "kick", "--all")).out == "0 sessions ended\n"


async def test_pool_watch_tells_of_each_change(running: Running) -> None:
    watch = await asyncio.create_subprocess_exec(
        *PROGRAM, "pool", "watch", "--api", running.control.address, stdout=asyncio.subprocess.PIPE
    )
    assert watch.stdout is not None
    assert (await watch.stdout.readline()).startswith(b"version 1: mbox-1 set")
    await running.pool.Drain(pb.DrainRequest(name="mbox-1"))
    assert await watch.stdout.readline() == b"version 2: mbox-1 set\n"
    watch.terminate()
    await watch.communicate()


async def test_control_is_found_by_flag_then_environment_then_config(running: Running, tmp_path: Path) -> None:
    nowhere = f"unix:{tmp_path}/nowhere"
    config = str(running.file)
    ways = [
        call("--config", config, "pool", "list"),
        call("pool", "list", "--config", config),
        call("pool", "list", ZPROXY_API=running.control.address),
        call("--config", config, "pool", "list", ZPROXY_API=nowhere),
        call("--api", nowhere, "pool", "list", "--api", running.control.address),
    ]
    assert [(await way).code for way in ways] == [0] * len(ways)


async def test_no_control_is_told_with_its_address(tmp_path: Path) -> None:
    said = await call("pool", "list", "--api", f"unix:{tmp_path}/nowhere")
    assert said.code == 5
    assert f"no control at unix:{tmp_path}/nowhere: No such file or directory" in said.err


async def test_the_version_needs_no_command() -> None:
    assert (await call("--version")).out == f"{importlib.metadata.version('zproxy')}\n"


async def test_help_documents_the_exit_codes() -> None:
    assert "4 the pool has moved on" in " ".join((await call("--help")).out.split())


@pytest.fixture
def faulty_file(config_file: Path) -> Path:
    config_file.write_text("hostnam = 'x'\nthreads = ''\n")
    return config_file


async def test_check_lists_every_fault_and_exits_1(faulty_file: Path) -> None:
    said = await call("check", str(faulty_file), "--for", "control", "--json")
    assert said.code == 1
    keys = {fault["key"] for fault in json.loads(said.out)["faults"]}
    assert keys == {"hostnam", "threads", "state_directory", "directory"}
    people = await call("check", str(faulty_file), "--for", "control")
    assert "hostnam: no such key; did you mean `hostname`?" in people.err
    assert people.out.endswith("4 faults\n")


async def test_check_of_a_good_file_exits_0_and_of_none_2(config_file: Path) -> None:
    assert (await call("check", str(config_file), "--for", "control")).code == 0
    assert (await call("check", f"{config_file}.none", "--for", "control")).code == 2


@pytest.mark.parametrize(
    ("accounts", "told"),
    [
        ("account,home\nsiti,mbox-1\n", "accounts.csv:2: account 'siti' must be user@domain"),
        (None, "accounts.csv:1: No such file or directory: create it"),
    ],
)
async def test_check_reads_the_accounts_file(config_file: Path, accounts: str | None, told: str) -> None:
    config_file.write_text(config_file.read_text().replace("accounts.toml", "accounts.csv"))
    if accounts:
        config_file.with_name("accounts.csv").write_text(accounts)
    said = await call("check", str(config_file), "--for", "control")
    assert (said.code, "directory.file.path: " in said.err, told in said.err) == (1, True, True), said.err


async def test_check_opens_an_ldap_directory_without_asking_it(config_file: Path) -> None:
    ldap = "directory.ldap = {urls = ['ldap://127.0.0.1:1'], base = 'dc=x', filter = '%s'}"
    source = next(line for line in config_file.read_text().splitlines() if line.startswith("directory.file"))
    good = config_file.read_text().replace(source, ldap % "(a=b)")
    config_file.write_text(good)
    assert (await call("check", str(config_file), "--for", "control")).code == 0
    config_file.write_text(good.replace("(a=b)", "(&)(a=b)(=)"))
    said = await call("check", str(config_file), "--for", "control")
    assert (said.code, "directory.ldap" in said.err) == (1, True), said.err


async def test_pool_add_gives_each_service_the_login_style_it_can_have(running: Running, zproxy: Zproxy) -> None:
    verifying = '\nverify.ldap.bind = true\ndirectory.ldap = { urls = ["ldap://127.0.0.1:1"], base = "dc=x" }\n'
    lines = running.file.read_text().splitlines()
    running.file.write_text("\n".join(verifying if line.startswith("directory.file") else line for line in lines))
    await take(running)
    styles = ["--login-style", "verify_then_master", "--login-style", "verify_then_xclient"]
    words = "pool add all-1 --host 127.0.0.9 --imap 143 --submission 587 --forward xclient --master-user zproxy"
    assert (await zproxy(*words.split(), *styles)).code == 0
    endpoints = (await pool(running))["all-1"].endpoints
    assert (endpoints.imap.login_style, endpoints.imap.master_user) == (pb.LOGIN_STYLE_VERIFY_THEN_MASTER, "zproxy")
    submission = endpoints.submission
    assert (submission.login_style, submission.master_user) == (pb.LOGIN_STYLE_VERIFY_THEN_XCLIENT, "")
    assert (await zproxy("pool", "update", "all-1", "--login-style", "replay")).code == 0
    imap = (await pool(running))["all-1"].endpoints.imap
    assert (imap.login_style, imap.master_user) == (pb.LOGIN_STYLE_REPLAY, "")
