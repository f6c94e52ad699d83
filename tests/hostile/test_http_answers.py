"""Answers of HTTP that are wrong, or that two clients would read differently: nobody gets one that is not his."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.fake_web import octets, says
from servers.front import TIMEOUTS
from servers.http_client import basic
from servers.site import SITI, Site
from servers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.fake_backend import Conversation
    from servers.fake_web import Answers, Request
    from servers.http_client import Answer

OF_SITI = f"Authorization: {basic(SITI)}"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\n\r\n"
BAD: dict[str, bytes] = {
    "HTTP/0.9": b"<h1>Hello</h1>\r\n\r\n",
    "another version": b"HTTP/2.0 200 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a length with a sign": OK + b"Content-Length: +1\r\n\r\nx",
    "a length that is none": OK + b"Content-Length: x\r\n\r\nx",
    "a length beyond 64 bits": OK + b"Content-Length: 99999999999999999999\r\n\r\nx",
    "a length beside chunks": OK + b"Content-Length: 3\r\n" + CHUNKED,
    "a NUL in a value": OK + b"X-A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "a carriage return in a value": OK + b"X-A: b\rSet-Cookie: c\r\nContent-Length: 0\r\n\r\n",
    "a space in a name": OK + b"X A: b\r\nContent-Length: 0\r\n\r\n",
    "no colon": OK + b"X-A\r\nContent-Length: 0\r\n\r\n",
    "half a head": OK + b"X-A: b\r\n",
    "half a line": b"HTTP/1.1 200",
    "a head of 1 MiB": OK + b"".join(b"X-%d: b\r\n" % number for number in range(1 << 16)) + b"\r\n",
    "interim answers without end": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100_000,
}
CUT: dict[str, bytes] = {
    "a length that is too long": OK + b"Content-Length: 100\r\n\r\nshort",
    "a chunk that is too long": OK + b"Transfer-Encoding: chunked\r\n\r\n64\r\nshort",
    "no last chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
    "a size that is none": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nx\r\n",
    "a size beyond 64 bits": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nfffffffffffffffff\r\n",
    "more than the size": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nshortx\r\n0\r\n\r\n",
}
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
MORE: dict[str, bytes] = {
    "a second answer": OK + b"Content-Length: 4\r\n\r\nmine" + POISON,
    "octets behind the length": OK + b"Content-Length: 4\r\n\r\nmineand more",
    "octets behind the last chunk": OK + CHUNKED + POISON,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Site]:
    """One thread, so that a connection that is kept is the next request's."""
    timeouts = TIMEOUTS | {"http_response": "1s"}
    with Site(tmp_path_factory.mktemp("answers"), authority, threads=1, timeouts=timeouts) as running:
        yield running


def once(said: bytes) -> Answers:
    """Say it, and go."""

    def answer(conversation: Conversation, _: Request) -> None:
        conversation.send(said)
        raise ConnectionAbortedError

    return answer


def asked(site: Site, path: str) -> Answer:
    with site.http1() as client:
        return client.get(path, OF_SITI)


@pytest.mark.parametrize("said", BAD.values(), ids=BAD)
def test_what_is_no_answer_is_a_fault_of_the_server(said: bytes, site: Site) -> None:
    with site.answering("/bad", once(said)):
        assert asked(site, "/bad").status == 502
    assert asked(site, "/").body == b"one"


@pytest.mark.parametrize("said", CUT.values(), ids=CUT)
def test_half_an_answer_is_never_taken_for_a_whole_one(said: bytes, site: Site) -> None:
    with site.answering("/cut", once(said)), site.http1() as client, site.http2() as client2:
        client.begin("GET", "/cut", OF_SITI)
        heard = client.rest()
        assert heard.startswith(b"HTTP/1.1 200 OK\r\n")
        assert not heard.endswith(b"0\r\n\r\n")
        stream = client2.begin("GET", "/cut", ("authorization", basic(SITI)), end=True)
        client2.answer(stream)
        assert client2.reset_of(stream) is not None


@pytest.mark.parametrize("said", MORE.values(), ids=MORE)
def test_what_is_behind_an_answer_is_nobodys(said: bytes, site: Site) -> None:
    with site.answering("/more", octets(said)):
        for _ in range(3):
            assert asked(site, "/more").body == b"mine"
            assert asked(site, "/").body == b"one"


def test_what_comes_before_it_was_asked_for_is_nobodys(site: Site) -> None:
    """A server that says something on a connection which waits for the next request."""

    def answers(conversation: Conversation, request: Request) -> None:
        says(200, b"mine")(conversation, request)
        conversation.send(POISON)

    with site.answering("/early", answers):
        for _ in range(5):
            assert asked(site, "/early").body == b"mine"
            assert asked(site, "/").body == b"one"


def test_an_answer_that_comes_before_the_body_ends_does_not_mix_with_the_next(site: Site) -> None:
    """The server has had enough: what is left of the body must not be a request to it."""

    def refuses(conversation: Conversation, request: Request) -> None:
        says(413, b"too much")(conversation, request)

    site.webs["one"].heads["/early-answer"] = refuses
    rest = b"GET /smuggled HTTP/1.1\r\nHost: mail.tgg.net.id\r\n\r\n" * 100
    with site.http1() as client:
        client.begin("POST", "/early-answer", OF_SITI, f"Content-Length: {len(rest)}")
        assert client.answer().status == 413
        client.try_send(rest)
    assert asked(site, "/").body == b"one"
    until(lambda: all(one.ended.is_set() for one in site.backends["one"].conversations if b"early-answer" in one.heard))
    assert not any(request.path == "/smuggled" for request in site.webs["one"].requests)
