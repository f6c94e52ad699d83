"""A second message inside of one (CVE-2023-51764 to 51766): nothing becomes one that some server would take for it.

The servers here end a message at whatever any server ever did: a dot between CRs, LFs and CRLFs, NULs not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.fake_receiver import Receiver
from servers.post import SITI, Post
from servers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

EIGHT = [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r.\n", b"\n.\r"]
WITH_NUL = [
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\0\n.\r\n",
    b"\r\0\n.\r\n",
    b"\r\n.\r\0\n",
    b"\r\0.\r\n",
    b"\n\0.\0\n",
    b"\r\n\0\0.\0\0\r\n",
]
SECOND = b"MAIL FROM:<admin@tgg.net.id>\r\nRCPT TO:<budi@tgg.net.id>\r\nDATA\r\nSubject: smuggled\r\n\r\nHi.\r\n.\r\n"
REFUSED = b"521 5.5.2 Lines end with CRLF, and CR or LF stand nowhere else.\r\n"
BARE = [b"a\nb\r\n", b"a\rb\r\n", b"\n\r\n", b"\r\r\n"]


@pytest.fixture(scope="module", params=["reject", "pass"])
def post(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Post]:
    rule = {"bare_newline": request.param}
    with Post(tmp_path_factory.mktemp("smuggling"), mx=rule, lmtp=rule) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_taken(post: Post) -> None:
    for name, receiver in post.receivers.items():
        post.receivers[name] = post.backends[name].behaviour = Receiver(lmtp=receiver.lmtp)


@pytest.mark.parametrize("before", [b"", b"Subject: x\r\n\r\ngood"], ids=["at the start", "in the middle"])
@pytest.mark.parametrize("smuggler", EIGHT + WITH_NUL)
@pytest.mark.parametrize(("service", "home"), [("mx", "mx"), ("lmtp", "one")])
def test_nothing_ends_a_message_but_its_end(
    service: str, home: str, smuggler: bytes, before: bytes, post: Post
) -> None:
    if before + smuggler == b"\0\n.\r\n":
        before = b"x"
    client, _ = post.begun(service, SITI)
    with client:
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        client.send(before + smuggler + SECOND)
        assert client.rest() == REFUSED
    server = post.backends[home].conversations[-1]
    assert server.ended.wait(10)
    assert not post.receivers[home].messages
    assert b"smuggled" not in server.heard
    assert b"admin@" not in server.heard


def test_an_octet_at_a_time_is_the_same(post: Post) -> None:
    client, _ = post.begun("mx", SITI)
    with client:
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        for octet in b"Hi.\r\n.\r":
            client.send(bytes([octet]))
        server = post.backends["mx"].conversations[-1]
        until(lambda: server.heard.endswith(b"Hi.\r\n"))
        # The dot and the CR may be the end's, and some take them for it.
        client.send(b"x")
        assert client.rest() == REFUSED
    assert server.ended.wait(10)
    assert server.heard.endswith(b"Hi.\r\n")
    assert not post.receivers["mx"].messages


@pytest.mark.parametrize("message", BARE)
def test_a_newline_alone_is_refused_or_passed_and_never_mended(message: bytes, post: Post) -> None:
    rule = post.zproxy.config["listeners"][0]["bare_newline"]
    client, _ = post.begun("mx", SITI)
    with client:
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        client.send(message + b".\r\n")
        if rule == "reject":
            assert client.rest() == REFUSED
            assert not post.receivers["mx"].messages
        else:
            assert client.line() == b"250 2.0.0 taken\r\n"
            assert post.taken("mx").data == message + b".\r\n"
