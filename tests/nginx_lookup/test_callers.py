"""Who may ask, and what becomes of those who may not or who ask for ever; what a reload changes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
from typing import TYPE_CHECKING

import pytest

from nginx_lookup.facade import facade, request
from routing.fakes import account
from zcontrol.demo.loopback import own_address
from zcontrol.nginx_lookup.app import PATH
from zcontrol.nginx_lookup.listener import ListenError
from zcontrol.v1 import config_pb2
from zcontrol.web import http_server
from zcontrol.web.http_server import REQUEST_SECONDS

if TYPE_CHECKING:
    from servers.certificates import Authority

SECRET = "tiga puluh rahasia"


async def test_the_secret_opens_and_nothing_else_does() -> None:
    async with facade(account("siti"), secret=SECRET) as proxies:
        assert (await proxies.ask(X_Auth_Key=SECRET))["Auth-Status"] == "OK"
        for wrong in (None, "", SECRET[:-1], SECRET + "x", f"{SECRET}\r\nX-Auth-Key: {SECRET}"):
            status, answer = await proxies.exchange(request(X_Auth_Key=wrong))
            assert status == "HTTP/1.1 403 Forbidden"
            assert "Auth-Status" not in answer


async def test_the_header_may_have_another_name() -> None:
    async with facade(account("siti"), secret=SECRET, header_name="X-NGX-Key") as proxies:
        assert (await proxies.ask(X_NGX_Key=SECRET))["Auth-Status"] == "OK"
        assert (await proxies.exchange(request(X_Auth_Key=SECRET)))[0] == "HTTP/1.1 403 Forbidden"


async def test_an_address_that_is_not_listed_may_not_even_connect() -> None:
    async with facade(account("siti"), callers=["192.0.2.0/24", "127.0.0.0/8"]) as proxies:
        assert (await proxies.ask())["Auth-Status"] == "OK"
    async with facade(account("siti"), callers=["192.0.2.0/24"]) as proxies:
        with contextlib.suppress(ConnectionResetError):
            assert await proxies.raw(request()) == b""


async def test_who_says_nothing_or_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.3)
    async with facade(account("siti")) as proxies:
        for begun in (b"", b"GET /service/extension/nginx-lookup HTTP/1.0\r\nAuth-User: "):
            with contextlib.suppress(ConnectionResetError):
                assert await proxies.raw(begun) == b""


async def test_a_connection_ends_with_its_first_answer_whatever_that_is() -> None:
    """Else one refusal would buy a connection that may be held for ever."""
    async with facade(account("siti"), secret=SECRET) as proxies:
        host, _, port = proxies.lookup.address.rpartition(":")
        for method, path, status in (("GET", "/elsewhere", b"404"), ("POST", PATH, b"405"), ("GET", PATH, b"403")):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 " + status)
            with contextlib.suppress(ConnectionError):
                writer.write(b"GET")
                async with asyncio.timeout(10):
                    assert b"HTTP/1.1" not in await reader.read()
            writer.close()


async def test_a_connection_that_is_over_is_held_no_longer() -> None:
    """Else a busy site would hold those of the time that a slow request has."""
    async with facade(account("siti")) as proxies:
        await asyncio.gather(*(proxies.ask() for _ in range(50)))
        async with asyncio.timeout(REQUEST_SECONDS / 2):
            while any(type(held).__name__ == "_Guarded" for held in gc.get_objects()):
                await asyncio.sleep(0.05)
                gc.collect()


async def test_who_keeps_tls_waiting_is_cut_off_and_a_stranger_before_it_begins(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.3)
    address = own_address()
    certificate = authority.issue(address)
    files = {"certificate_file": str(certificate.certificate_file), "key_file": str(certificate.key_file)}
    async with facade(account("siti"), address=f"{address}:0", **files) as proxies:
        assert await proxies.raw(b"") == b""
        assert await proxies.raw(b"\x16\x03\x01\x02\x00") == b""
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 60)
    async with facade(account("siti"), address=f"{address}:0", callers=["192.0.2.0/24"], **files) as proxies:
        async with asyncio.timeout(10):
            assert await proxies.raw(b"") == b""


async def test_a_crowd_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "LARGEST_CROWD", 2)
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.3)
    async with facade(account("siti")) as proxies:
        idle = [asyncio.create_task(proxies.raw(b"")) for _ in range(5)]
        assert (await proxies.ask())["Auth-Status"] == "OK"
        await asyncio.gather(*idle, return_exceptions=True)
        answers = await asyncio.gather(*(proxies.ask() for _ in range(20)))
    assert {answer["Auth-Status"] for answer in answers} == {"OK"}


async def test_noise_is_refused_and_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    async with facade(account("siti")) as proxies:
        for noise in (b"\x16\x03\x01\x02\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"):
            assert (await proxies.raw(noise)).startswith(b"HTTP/1.1 400 ")
        upgrade = request(Connection="upgrade", Upgrade="websocket")
        assert (await proxies.raw(upgrade)).startswith(b"HTTP/1.1 200 ")
    assert [record.message for record in caplog.records if record.name.startswith("uvicorn")] == []


async def test_a_request_that_is_too_long_is_refused() -> None:
    async with facade(account("siti")) as proxies:
        try:
            whole = await proxies.raw(request(X_Long="a" * 2**20))
        except ConnectionError:
            return
        assert whole.startswith(b"HTTP/1.1 400 ")


async def test_asked_by_https_where_there_is_a_certificate(authority: Authority) -> None:
    address = own_address()
    certificate = authority.issue(address)
    files = {"certificate_file": str(certificate.certificate_file), "key_file": str(certificate.key_file)}
    async with facade(account("siti"), address=f"{address}:0", **files) as proxies:
        host, _, port = proxies.lookup.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=authority.client_context())
        writer.write(request())
        assert b"Auth-Status: OK" in await reader.read()
        writer.close()
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection(host, int(port), ssl=ssl.create_default_context())


async def test_a_reload_changes_the_rules_and_the_place_and_switches_it_off() -> None:
    async with facade(account("siti")) as proxies:
        lookup, first = proxies.lookup, proxies.lookup.address
        same_place = config_pb2.NginxLookup(address=first, secret=SECRET)
        # Another address bound in vain leaves everything as it was.
        lookup.prepare(config_pb2.NginxLookup(address=f"{own_address()}:0")).close()
        assert (await proxies.ask())["Auth-Status"] == "OK"
        with pytest.raises(ListenError, match="free it, or choose another"):
            lookup.prepare(config_pb2.NginxLookup(address=f"{first.partition(':')[0]}:{first.rpartition(':')[2]}"))
        await lookup.take(lookup.prepare(config_pb2.NginxLookup(address=f"{own_address()}:0")))
        assert lookup.address != first
        assert (await proxies.ask())["Auth-Status"] == "OK"
        await lookup.take(lookup.prepare(same_place))
        assert (await proxies.exchange(request()))[0] == "HTTP/1.1 403 Forbidden"
        await lookup.take(lookup.prepare(same_place))
        assert (await proxies.ask(X_Auth_Key=SECRET))["Auth-Status"] == "OK"
        host, _, port = lookup.address.rpartition(":")
        await lookup.take(lookup.prepare(config_pb2.NginxLookup()))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, int(port))


async def test_many_questions_at_once_are_all_answered() -> None:
    async with facade(account("siti")) as proxies:
        answers = await asyncio.gather(*(proxies.ask() for _ in range(300)))
    assert {answer["Auth-Status"] for answer in answers} == {"OK"}
