"""Requests of HTTP/2 that would be something else in HTTP/1: none of them comes to any server behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.site import Site
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.http_client import Fields, Http2

SMUGGLED = f"x\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: {HOSTNAME}\r\n\r\n"
PSEUDO = {":method": "GET", ":scheme": "https", ":authority": HOSTNAME, ":path": "/refused"}


def fields(*more: tuple[str, str], **instead: str | None) -> Fields:
    """Give a head; of `path="/x"` and its like, None leaves the pseudo field out."""
    pseudo = PSEUDO | {f":{name}": value for name, value in instead.items()}
    return [*((name, value) for name, value in pseudo.items() if value is not None), *more]


HEADS: dict[str, Fields] = {
    **{
        f"{what} in {where}": head
        for what, text in {
            "CR LF": SMUGGLED,
            "a line feed": "x\nX-A: b",
            "a carriage return": "x\rX-A: b",
            "a NUL": "x\0y",
        }.items()
        for where, head in {
            "a value": fields(("x-a", text)),
            "a name": fields((text.lower(), "b")),
            "a cookie": fields(("cookie", text)),
            "the path": fields(path=f"/{text}"),
            "the method": fields(method=text),
            "the scheme": fields(scheme=text),
            "the authority": fields(authority=text),
            "the host": fields(("host", text), authority=None),
        }.items()
    },
    "a space in the path": fields(path="/refused HTTP/1.1"),
    "a space in the method": fields(method="GET /smuggled HTTP/1.1"),
    "a control in a value": fields(("x-a", "b\x01c")),
    "a DEL in a value": fields(("x-a", "b\x7fc")),
    "a space in a name": fields(("x a", "b")),
    "a colon in a name": fields(("x:a", "b")),
    "no name": fields(("", "b")),
    "a name in upper case": fields(("X-A", "b")),
    "a space before a value": fields(("x-a", " b")),
    "a space behind a value": fields(("x-a", "b ")),
    "a tab before a value": fields(("content-length", "\t0")),
    "an escape of CR LF in the path": fields(path="/refused%0d%0aX-A:%20b"),
    "an escape of NUL in the path": fields(path="/refused%00"),
    "no path": fields(path=None),
    "an empty path": fields(path=""),
    "a path without a slash": fields(path="refused"),
    "a path that is an asterisk": fields(path="*"),
    "a path that is a URI": fields(path="https://evil.example/refused"),
    "no method": fields(method=None),
    "no scheme": fields(scheme=None),
    "a strange scheme": fields(scheme="file"),
    "no host at all": fields(authority=None),
    "a user in the authority": fields(authority=f"user@{HOSTNAME}"),
    "a port that is none": fields(authority=f"{HOSTNAME}:99999"),
    "another Host": fields(("host", "evil.example")),
    "two Hosts": fields(("host", HOSTNAME), ("host", HOSTNAME)),
    "two Hosts without an authority": fields(("host", HOSTNAME), ("host", "evil.example"), authority=None),
    "two paths": [*fields(), (":path", "/smuggled")],
    "two authorities": [*fields(), (":authority", "evil.example")],
    "two methods": [*fields(), (":method", "POST")],
    "a pseudo field behind others": [("x-a", "b"), *fields()],
    "an unknown pseudo field": [(":smuggled", "x"), *fields()],
    "a status": [(":status", "200"), *fields()],
    "a transfer coding": fields(("transfer-encoding", "chunked"), method="POST"),
    "a connection": fields(("connection", "close")),
    "keep-alive": fields(("keep-alive", "timeout=5")),
    "a proxy's connection": fields(("proxy-connection", "keep-alive")),
    "an upgrade": fields(("upgrade", "websocket")),
    "an upgrade to HTTP/2": fields(("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")),
    "a TE that is no trailers": fields(("te", "gzip")),
    "two lengths": fields(("content-length", "0"), ("content-length", "5"), method="POST"),
    "a length with a sign": fields(("content-length", "+0"), method="POST"),
    "a list of lengths": fields(("content-length", "0, 0"), method="POST"),
}
STATUSES: dict[str, tuple[Fields, int]] = {
    "TRACE": (fields(method="TRACE"), 405),
    "another host": (fields(authority="evil.example"), 421),
    "an unknown expectation": (fields(("expect", "cookies")), 417),
    "an unknown protocol": (fields(method="CONNECT", protocol="connect-udp"), 501),
    "a protocol of TCP": (fields(method="CONNECT", protocol="tcp"), 501),
    "a giant field": (fields(("x-a", "b" * (64 << 10))), 431),
    "a thousand fields": (fields(*[(f"x-{number}", "b" * 50) for number in range(1000)]), 431),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("http2"), authority) as running:
        yield running


@pytest.fixture
def client(site: Site) -> Iterator[Http2]:
    with site.http2() as client:
        # Its settings say that an extended CONNECT is taken.
        assert client.extended_connect()
        yield client


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_bad_head_is_refused(head: Fields, site: Site, client: Http2) -> None:
    with site.untouched():
        # None is a stream, or a connection, that was ended.
        assert client.answer(client.open(head)).status in (0, 400)


@pytest.mark.parametrize(("head", "status"), STATUSES.values(), ids=STATUSES)
def test_a_head_that_is_understood_is_told_why_not(head: Fields, status: int, site: Site, client: Http2) -> None:
    with site.untouched():
        assert client.answer(client.open(head)).status == status
    assert client.get("/next").status == 200, "the connection goes on"


@pytest.mark.parametrize("target", [f"{HOSTNAME}:443", "127.0.0.1:25"])
def test_nobody_is_tunnelled(target: str, site: Site, client: Http2) -> None:
    with site.untouched():
        stream = client.open([(":method", "CONNECT"), (":authority", target)], end=False)
        assert client.answer(stream).status in (0, 405)


@pytest.mark.parametrize(("length", "sent"), [(5, b"123"), (3, b"12345"), (0, b"1")])
def test_a_body_of_another_length_is_no_body(length: int, sent: bytes, site: Site, client: Http2) -> None:
    path = f"/length/{length}"
    client.protocol.send_headers(1, fields(("content-length", str(length)), method="POST", path=path))
    client.protocol.streams[1]._expected_content_length = None  # noqa: SLF001 - it would not send more than it said
    client.protocol.send_data(1, sent, end_stream=True)
    client.flush()
    assert client.answer(1).status in (0, 400, 502)
    assert not any(request.path == path for web in site.webs.values() for request in web.requests)


def test_trailers_of_a_request_smuggle_nothing(site: Site, client: Http2) -> None:
    stream = client.open(fields(method="POST", path="/trailed"), end=False)
    client.protocol.send_data(stream, b"body")
    client.protocol.send_headers(stream, [("x-a", SMUGGLED)], end_stream=True)
    client.flush()
    assert client.answer(stream).status in (0, 400, 502)
    heard = b"".join(one.heard for backend in site.backends.values() for one in backend.conversations)
    assert b"smuggled" not in heard
    assert not any(request.path == "/trailed" for web in site.webs.values() for request in web.requests)


def test_cookies_in_many_fields_are_one_and_ours_is_not_among_them(site: Site, client: Http2) -> None:
    ours = ("cookie", "__Host-zproxy=x")
    client.get("/cookies", ("cookie", "a=1"), ours, ("cookie", "b=2"), ("cookie", "c=3; __Host-zproxy=y"))
    assert site.asked("/cookies").values("cookie") == ["a=1; b=2; c=3"]


def test_host_and_authority_may_be_one_in_two_ways(site: Site, client: Http2) -> None:
    assert client.answer(client.open(fields(("host", f"{HOSTNAME.upper()}:443"), path="/agreed"))).status == 200
    assert client.answer(client.open(fields(("host", HOSTNAME), authority=None, path="/hosted"))).status == 200
    assert [site.asked(path).values("host") for path in ("/agreed", "/hosted")] == [[HOSTNAME]] * 2
