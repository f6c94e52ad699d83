"""`zproxy token` and `zproxy audit`, and every command from another machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from access.conftest import refusal
from control.test_cli import call
from zcontrol.access.roles import OPERATOR, VIEWER
from zcontrol.v1 import pool_pb2

if TYPE_CHECKING:
    from pathlib import Path

    from access.authorities import Office
    from access.conftest import Doors

Zproxy = "Callable[..., Awaitable[Said]]"


@pytest.fixture
def zproxy(doors: Doors) -> Zproxy:
    """The command on control's own machine."""
    return lambda *words: call("--api", doors.running.control.address, *words)


async def test_a_token_is_made_shown_and_revoked(zproxy: Zproxy) -> None:
    made = await zproxy("token", "create", "--role", "viewer", "--note", "monitoring", "--expires", "24h")
    secret = made.out.strip()
    token_id = secret.split("_")[1]
    assert f"token {token_id} has the role viewer and runs out at " in made.err
    assert secret not in made.err
    row = (await zproxy("token", "list")).out.splitlines()[1].split()
    assert (row[:3], row[5], row[-1]) == ([token_id, "viewer", "monitoring"], "siti", "-")
    listed = (await zproxy("token", "list", "--json")).json["tokens"]
    assert [each["role"] for each in listed] == ["viewer"]
    assert secret not in str(listed)
    assert (await zproxy("token", "revoke", token_id)).out == f"token {token_id} (viewer) is revoked\n"
    again = await zproxy("token", "revoke", token_id)
    assert (again.code, f"no token '{token_id}'" in again.err) == (3, True)
    never = await zproxy("token", "create", "--role", "edge", "--expires", "never", "--json")
    assert "expires" not in never.json["token"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("token create", "Missing option '--role'"),
        ("token create --role root", "none of edge, viewer, operator, admin"),
        ("token create --role edge --expires soon", "not a duration"),
        ("audit --since yesterday", "not a duration"),
        ("audit --outcome bad", "none of done, failed, refused"),
    ],
)
async def test_what_cannot_be_asked_for_is_told(zproxy: Zproxy, words: str, told: str) -> None:
    said = await zproxy(*words.split())
    assert (said.code, told in " ".join(said.err.replace("│", "").split())) == (2, True), said.err


async def test_the_audit_log_is_a_table_for_people_and_json_for_programs(zproxy: Zproxy, doors: Doors) -> None:
    await zproxy("pool", "drain", "mbox-1", "--reason", "disk")
    nobody = doors.channel()
    await refusal(nobody.unary_unary("/zcontrol.v1.PoolService/Get")(b""))
    await nobody.close()
    rows = (await zproxy("audit")).out.splitlines()
    assert "a caller on the Unix socket for siti" in rows[2]
    assert "PoolService/Drain" in rows[2]
    assert "version 1 to 2: mbox-1: state active to draining" in rows[2]
    assert "UNAUTHENTICATED: you show no token" in rows[1]
    lines = (await zproxy("audit", "--who", "SITI", "--since", "1h", "--json")).json["lines"]
    assert [(line["method"], line["outcome"]) for line in lines] == [("zcontrol.v1.PoolService/Drain", "done")]
    refused = (await zproxy("audit", "--outcome", "refused", "--from", "127.0.0.1", "--json")).json["lines"]
    assert [line["caller"] for line in refused] == ["nobody"]


async def test_a_command_calls_from_elsewhere_by_a_token(doors: Doors, tmp_path: Path) -> None:
    token_id, secret = await doors.token(OPERATOR)
    (tmp_path / "token").write_text(f"{secret}\n")
    address, ca = doors.running.control.listens.tokens, str(doors.office.ca_file)
    options = ("--api", address, "--ca-file", ca, "--token-file", str(tmp_path / "token"))
    assert (await call("pool", "drain", "mbox-1", *options)).code == 0
    assert (await call(*options, "pool", "undrain", "mbox-1")).code == 0
    named = {"ZPROXY_API": address, "ZPROXY_CA_FILE": ca}
    assert (await call("pool", "list", ZPROXY_TOKEN_FILE=str(tmp_path / "token"), **named)).code == 0
    assert (await call("pool", "list", ZPROXY_TOKEN=secret, **named)).code == 0
    refused = await call("token", "list", ZPROXY_TOKEN=secret, **named)
    assert (refused.code, refused.err) == (
        1,
        f"zproxy: token {token_id} is operator; zcontrol.v1.TokenService/List takes admin\n",
    )
    nobody = await call("pool", "list", **named)
    assert (nobody.code, "you show no token: send `authorization: Bearer" in nobody.err) == (1, True)
    history = await doors.running.pool.History(pool_pb2.HistoryRequest(limit=1))
    assert history.changes[0].author == f"token {token_id} for siti"


async def test_a_command_calls_from_elsewhere_by_a_certificate(doors: Doors, office: Office) -> None:
    pair = office.issue("cn:siti")
    files = ("--certificate-file", str(pair.certificate_file), "--key-file", str(pair.key_file))
    elsewhere = ("--api", doors.running.control.listens.certificates, "--ca-file", str(office.ca_file))
    assert (await call("pool", "list", *elsewhere, *files)).code == 0
    refused = await call("pool", "drain", "mbox-1", *elsewhere, *files)
    assert (refused.code, "certificate cn:siti is viewer" in refused.err) == (1, True)
    nobody = await call("pool", "list", *elsewhere)
    assert (nobody.code, "no control at" in nobody.err) == (5, True)


async def test_a_control_that_is_not_believed_is_not_told_the_token(doors: Doors) -> None:
    _, secret = await doors.token(VIEWER)
    said = await call("pool", "list", "--api", doors.running.control.listens.tokens, ZPROXY_TOKEN=secret)
    assert said.code == 5
    assert "is not believed: unable to get local issuer certificate; --ca-file says whose are" in said.err, said.err
    assert [line.method for line in await doors.lines()] == ["zcontrol.v1.TokenService/Create"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--certificate-file", "a.pem"), "--certificate-file and --key-file go together; give both"),
        (("--token-file", "/nonexistent"), "/nonexistent: No such file or directory; name a file that you may read"),
        (("--token-file", __file__), "holds no token; write it there and nothing else"),
        (("--token-file", "/dev/null"), "/dev/null: holds no token; write it there and nothing else"),
    ],
)
async def test_a_proof_that_cannot_be_shown_is_told(options: tuple[str, str], told: str) -> None:
    said = await call("pool", "list", "--api", "127.0.0.1:1", *options)
    assert (said.code, told in said.err) == (2, True), said.err


async def test_a_proof_for_elsewhere_is_no_hindrance_on_controls_own_machine(doors: Doors) -> None:
    _, secret = await doors.token(VIEWER)
    said = await call("pool", "list", "--api", doors.running.control.address, ZPROXY_TOKEN=secret)
    assert said.code == 0, said.err


async def test_what_another_program_answers_does_not_move_the_terminal(tmp_path: Path) -> None:
    async def refuse(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await context.abort(grpc.StatusCode.INTERNAL, "\x1b[2Jall is well")

    server = grpc.aio.server()
    methods = {"ListBackends": grpc.unary_unary_rpc_method_handler(refuse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("zcontrol.v1.PoolService", methods),))
    server.add_insecure_port(address := f"unix:{tmp_path}/other.sock")
    await server.start()
    said = await call("pool", "list", "--api", address)
    await server.stop(0)
    assert said.err == "zproxy: \N{REPLACEMENT CHARACTER}[2Jall is well\n"
