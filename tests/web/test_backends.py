"""Connections to backends: kept, shared or not, asked again or not, and what a client is told of those that fail."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from servers.fake_web import challenges, octets, says
from servers.http_client import basic
from servers.site import BUDI, SITI, Site
from servers.waiting import until
from servers.zproxy import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.fake_backend import Conversation
    from servers.fake_web import Request

OF_SITI, OF_BUDI = f"Authorization: {basic(SITI)}", f"Authorization: {basic(BUDI)}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Site]:
    """One thread, so that a connection that is kept is the next request's; answers are waited for a second."""
    with Site(
        tmp_path_factory.mktemp("backends"),
        authority,
        threads=1,
        timeouts={"http_response": "1s", "lookup": "5s", "connect": "5s", "shutdown": "100ms"},
        http={"idle_time": "30s"},
    ) as running:
        yield running


def breaks(_conversation: Conversation, _request: Request) -> None:
    raise ConnectionAbortedError


def hangs(conversation: Conversation, _: Request) -> None:
    conversation.through(b"\0")


def connections(site: Site, path: str) -> int:
    """Count the connections by which a path was asked for."""
    asked = [one for web in site.webs.values() for one in web.requests if one.path == path]
    return len({id(one.conversation) for one in asked})


def test_a_connection_serves_one_client_after_the_other(site: Site) -> None:
    for _ in range(5):
        with site.http1() as client:
            assert client.get("/kept", OF_BUDI).body == b"two"
    assert connections(site, "/kept") == 1


def test_requests_at_once_each_have_their_own(site: Site) -> None:
    with site.http2() as client:
        streams = [client.begin("GET", "/at-once", ("authorization", basic(SITI)), end=True) for _ in range(8)]
        assert [client.answer(stream).body for stream in streams] == [b"one"] * 8
    assert connections(site, "/at-once") >= 1


def test_a_connection_that_ntlm_logs_in_serves_nobody_else(site: Site) -> None:
    path = f"/home/{SITI}/ntlm"
    with site.answering(path, challenges("NTLM")), site.http1() as client, site.http1() as other:
        assert [client.get(path).status, client.get(path, "Authorization: NTLM a").status] == [401, 401]
        # Nobody else comes upon the connection between its owner's requests.
        assert other.get(path).value("www-authenticate") == "NTLM"
        logged_in = client.get(path, "Authorization: NTLM b")
        assert (logged_in.status, logged_in.body) == (200, b"NTLM b")
        assert client.get(path).body == b"NTLM b"
    assert connections(site, path) == 2


def test_what_is_asked_by_a_stale_connection_is_asked_again(site: Site) -> None:
    with site.http1() as client:
        assert client.get("/fresh", OF_SITI).status == 200
        conversation = site.asked("/fresh").conversation
        # The backend takes the next request by the kept connection, and closes without a word.
        asked: list[Request] = []

        def breaks_once(conversation: Conversation, request: Request) -> None:
            asked.append(request)
            if len(asked) == 1:
                raise ConnectionAbortedError
            says(200, b"again")(conversation, request)

        with site.answering("/stale", breaks_once):
            assert client.get("/stale", OF_SITI).body == b"again"
        assert asked[0].conversation is conversation
        assert asked[1].conversation is not conversation


def test_a_post_is_never_sent_twice(site: Site) -> None:
    with site.answering("/post", breaks), site.http1() as client:
        assert client.get("/", OF_SITI).status == 200
        assert client.request("POST", "/post", OF_SITI, body=b"x").status == 502
    assert site.asked("/post").body == b"x"


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        (breaks, 502),
        (octets(b"SSH-2.0-OpenSSH\r\n"), 502),
        (octets(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n"), 502),
        (octets(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n"), 502),
        (octets(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), 502),
        (octets(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), 502),
        (hangs, 504),
    ],
    ids=["breaks", "no http", "a field of 1 MiB", "10,000 fields", "two lengths", "unasked 101", "hangs"],
)
def test_a_server_that_fails_is_told_so_and_others_are_not_delayed(site: Site, answers: object, status: int) -> None:
    with site.answering("/fails", answers), site.http1() as client, site.http1() as other:  # type: ignore[arg-type]
        client.begin("GET", "/fails", OF_SITI)
        assert other.get("/", OF_SITI).body == b"one"
        answer = client.answer()
        assert (answer.status, answer.value("content-type")) == (status, "text/html; charset=utf-8")
        assert client.get("/", OF_SITI).body == b"one"


def test_an_answer_that_is_cut_short_does_not_look_whole(site: Site) -> None:
    def short(conversation: Conversation, _: Request) -> None:
        conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n")
        raise ConnectionAbortedError

    with site.answering("/short", short):
        with site.http1() as client:
            client.begin("GET", "/short", OF_SITI)
            assert client.rest().endswith(b"5\r\n12345\r\n")
        with site.http2() as client2:
            stream = client2.begin("GET", "/short", ("authorization", basic(SITI)), end=True)
            client2.answer(stream)
            assert client2.reset_of(stream) is not None
    record = until(lambda: [one for one in site.zproxy.records() if one.get("path") == "/short"])[0]
    assert record["by"] == "backend"


def test_a_member_that_is_gone_is_stepped_over(tmp_path: Path, authority: Authority) -> None:
    with Site(tmp_path, authority, groups=[{"name": "webs", "kind": "stateless"}]) as site:
        with site.http1() as client:
            first = client.get("/").body.decode()
            site.backends[first].stop()
            answers = [client.get("/").body.decode() for _ in range(5)]
        assert set(answers) == set(site.webs) - {first}


def test_a_client_stays_at_one_member(tmp_path: Path, authority: Authority) -> None:
    with Site(tmp_path, authority, groups=[{"name": "webs", "kind": "stateless"}]) as site:
        seen = set()
        for number in range(20):
            with site.http1(address=f"127.200.7.{number + 1}") as client:
                bodies = {client.get("/").body for _ in range(3)}
            with site.http1(address=f"127.200.7.{number + 1}") as client:
                bodies.add(client.get("/").body)
            assert len(bodies) == 1
            seen |= bodies
        assert seen == {b"one", b"two"}


def test_nobody_home_is_temporary_and_has_the_operators_page(tmp_path: Path, authority: Authority) -> None:
    page = tmp_path / "unavailable.html"
    page.write_text("<p>Back at noon.")
    with Site(tmp_path, authority, http={"pages": {"unavailable": str(page)}}) as site:
        change = ["pool", "update", "one", "--state", "maintenance", "--config", site.zproxy.config_file]
        subprocess.run([PROGRAM, *change], check=True, capture_output=True)
        with site.http1() as client:
            answer = until(lambda: [one for one in [client.get("/", OF_SITI)] if one.status == 503])[0]
            assert (answer.body, answer.value("retry-after")) == (b"<p>Back at noon.", "10")
            assert client.get("/", OF_BUDI).body == b"two"


def test_a_proxy_header_says_who_the_client_is_and_the_connection_is_his_alone(
    tmp_path: Path, authority: Authority
) -> None:
    with Site(tmp_path, authority, endpoints={"forward": "proxy_v1"}, threads=1) as site:
        for _ in range(2):
            with site.http1() as client:
                for _ in range(2):
                    client.get("/proxied", OF_SITI)
            told = bytes(site.backends["one"].told_of(client.address).heard)
            assert told.startswith(f"PROXY TCP4 {client.address} 127.0.0.1 ".encode())
            assert told.count(b"GET /proxied") == 2
