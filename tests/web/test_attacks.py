"""What a client would do to the connections behind: each attack here once worked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from servers.fake_web import challenges, streams
from servers.front import TIMEOUTS
from servers.http_client import basic
from servers.site import SITI, Site
from servers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.fake_backend import Conversation
    from servers.fake_web import Request

WEBSOCKET = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Site]:
    timeouts = TIMEOUTS | {"http_response": "500ms", "http_stall": "1s"}
    with Site(tmp_path_factory.mktemp("site"), authority, timeouts=timeouts) as running:
        yield running


def holds(conversation: Conversation, _: Request) -> None:
    """Never answer."""
    conversation.hold()


def test_a_websocket_that_nobody_answers_is_not_waited_for(site: Site) -> None:
    with site.answering("/silent", holds), site.http1() as client:
        client.begin("GET", "/silent", *WEBSOCKET)
        assert client.answer().status == 504
        until(site.asked("/silent").conversation.ended.is_set)


@pytest.mark.parametrize("leaves", ["reset", "half_close"])
def test_who_leaves_before_the_answer_is_not_served_on(site: Site, leaves: str) -> None:
    path = f"/Microsoft-Server-ActiveSync/{leaves}"
    with site.answering(path, holds), site.http1() as client:
        client.begin("GET", path, "Accept: text/event-stream", f"Authorization: {basic(SITI)}")
        conversation = site.asked(path).conversation
        getattr(client, leaves)()
        until(conversation.ended.is_set, seconds=5)


def test_bodies_that_are_broken_off_count_as_requests_that_are(site: Site) -> None:
    with site.http2() as client:

        def is_stopped() -> bool:
            stream = client.begin("POST", "/flood")
            client.protocol.reset_stream(stream)
            client.flush()
            return client.heard_within(0.005) is None

        until(is_stopped)


def test_a_stream_whose_client_opens_no_window_does_not_hold_its_backend(site: Site) -> None:
    with site.answering("/large", streams(8 << 20)), site.http2() as client:
        client.protocol.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        stream = client.begin("GET", "/large", end=True)
        until(site.asked("/large").conversation.ended.is_set)
        assert client.answer(stream).status == 200
        assert client.reset_of(stream) == ErrorCodes.CANCEL
        (record,) = until(lambda: [one for one in site.zproxy.records() if one.get("path") == "/large"])
        assert record["error"] == "client was too slow at reading our answer"


def test_who_logs_in_by_a_connection_through_a_proxy_lets_nobody_else_in(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> None:
    with (
        Site(tmp_path_factory.mktemp("proxied"), authority, http={"trusted_proxies": ["127.0.0.0/8"]}) as site,
        site.answering("/ntlm", challenges("NTLM")),
        site.http1() as proxy,
    ):
        for token in ("NTLM a", "NTLM b"):
            proxy.get("/ntlm", "X-Forwarded-For: 192.0.2.1", f"Authorization: {token}")
        # One of them goes to the same server.
        others = [proxy.get("/ntlm", f"X-Forwarded-For: 192.0.2.{host}") for host in range(2, 10)]
        assert {(answer.status, answer.body) for answer in others} == {(401, b"who?")}
