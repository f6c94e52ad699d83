"""Bodies both ways, by HTTP/1.1 and HTTP/2: whole, as they come, and without filling memory."""

from __future__ import annotations

import hashlib
from random import randbytes
from typing import TYPE_CHECKING

import pytest

from servers.fake_web import Events, echoes, in_chunks, says, streams
from servers.http_client import basic
from servers.process import resident_bytes
from servers.site import SITI, Site
from servers.waiting import until

if TYPE_CHECKING:
    from servers.http_client import Http1, Http2

MEGABYTE = 1_000_000
BUFFERED = 8 * MEGABYTE
"""What a process may grow by for a body of a hundred."""
both = pytest.mark.parametrize("version", ["http1", "http2"])


def connected(site: Site, version: str) -> Http1 | Http2:
    return site.http1() if version == "http1" else site.http2()


@both
def test_20_megabytes_go_up_and_come_back(version: str, site: Site) -> None:
    film = randbytes(20 * MEGABYTE)
    with site.answering("/up", echoes), connected(site, version) as client:
        answer = client.request("POST", "/up", body=film)
    assert answer.status == 200
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(film).digest()


@both
def test_100_megabytes_come_down_through_little_memory(version: str, site: Site) -> None:
    pid = site.zproxy.process.pid
    with site.answering("/film", streams(100 * MEGABYTE)), connected(site, version) as client:
        assert client.get("/").status == 200
        before = resident_bytes(pid)
        answer = client.get("/film")
        assert len(answer.body) == 100 * MEGABYTE
        assert resident_bytes(pid) < before + BUFFERED


@both
def test_a_slow_reader_holds_the_server_and_not_memory(version: str, site: Site) -> None:
    pid, path = site.zproxy.process.pid, f"/held/{version}"
    with site.answering(path, streams(100 * MEGABYTE)), connected(site, version) as client:
        before = resident_bytes(pid)
        client.begin("GET", path, **({"end": True} if version == "http2" else {}))
        request = site.asked(path)
        assert not request.conversation.ended.wait(1), "all of it was taken"
        assert resident_bytes(pid) < before + BUFFERED
    assert request.conversation.ended.wait(10), "the client's end was not noticed"


def test_a_chunked_body_goes_on_with_its_trailers(site: Site) -> None:
    with site.answering("/chunks", echoes), site.http1() as client:
        client.begin("POST", "/chunks", "Transfer-Encoding: chunked", "Trailer: X-Sum")
        client.send(b"3\r\nabc\r\n2;extension=1\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n")
        assert client.answer().body == b"abcde"
    request = site.asked("/chunks")
    assert request.value("trailer") == "X-Sum"
    assert request.trailers.lower() == b"x-sum: 5\r\n"


@both
def test_the_trailers_of_an_answer_come_to_who_takes_them(version: str, site: Site) -> None:
    answers = in_chunks([b"abc", b"de"], "Trailer: X-Sum", trailers=b"X-Sum: 5\r\n")
    with site.answering("/trailers", answers), connected(site, version) as client:
        takes = "TE: trailers" if version == "http1" else ("te", "trailers")
        answer = client.get("/trailers", takes)
    assert answer.body == b"abcde"
    assert answer.trailers == [("x-sum", "5")]


def test_an_expectation_is_met_before_the_body_comes(site: Site) -> None:
    with site.answering("/expected", echoes), site.http1() as client:
        client.begin("PUT", "/expected", "Expect: 100-continue", "Content-Length: 4")
        assert client.head() == (100, [])
        client.send(b"body")
        assert client.answer().body == b"body"


def test_a_server_that_does_not_want_the_body_is_heard_without_it(site: Site) -> None:
    """RFC 9110, section 10.1.1; the connection cannot go on, for nobody knows whether the body still comes."""
    with site.untouched(), site.http1() as client:
        client.begin("PUT", "/x", "Expect: 200-ok", "Content-Length: 4")
        assert client.answer().status == 417
        assert client.rest() == b""


@both
def test_a_head_tells_the_length_and_brings_nothing(version: str, site: Site) -> None:
    with site.answering("/headed", says(200, b"12345", "X-Kind: text")), connected(site, version) as client:
        answer = client.request("HEAD", "/headed")
        assert (answer.status, answer.value("content-length"), answer.body) == (200, "5", b"")
        assert client.get("/headed").body == b"12345", "the connection goes on"


@both
@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_none(status: int, version: str, site: Site) -> None:
    with site.answering("/empty", says(status, b"", 'ETag: "a"')), connected(site, version) as client:
        answer = client.get("/empty")
        assert (answer.status, answer.value("etag"), answer.body) == (status, '"a"', b"")
        assert client.get("/").status == 200, "the connection goes on"


@both
def test_a_range_is_the_servers_to_cut(version: str, site: Site) -> None:
    part = says(206, b"bc", "Content-Range: bytes 1-2/5")
    path = f"/range/{version}"
    with site.answering(path, part), connected(site, version) as client:
        fields = [("range", "bytes=1-2"), ("if-range", "x")]
        answer = client.get(path, *(fields if version == "http2" else map(": ".join, fields)))
    assert (answer.status, answer.value("content-range"), answer.body) == (206, "bytes 1-2/5", b"bc")
    request = site.asked(path)
    assert (request.value("range"), request.value("if-range")) == ("bytes=1-2", "x")


def test_events_come_as_they_happen(site: Site) -> None:
    events = Events()
    with site.answering("/events", events), site.http1() as client:
        client.begin("GET", "/events", "Accept: text/event-stream")
        assert client.head()[0] == 200
        for number in range(3):
            assert client.heard_within(0.1) == (b"",)
            events.going.release()
            assert client.chunk() == b"data: %d\n\n" % number


def test_events_come_as_they_happen_in_http2(site: Site) -> None:
    events = Events()
    with site.answering("/events2", events), site.http2() as client:
        stream = client.begin("GET", "/events2", ("accept", "text/event-stream"), end=True)
        for number in range(3):
            events.going.release()
            until(lambda number=number: client.hear() and client.said(stream).endswith(b"data: %d\n\n" % number))
        other = client.get("/")
        assert other.status == 200, "one that waits keeps no other from being answered"


def test_many_at_once_on_one_connection_do_not_mix(site: Site) -> None:
    with site.answering("/echo", echoes), site.http2() as client:
        streams = [client.begin("POST", "/echo", ("authorization", f"Bearer {number}")) for number in range(50)]
        for stream in reversed(streams):
            client.say(stream, b"%d" % stream)
        assert [client.answer(stream).body for stream in streams] == [b"%d" % stream for stream in streams]


def test_the_record_counts_both_ways(site: Site) -> None:
    with site.answering("/counted", says(200, b"abc")), site.http1() as client:
        client.request("PUT", "/counted?secret=1", f"Authorization: {basic(SITI)}", body=b"12345")
    (record,) = until(lambda: [one for one in site.zproxy.records() if one.get("path") == "/counted"])
    told = {key: record[key] for key in ("event", "method", "status", "from_client", "from_backend", "backend")}
    assert told == {
        "event": "request",
        "method": "PUT",
        "status": 200,
        "from_client": 5,
        "from_backend": 3,
        "backend": "one",
    }
    assert (record["account"], record["recognised"]) == (SITI, "basic")
    assert "secret" not in site.zproxy.records_file.read_text()
