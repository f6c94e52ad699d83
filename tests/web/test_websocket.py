"""WebSockets: by HTTP/1.1 and HTTP/2, by hand and by a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.browser import browser, page
from servers.fake_web import frame, says, websocket
from servers.http_client import basic
from servers.site import BUDI, SITI, Site
from servers.waiting import until
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.http_client import Http2

KEY, ACCEPTED = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Of RFC 6455, section 1.3."""
UPGRADE = ["Connection: keep-alive, Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Key: {KEY}"]
UPGRADE += ["Sec-WebSocket-Version: 13"]
TEXT = 0x81


@pytest.fixture(autouse=True)
def _echo(site: Site) -> Iterator[None]:
    with site.answering("/echo", websocket):
        yield


def masked(said: bytes) -> bytes:
    """Write a frame as clients do; a mask of zeros changes nothing."""
    plain = frame(TEXT, said)
    at = len(plain) - len(said)
    return plain[:1] + bytes([plain[1] | 0x80]) + plain[2:at] + bytes(4) + said


@pytest.mark.parametrize(("account", "server"), [(SITI, "one"), (BUDI, "two")])
def test_what_is_said_comes_back_from_the_users_own_server(account: str, server: str, site: Site) -> None:
    path = f"/echo/{server}"
    with site.answering(path, websocket), site.http1() as client:
        client.begin("GET", path, f"Authorization: {basic(account)}", *UPGRADE)
        status, fields = client.head()
        assert (status, dict(fields)["sec-websocket-accept"]) == (101, ACCEPTED)
        for said in (b"a", b"x" * 1000, b"y" * 60_000):
            client.send(masked(said))
            assert client.octets(len(frame(TEXT, said))) == frame(TEXT, said)
    (record,) = until(lambda: [one for one in site.zproxy.records() if one.get("path") == path])
    assert (record["status"], record["account"], record["backend"]) == (101, account, server)


def test_octets_that_look_like_no_http_are_not_looked_at(site: Site) -> None:
    with site.http1() as client:
        client.begin("GET", "/echo", *UPGRADE)
        assert client.head()[0] == 101
        for said in (b"\n\n\n", b"GET / HTTP/1.1\nContent-Length: 1\nContent-Length: 2\n\n", bytes(range(256))):
            client.send(masked(said))
            assert client.octets(len(frame(TEXT, said))) == frame(TEXT, said)


def test_http2_has_them_on_a_stream_among_others(site: Site) -> None:
    head = [(":protocol", "websocket"), ("sec-websocket-version", "13"), ("authorization", basic(BUDI))]
    with site.answering("/echo/http2", websocket), site.http2() as client:
        assert client.extended_connect()
        stream = client.open([*client.pseudo("CONNECT", "/echo/http2"), *head], end=False)
        for said in (b"a", b"x" * 1000):
            client.say(stream, masked(said), end=False)
            await_said(client, stream, frame(TEXT, said))
            assert client.get("/").status == 200
        answer = client.answered(stream)
        assert (answer.status, answer.value("sec-websocket-accept")) == (200, None)
    assert site.asked("/echo/http2").server == "two"


def await_said(client: Http2, stream: int, said: bytes) -> None:
    until(lambda: client.said(stream).endswith(said) or not client.hear())
    assert client.said(stream).endswith(said)


def test_a_server_may_refuse_one_and_the_connection_goes_on(site: Site) -> None:
    with site.answering("/no", says(403, b"no")), site.http1() as client:
        client.begin("GET", "/no", *UPGRADE)
        assert client.answer().body == b"no"
        assert client.get("/").status == 200


@pytest.mark.parametrize("without", range(1, 3))
def test_half_a_wish_is_none(without: int, site: Site) -> None:
    with site.answering("/half", says(200)), site.http1() as client:
        client.begin("GET", "/half", *UPGRADE[:without], *UPGRADE[without + 1 :])
        assert client.answer().status == 200
    request = [one for web in site.webs.values() for one in web.requests if one.path == "/half"][-1]
    assert not request.values("upgrade")


@pytest.mark.parametrize("leaves", ["client", "server"])
def test_the_one_that_leaves_takes_the_other_along(leaves: str, site: Site) -> None:
    path = f"/leaves/{leaves}"
    with site.answering(path, websocket), site.http1() as client:
        client.begin("GET", path, *UPGRADE)
        assert client.head()[0] == 101
        conversation = site.asked(path).conversation
        if leaves == "server":
            conversation.close()
            assert client.rest() == b""
    assert conversation.ended.wait(10)


def test_a_browser_talks_to_it(tmp_path: Path, authority: Authority, site: Site) -> None:
    with browser(tmp_path, authority, {HOSTNAME: site.zproxy.listeners["https"]}) as chromium, page(chromium) as shown:
        shown.goto(f"https://{HOSTNAME}/")
        said = shown.evaluate(SCRIPT, "hello " * 1000)
    assert said == "hello " * 1000


SCRIPT = """said => new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://${location.host}/echo`);
    socket.onopen = () => socket.send(said);
    socket.onmessage = message => { socket.close(); resolve(message.data); };
    socket.onerror = () => reject(new Error("error"));
})"""
