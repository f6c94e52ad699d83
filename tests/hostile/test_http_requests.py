"""Requests of HTTP/1 that two servers would read differently: none of them comes to any server behind.

Behind each stands a second request, which is one only for who reads the first one wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.fake_web import echoes
from servers.site import Site
from servers.waiting import until
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority

HOST = f"Host: {HOSTNAME}\r\n".encode()
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: 5\r\n"


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /refused HTTP/1.1\r\n" + HOST + b"".join(fields) + b"\r\n" + body


def get(target: bytes, fields: bytes = HOST) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + fields + b"\r\n"


LENGTHS = {
    "both lengths": post(LENGTH, CHUNKED, body=b"0\r\n\r\n"),
    "both lengths the other way round": post(CHUNKED, LENGTH, body=b"0\r\n\r\n"),
    "two lengths": post(LENGTH, b"Content-Length: 0\r\n"),
    "two equal lengths": post(LENGTH, LENGTH, body=b"12345"),
    "a list of lengths": post(b"Content-Length: 5, 5\r\n", body=b"12345"),
    **{
        f"length {length!r}": post(b"Content-Length: " + length + b"\r\n")
        for length in (b"+5", b"-1", b"0x5", b"5 5", b"", b"5;", b"1e1", b"99999999999999999999", b"\x0b5", b"5\0")
    },
    **{
        f"coding {coding!r}": post(b"Transfer-Encoding: " + coding + b"\r\n", body=b"0\r\n\r\n")
        for coding in (
            b"xchunked",
            b"chunked, chunked",
            b"chunked, identity",
            b"identity",
            b"gzip, chunked",
            b"chunked\x0b",
            b"\x0cchunked",
            b"chunked;q=1",
            b'"chunked"',
            b"chunked\0",
            b"",
        )
    },
    "two codings": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "two codings of which one is unknown": post(b"Transfer-Encoding: cow\r\n", CHUNKED, body=b"0\r\n\r\n"),
    "a space before the colon": post(b"Transfer-Encoding : chunked\r\n", body=b"0\r\n\r\n"),
    "a tab before the colon": post(b"Content-Length\t: 5\r\n", body=b"12345"),
    "a folded coding": post(b"Transfer-Encoding:\r\n chunked\r\n", body=b"0\r\n\r\n"),
    "a coding in HTTP/1.0": b"POST /refused HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n",
}
HOSTS = {
    "two Hosts": get(b"/refused", HOST + HOST),
    "two different Hosts": get(b"/refused", HOST + b"Host: evil.example\r\n"),
    "no Host": get(b"/refused", b""),
    **{
        f"Host {host!r}": get(b"/refused", b"Host: " + host + b"\r\n")
        for host in (
            b"",
            b"mail.tgg.net.id evil.example",
            b"mail.tgg.net.id, evil.example",
            b"user@mail.tgg.net.id",
            b"mail.tgg.net.id:port",
            b"mail.tgg.net.id:99999",
            b"mail.tgg.net.id/path",
            b"mail.tgg.net.id?x",
            b"mail.tgg.net.id#x",
            b"mail.tgg.net.id\\x",
            b"mail.tgg.net.id\0",
            b"m\xc3\xa4il.tgg.net.id",
            b"[::1",
        )
    },
    "an authority with a user": get(b"https://user@mail.tgg.net.id/refused"),
}
LINES = {
    "a folded field": get(b"/refused", HOST + b"X-A: b\r\n c\r\n"),
    "a folded first field": get(b"/refused", b" X-A: b\r\n" + HOST),
    "line feeds alone": get(b"/refused").replace(b"\r\n", b"\n"),
    "a line feed alone": get(b"/refused", HOST + b"X-A: b\nX-C: d\r\n"),
    "a line feed behind the request line": b"GET /refused HTTP/1.1\n" + HOST + b"\r\n",
    "an end with line feeds alone": b"GET /refused HTTP/1.1\r\n" + HOST + b"\n",
    "a carriage return alone": get(b"/refused", HOST + b"X-A: b\rX-C: d\r\n"),
    "two carriage returns": get(b"/refused", HOST + b"X-A: b\r\r\n"),
    "a carriage return in a name": get(b"/refused", HOST + b"X-A\r: b\r\n"),
    "a NUL in a value": get(b"/refused", HOST + b"X-A: b\0c\r\n"),
    "a control in a value": get(b"/refused", HOST + b"X-A: b\x01c\r\n"),
    "a DEL in a value": get(b"/refused", HOST + b"X-A: b\x7fc\r\n"),
    "no colon": get(b"/refused", HOST + b"X-A\r\n"),
    "no name": get(b"/refused", HOST + b": b\r\n"),
    "a space in a name": get(b"/refused", HOST + b"X A: b\r\n"),
    "a bracket in a name": get(b"/refused", HOST + b"X(A: b\r\n"),
    "8 bits in a name": get(b"/refused", HOST + b"X-\xe4: b\r\n"),
    "a NUL in a name": get(b"/refused", HOST + b"X-\0A: b\r\n"),
}
TARGETS = {
    f"target {target!r}": get(target)
    for target in (
        b"/refused\0",
        b"/refused\x01",
        b"/refused\x7f",
        b"/refused\xff",
        b"/ref used",
        b"/refused\tx",
        b"/refused%00",
        b"/refused%0d%0aX-A:%20b",
        b"/refused%zz",
        b"/refused%2",
        b"/refused?x\x01",
        b"/refused?x\xe4",
        b"refused",
        b"*",
        b"",
        b"file:///refused",
        b"gopher://mail.tgg.net.id/refused",
    )
} | {
    "HTTP/0.9": b"GET /refused\r\n",
    **{
        f"version {version!r}": b"GET /refused " + version + b"\r\n" + HOST + b"\r\n"
        for version in (b"HTTP/2.0", b"HTTP/1.2", b"HTTP/1.1x", b"http/1.1", b"HTTP/01.1", b"HTTP/1.", b"ICY/1.1", b"")
    },
    "two spaces": get(b" /refused"),
    "a handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "no method": b" /refused HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method with a bracket": b"GE(T /refused HTTP/1.1\r\n" + HOST + b"\r\n",
}
STATUSES = {
    0: {"a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
    405: {
        "TRACE": b"TRACE /refused HTTP/1.1\r\n" + HOST + b"\r\n",
        "CONNECT": b"CONNECT mail.tgg.net.id:443 HTTP/1.1\r\n" + HOST + b"\r\n",
        "CONNECT elsewhere": b"CONNECT 127.0.0.1:25 HTTP/1.1\r\nHost: 127.0.0.1:25\r\n\r\n",
    },
    417: {"an expectation": post(b"Expect: cookies\r\n", LENGTH)},
    421: {
        "another host": get(b"/refused", b"Host: evil.example\r\n"),
        "an address": get(b"/refused", b"Host: 127.0.0.1\r\n"),
        "the whole URI of another host": get(b"http://evil.example/refused"),
        "the whole URI of another host with our Host": get(b"https://evil.example/refused"),
    },
    431: {
        "a giant field": get(b"/refused", HOST + b"X-A: " + b"b" * (256 << 10) + b"\r\n"),
        "a giant name": get(b"/refused", HOST + b"X" * (256 << 10) + b": b\r\n"),
        "a thousand fields": get(b"/refused", HOST + b"X-A: b\r\n" * 1000),
        "a giant target": get(b"/refused?" + b"x" * (256 << 10)),
    },
}
CASES = [
    *((name, said, 400) for table in (LENGTHS, HOSTS, LINES, TARGETS) for name, said in table.items()),
    *((name, said, status) for status, table in STATUSES.items() for name, said in table.items()),
]
CHUNKS = {
    "no size": b"\r\nx\r\n0\r\n\r\n",
    "a sign": b"+1\r\nx\r\n0\r\n\r\n",
    "a minus": b"-1\r\nx\r\n0\r\n\r\n",
    "a prefix": b"0x1\r\nx\r\n0\r\n\r\n",
    "a space before": b" 1\r\nx\r\n0\r\n\r\n",
    "no hex": b"g\r\nx\r\n0\r\n\r\n",
    "too large": b"fffffffffffffffff\r\nx\r\n0\r\n\r\n",
    "a line feed alone": b"1\nx\r\n0\r\n\r\n",
    "a carriage return alone": b"1\rx\r\n0\r\n\r\n",
    "more octets than it says": b"1\r\nxy\r\n0\r\n\r\n",
    "no end of a chunk": b"1\r\nx0\r\n\r\n",
    "an end of a chunk with a line feed alone": b"1\r\nx\n0\r\n\r\n",
    "a line feed in an extension": b"1;a\nb\r\nx\r\n0\r\n\r\n",
    "a giant extension": b"1;" + b"a" * (256 << 10) + b"\r\nx\r\n0\r\n\r\n",
    "a trailer with a space": b"0\r\nX A: b\r\n\r\n",
    "a folded trailer": b"0\r\nX-A: b\r\n c\r\n\r\n",
    "a giant trailer": b"0\r\nX-A: " + b"b" * (256 << 10) + b"\r\n\r\n",
    "many trailers": b"0\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("smuggling"), authority) as running:
        yield running


@pytest.mark.parametrize(("said", "status"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_bad_request_is_refused_and_ends_the_connection(said: bytes, status: int, site: Site) -> None:
    with site.untouched(), site.http1() as client:
        client.try_send(said + SMUGGLED)
        assert client.answer().status == status
        assert client.rest() == b""


@pytest.mark.parametrize("said", CHUNKS.values(), ids=CHUNKS)
def test_a_bad_chunk_is_the_end_of_a_request_that_never_became_whole(said: bytes, site: Site) -> None:
    with site.http1() as client:
        client.try_send(post(CHUNKED, body=said + SMUGGLED).replace(b"/refused", b"/chunked"))
        assert client.answer().status in (0, 400)
        assert client.rest() == b""
    until(lambda: all(one.ended.is_set() for one in begun(site)))
    assert not any(request.path in ("/chunked", "/smuggled") for web in site.webs.values() for request in web.requests)
    assert b"smuggled" not in b"".join(one.heard for one in begun(site))


def begun(site: Site) -> list:
    return [one for backend in site.backends.values() for one in backend.conversations if b"POST /chunked" in one.heard]


@pytest.mark.parametrize("place", range(0, 84, 7))
def test_a_request_in_two_pieces_is_the_same_one(place: int, site: Site) -> None:
    said = get(b"https://MAIL.tgg.net.id:443/whole/%02d" % place, b"Host: evil.example\r\nX-Kept: \xe4\r\n")
    with site.http1() as client:
        client.send(said[:place])
        assert client.heard_within(0.02) == (b"",)
        client.send(said[place:])
        assert client.answer().status == 200
    request = site.asked(f"/whole/{place:02}")
    assert request.values("host") == [f"{HOSTNAME}:443"]
    assert request.value("x-kept") == "\xe4"


def test_requests_that_come_at_once_are_answered_one_by_one(site: Site) -> None:
    one = post(b"Content-Length: 3\r\n").replace(b"/refused", b"/pipelined")
    with site.answering("/pipelined", echoes), site.http1() as client:
        client.send(b"".join(one + b"%03d" % number for number in range(100)))
        assert [client.answer().body for _ in range(100)] == [b"%03d" % number for number in range(100)]


def test_what_may_stand_around_a_request_changes_nothing(site: Site) -> None:
    """RFC 9112, section 2.2 and RFC 9110, section 5.6.3: an empty line before it, and white space around values."""
    with site.http1() as client:
        client.send(b"\r\n" + get(b"/allowed", HOST + b"X-A:\t b \t\r\nX-Empty:\r\n"))
        assert client.answer().status == 200
    request = site.asked("/allowed")
    assert (request.value("x-a"), request.value("x-empty")) == ("b", "")
