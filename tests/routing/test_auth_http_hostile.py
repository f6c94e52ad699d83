"""auth_http servers that are broken, slow or hostile: each is a temporary failure with a reason, in bounded memory."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from typing import TYPE_CHECKING

import pytest
from google.protobuf.duration_pb2 import Duration

from routing.auth_http import auth_http
from routing.fakes import DOMAIN, counted
from routing.stub import drip, serving
from servers.auth_script import auth_script, lives_at
from zcontrol.demo.loopback import own_address
from zcontrol.directory.base import Found
from zcontrol.errors import DirectoryError, DirectoryUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from servers.certificates import Authority
    from zcontrol.directory.base import Directory

SITI = f"siti@{DOMAIN}"
SHORT = Duration(nanos=400_000_000)
GOOD = b"Auth-Status: OK\r\nAuth-Server: 10.0.0.1\r\nAuth-Port: 143\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
MIB = 2**20


async def said(answer: bytes) -> str:
    """Why one answer to a name, sent as it is, was of no use."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with serving(talk) as server, auth_http(f"http://{server}/", timeout=SHORT) as directory:
        [outcome] = await directory.find([SITI])
    assert isinstance(outcome, DirectoryError), outcome
    return str(outcome)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n", "it sent no Auth-Status"),
        (b"HTTP/1.1 200 OK\r\nAuth-Status:\r\n" + EMPTY, "it sent no Auth-Status"),
        (b"HTTP/1.1 500 Oops\r\n" + GOOD + EMPTY, "HTTP status 500"),
        (b"HTTP/1.1 503 Busy\r\n" + GOOD + EMPTY, "HTTP status 503"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n" + GOOD + EMPTY, "HTTP status 302"),
        (b"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Port: 143\r\n" + EMPTY, "it sent no Auth-Server"),
        (b"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 10.0.0.1\r\n" + EMPTY, 'Auth-Port "" is no port'),
        # A name or text that carried CR LF brings a header of its own.
        (b"HTTP/1.1 200 OK\r\nAuth-User: a\r\nAuth-Server: 10.0.0.2\r\n" + GOOD + EMPTY, "sent Auth-Server twice"),
        (b"HTTP/1.1 200 OK\r\nAuth-User: a\rAuth-Server: 10.0.0.2\r\n" + GOOD + EMPTY, "illegal header"),
        (b"HTTP/1.1 200 OK\r\nAuth-User: a\0b\r\n" + GOOD + EMPTY, "illegal header"),
        (b"HTTP/1.1 200 OK\r\nAuth-User: \xff\r\n" + GOOD + EMPTY, "Auth-User is not printable UTF-8"),
        (b"HTTP/1.1 200 OK\r\nAuth-User: a\xe2\x80\x8b@b.c\r\n" + GOOD + EMPTY, "Auth-User is not printable UTF-8"),
        (b"HTTP/1.1 200 OK\r\nAuth-User: @\r\n" + GOOD + EMPTY, "a name that nobody can have"),
        (b"HTTP/1.1 200 OK\r\nAuth-User: " + b"a" * 1025 + b"\r\n" + GOOD + EMPTY, "longer than 1024 octets"),
        (b"HTTP/1.1 200 OK\r\nAuth-Wait: 999999999999\r\n" + GOOD + EMPTY, 'Auth-Wait "999999999999" is no time'),
        (b"HTTP/1.1 200 OK\r\nAuth-Wait: -1\r\n" + GOOD + EMPTY, 'Auth-Wait "-1" is no time to wait'),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * MIB + b"\r\n" + GOOD + EMPTY, "Receive buffer too long"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * (MIB // 6) + GOOD + EMPTY, "Receive buffer too long"),
        (b"HTTP/1.1 200 OK\r\n" + GOOD, "closed amid its answer"),
        (b"", "closed without an answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "closed without an answer"),
        (b"* OK IMAP4rev1 ready\r\n\r\n", "illegal status line"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + GOOD + b"\r\nzz\r\n", "illegal chunk"),
    ],
)
async def test_an_answer_that_means_nothing_is_a_temporary_failure(answer: bytes, reason: str) -> None:
    assert reason in await said(answer)


@pytest.mark.parametrize("port", [b"0", b"65536", b"-1", b"143x", b"0x8f", b"1e2", "\u0661".encode()])
async def test_a_port_that_is_none_is_a_temporary_failure(port: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 10.0.0.1\r\nAuth-Port: " + port + b"\r\n" + EMPTY
    assert "is no port" in await said(answer)


async def test_a_server_that_drips_has_one_timeout_in_all() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await drip(writer, b"HTTP/1.1 200 OK\r\n" + b"X-Slow: a\r\n" * 100)

    async with serving(talk) as server, auth_http(f"http://{server}/", timeout=SHORT) as directory:
        began = time.monotonic()
        [outcome] = await directory.find([SITI])
        assert time.monotonic() - began < 2
    assert isinstance(outcome, DirectoryUnavailableError)
    assert "no answer within 0.4 s" in str(outcome)


async def test_headers_and_bodies_without_end_are_cut_off() -> None:
    for head, piece in ((b"", b"X: a\r\n" * 100), (GOOD + b"Content-Length: 99999999999\r\n\r\n", b"a" * 1000)):
        sent = 0

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes = head, piece: bytes = piece
        ) -> None:
            nonlocal sent
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n" + head)
            while sent < 64 * MIB:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)

        async with serving(talk) as server, auth_http(f"http://{server}/") as directory:
            await directory.find([SITI])
        # What the kernel's buffers took besides.
        assert sent < 16 * MIB


async def test_a_body_that_would_unpack_to_gigabytes_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(60 * MIB))
    headers = GOOD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + headers + bomb)
        await writer.drain()

    async with serving(talk) as server, auth_http(f"http://{server}/") as directory:
        began = time.process_time()
        assert await directory.find([SITI]) == [Found(account=SITI, home="mbox-1")]
        assert time.process_time() - began < 0.2


async def test_an_idle_connection_that_the_server_has_closed_costs_nobody_an_answer() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + GOOD + EMPTY)
        # Closes when the next question has begun, without an answer.
        await reader.readexactly(1)

    async with serving(talk) as server, auth_http(f"http://{server}/") as directory:
        for _ in range(3):
            assert await directory.find([SITI]) == [Found(account=SITI, home="mbox-1")]


async def test_what_comes_unasked_is_nobodys_answer() -> None:
    """A second answer behind the first would be the next user's."""
    asked = 0
    other = GOOD.replace(b"10.0.0.1", b"10.0.0.2")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await reader.readuntil(b"\r\n\r\n"):
            asked += 1
            writer.write(b"HTTP/1.1 200 OK\r\n" + GOOD + EMPTY)
            if late:
                await writer.drain()
                await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 200 OK\r\n" + other + EMPTY)
            await writer.drain()

    for late in (False, True):
        async with serving(talk) as server, auth_http(f"http://{server}/") as directory:
            for _ in range(4):
                assert await directory.find([SITI]) == [Found(account=SITI, home="mbox-1")]
                if late:
                    await asyncio.sleep(0.1)


async def test_what_came_unasked_and_is_unread_when_the_next_question_is_asked_is_nobodys_answer() -> None:
    writers: list[asyncio.StreamWriter] = []
    answer = b"HTTP/1.1 200 OK\r\n" + GOOD + EMPTY

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer)

    async with serving(talk) as server, auth_http(f"http://{server}/") as directory:
        for _ in range(3):
            assert await directory.find([SITI]) == [Found(account=SITI, home="mbox-1")]
            writers[-1].write(answer.replace(b"10.0.0.1", b"10.0.0.2"))
    assert len(writers) == 3


async def test_an_answer_that_comes_an_octet_at_a_time_is_the_same_answer() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            for octet in b"HTTP/1.1 200 OK\r\n" + GOOD + b"Content-Length: 3\r\n\r\nabc":
                writer.write(bytes([octet]))
                await writer.drain()

    async with serving(talk) as server, auth_http(f"http://{server}/") as directory:
        for _ in range(3):
            assert await directory.find([SITI]) == [Found(account=SITI, home="mbox-1")]


async def test_a_body_that_ends_with_the_connection_is_not_waited_for() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n" + GOOD + b"\r\nand more")
        await asyncio.Event().wait()

    async with serving(talk) as server, auth_http(f"http://{server}/", timeout=SHORT) as directory:
        assert await directory.find([SITI]) == [Found(account=SITI, home="mbox-1")]


async def eventually(what: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 20
    while not await what():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def home(directory: Directory) -> str:
    [outcome] = await directory.find([SITI])
    assert isinstance(outcome, Found), outcome
    return outcome.home


async def test_a_server_that_hangs_costs_one_timeout_and_then_nothing_until_it_is_back() -> None:
    hanging = asyncio.Event()
    hanging.set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            if hanging.is_set():
                await asyncio.Event().wait()
            writer.write(b"HTTP/1.1 200 OK\r\n" + GOOD + EMPTY)

    with auth_script({SITI: lives_at("10.0.0.2", 143)}) as second:
        async with serving(talk) as first, auth_http(f"http://{first}/", second.url, timeout=SHORT) as directory:
            assert await asyncio.wait_for(home(directory), 5) == "mbox-2"

            async def tried_again() -> bool:
                # Before the timeout could pass, although the first still accepts connections and is being tried.
                assert await asyncio.wait_for(home(directory), 0.39) == "mbox-2"
                return counted("zproxy_directory_failures", replica=f"http://{first}/") > 1

            await eventually(tried_again)
            hanging.clear()

            async def back() -> bool:
                return await home(directory) == "mbox-1"

            await eventually(back)


async def test_a_name_that_breaks_a_script_does_not_take_it_away_from_others() -> None:
    def answer(asked: dict[str, str]) -> dict[str, str]:
        script.status = 500 if asked["Auth-User"].startswith("bomb") else 200
        return lives_at("10.0.0.1", 143)

    with auth_script(answer) as script:
        async with auth_http(script.url, connections=1) as directory:
            for _ in range(5):
                [bomb] = await directory.find([f"bomb@{DOMAIN}"])
                assert isinstance(bomb, DirectoryUnavailableError)
                assert await directory.find([SITI]) == [Found(account=SITI, home="mbox-1")]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 504 Late\r\n" + EMPTY, b"HTTP/1.1 502 Crashed\r\n" + EMPTY, b"", None])
async def test_a_name_on_which_a_server_hangs_or_dies_takes_it_away_from_nobody_that_it_answers(
    answer: bytes | None,
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b"bomb" not in head:
                writer.write(b"HTTP/1.1 200 OK\r\n" + GOOD + EMPTY)
            elif answer:
                writer.write(answer)
            elif answer is None:
                return
            else:
                await asyncio.Event().wait()

    async with serving(talk) as server, auth_http(f"http://{server}/", timeout=SHORT) as directory:
        for _ in range(3):
            assert await home(directory) == "mbox-1"
            [bomb] = await directory.find([f"bomb@{DOMAIN}"])
            assert isinstance(bomb, DirectoryUnavailableError)
        assert await home(directory) == "mbox-1"


async def test_a_server_is_believed_only_with_a_certificate_that_the_ca_file_vouches_for(authority: Authority) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + GOOD + EMPTY)
        await writer.drain()

    address = own_address()
    certificate = authority.issue(address)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.certificate_file, certificate.key_file)
    async with serving(talk, address=address, tls=tls) as server:
        async with auth_http(f"https://{server}/", ca_file=str(authority.ca_file)) as directory:
            assert await directory.find([SITI]) == [Found(account=SITI, home="mbox-1")]
        async with auth_http(f"https://{server}/") as directory:
            [outcome] = await directory.find([SITI])
    assert isinstance(outcome, DirectoryUnavailableError)
    assert "CERTIFICATE_VERIFY_FAILED" in str(outcome)
