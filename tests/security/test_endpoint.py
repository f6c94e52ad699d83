"""An endpoint's answers: whole however they are framed, from whom they ought to be, and in time; else a fault."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from routing.stub import serving
from zcontrol.demo.loopback import own_address
from zcontrol.errors import OAuthUnavailableError
from zcontrol.security.endpoint import CONNECTIONS, LARGEST_ANSWER, Endpoint
from zcontrol.web import http_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from servers.certificates import Authority

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
FORM = {"token": "a&b=c/+ ~"}


@asynccontextmanager
async def endpoint(server: str, *, ca_file: str = "", timeout_seconds: float = 10) -> AsyncIterator[Endpoint]:
    """One that asks this server, closed in the end."""
    asking = Endpoint(server, ca_file=ca_file, timeout_seconds=timeout_seconds)
    try:
        yield asking
    finally:
        await asking.close()


async def answered(answer: bytes) -> bytes:
    """What is made of an answer, sent as it is to each question, after which the server closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with serving(talk) as server, endpoint(f"http://{server}/") as asking:
        return await asking.ask()


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 2\r\n\r\n{}",
        OK + CHUNKED + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        OK + b"\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\n{}",
    ],
)
async def test_a_body_is_whole_however_it_is_framed(answer: bytes) -> None:
    assert await answered(answer) == b"{}"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OK + b"Content-Length: 3\r\n\r\n{}", "without sending complete message body"),
        (OK + CHUNKED + b"2\r\n{}\r\n", "without sending complete message body"),
        (OK + CHUNKED + b"zz\r\n{}\r\n", "illegal chunk"),
        (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "conflicting Content-Length"),
        (OK + b"X: " + b"a" * 2**20 + b"\r\n\r\n{}", "Receive buffer too long"),
        (OK + b"\r\n" + b" " * (LARGEST_ANSWER + 1), "more than"),
        (OK + CHUNKED + b"200000\r\n" + b" " * 2**21, "more than"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 2\r\n\r\n{}", "status 302"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n{}", "_SWITCH_UPGRADE"),
        (b"* OK " + b"a" * 1000 + b"\r\n\r\n", "illegal status line"),
    ],
)
async def test_an_answer_that_is_not_whole_is_a_fault_and_briefly_told(answer: bytes, reason: str) -> None:
    with pytest.raises(OAuthUnavailableError) as told:
        await answered(answer)
    assert reason in str(told.value)
    assert len(str(told.value)) < 300


async def test_a_form_arrives_whole_and_connections_are_kept() -> None:
    connected, asked = 0, []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            asked.append((head, await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split()[0]))))
            writer.write(OK + b"Content-Length: 2\r\n\r\n{}")

    async with serving(talk) as server, endpoint(f"http://{server}/introspect?tenant=1") as asking:
        for _ in range(3):
            assert await asking.ask(form=FORM, headers={"Authorization": "Bearer x"}) == b"{}"
    assert connected == 1
    assert {body for _, body in asked} == {b"token=a%26b%3Dc%2F%2B+~"}
    assert {head.split(b"\r\n")[0] for head, _ in asked} == {b"POST /introspect?tenant=1 HTTP/1.1"}
    assert all(f"Host: {server}\r\n".encode() in head for head, _ in asked)
    assert all(b"Authorization: Bearer x\r\n" in head for head, _ in asked)
    assert asking.name == f"http://{server}/introspect"


async def test_who_finds_no_connection_in_time_does_not_take_the_endpoint_from_others() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            # In time, but so late that of three rounds the last finds no place.
            await asyncio.sleep(0.4)
            writer.write(OK + b"Content-Length: 2\r\n\r\n{}")

    async with serving(talk) as server, endpoint(f"http://{server}/", timeout_seconds=0.6) as asking:
        crowd = await asyncio.gather(*(asking.ask() for _ in range(3 * CONNECTIONS)), return_exceptions=True)
        assert [told for told in crowd if told != b"{}"], "all were served"
        assert all("others were asking" in str(told) for told in crowd if told != b"{}")
        assert await asking.ask() == b"{}"


async def test_those_who_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "WAITING", 2)
    answer = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await answer.wait()
            writer.write(OK + b"Content-Length: 2\r\n\r\n{}")

    async with serving(talk) as server, endpoint(f"http://{server}/") as asking:
        served = [asyncio.create_task(asking.ask()) for _ in range(CONNECTIONS + 2)]
        await asyncio.sleep(0)
        with pytest.raises(OAuthUnavailableError, match="2 others wait to ask"):
            await asking.ask()
        answer.set()
        assert set(await asyncio.gather(*served)) == {b"{}"}


async def test_a_server_is_believed_only_with_a_certificate_of_its_name_that_the_ca_file_vouches_for(
    authority: Authority,
) -> None:
    connected = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK + b"Content-Length: 2\r\n\r\n{}")

    address, ca_file = own_address(), str(authority.ca_file)
    for name, trusted, told in ((address, ca_file, ""), (address, "", "VERIFY"), ("localhost", ca_file, "mismatch")):
        certificate = authority.issue(name)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate.certificate_file, certificate.key_file)
        async with (
            serving(talk, address=address, tls=tls) as server,
            endpoint(f"https://{server}/", ca_file=trusted) as asking,
        ):
            if not told:
                assert [await asking.ask() for _ in range(3)] == [b"{}"] * 3
                assert connected == 1
                continue
            with pytest.raises(OAuthUnavailableError, match=told):
                await asking.ask()


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    assert await answered(OK + b"\r\n{}") == b"{}"
