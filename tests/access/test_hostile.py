"""Requests that no gRPC client sends: octets that are no text where text is expected."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import TYPE_CHECKING, Any

import grpc
import h2.config
import h2.connection
import h2.events
import pytest
import structlog

from access.conftest import got_pool, refusal
from zcontrol.access.roles import OPERATOR
from zcontrol.logs import configure_logging
from zcontrol.v1 import pool_pb2

if TYPE_CHECKING:
    from pathlib import Path

    from access.conftest import Doors

PATIENCE_SECONDS = 10
NO_TEXT = b"\xff\xfe"
GET = b"/zcontrol.v1.PoolService/Get"


def called(address: str, ca_file: Path, path: bytes, authorization: bytes) -> dict[bytes, bytes]:
    """What a call of these octets is answered by."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=str(ca_file))
    context.set_alpn_protocols(["h2"])
    config = h2.config.H2Configuration(
        header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
    )
    spoken = h2.connection.H2Connection(config)
    spoken.initiate_connection()
    fields = {
        b":method": b"POST",
        b":scheme": b"https",
        b":path": path,
        b":authority": b"localhost",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
        b"authorization": authorization,
    }
    spoken.send_headers(1, list(fields.items()), end_stream=True)
    answer: dict[bytes, bytes] = {}
    with (
        socket.create_connection((host, int(port)), PATIENCE_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as tls,
    ):
        tls.sendall(spoken.data_to_send())
        while octets := tls.recv(65536):
            for event in spoken.receive_data(octets):
                if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                    answer |= dict(event.headers)
                if isinstance(event, h2.events.StreamEnded):
                    return answer
            tls.sendall(spoken.data_to_send())
    return answer


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """What libraries log, written as by a process; our own loggers would stay so for the tests that follow."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    configured = structlog.get_config()
    configure_logging()
    structlog.configure(**configured)
    return capsys


async def test_what_is_no_text_takes_control_from_nobody_and_is_not_in_the_log(
    doors: Doors, written: pytest.CaptureFixture[str]
) -> None:
    _, secret = await doors.token(OPERATOR)
    address, ca_file = doors.running.control.listens.tokens, doors.office.ca_file
    shown = f"Bearer {secret}".encode()
    by_method = await asyncio.to_thread(called, address, ca_file, b"/a.B/" + NO_TEXT, shown)
    assert by_method[b"grpc-status"] != b"0"
    by_token = await asyncio.to_thread(called, address, ca_file, GET, shown + NO_TEXT)
    assert by_token[b"grpc-status"] == b"16"
    assert await got_pool(doors.running.channel) == 1
    told = written.readouterr().err
    assert secret not in told
    assert "Traceback" not in told


async def test_a_request_that_is_none_of_the_method_is_told_so(doors: Doors) -> None:
    for method in ("Drain", "Get", "Watch"):
        call: Any = doors.running.channel.unary_stream(f"/zcontrol.v1.PoolService/{method}")(NO_TEXT)
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (await call.details()).startswith(f"no request of zcontrol.v1.PoolService/{method}: ")


async def test_what_moves_a_terminal_is_not_in_the_audit_log(doors: Doors) -> None:
    address, ca_file = doors.running.control.listens.tokens, doors.office.ca_file
    await asyncio.to_thread(called, address, ca_file, b"/a.B/\x1b]0;siti\x07\n", b"Bearer \x1b[2J")
    (line,) = await doors.lines()
    assert (line.method, line.caller) == (r"a.B/\x1b]0;siti\x07\n", "nobody")
    assert line.reason.isprintable()


async def test_a_version_larger_than_any_is_not_found(doors: Doors) -> None:
    call = doors.running.pool.Get(pool_pb2.GetPoolRequest(version=2**64 - 1))
    assert (await refusal(call))[0] is grpc.StatusCode.NOT_FOUND
