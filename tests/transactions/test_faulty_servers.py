"""Servers that fail at any step of a transaction: a failure that may pass, soon, and nothing but that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.failing import failing, says
from servers.fake_receiver import Receiver
from servers.front import TIMEOUTS
from servers.post import SITI, Post

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.failing import Fault
    from servers.fake_backend import Conversation

QUICK = TIMEOUTS | {"backend_login": "300ms", "backend_stall": "300ms", "backend_verdict": "300ms"}
PLACES = ("greeting", "EHLO", "XCLIENT", "second EHLO", "MAIL", "RCPT", "DATA", "message")
"""What a server that is told of clients by XCLIENT says, in order."""
LATER = b"451 4.4.2 The server of this mailbox does not answer, please try again later.\r\n"


FAULTS: dict[str, Fault] = {
    "closes": lambda conversation: conversation.close(),
    "resets": lambda conversation: conversation.reset(),
    "stalls": lambda conversation: conversation.hold(),
    "half a line": says(b"250 2.0"),
    "a line without end": says(b"2" * (64 << 10)),
    "a reply without end": says(*[b"250-x\r\n" * 1000] * 100),
    "64 KiB of reply": says(b"".join(b"250-" + b"x" * 1000 + b"\r\n" for _ in range(65)) + b"250 x\r\n"),
    "two codes": says(b"250-a\r\n550 b\r\n"),
    "no code": says(b"\xff\xfe what?\r\n"),
    "a CR": says(b"250 a\rb\r\n"),
    "a NUL": says(b"250 a\0b\r\n"),
    "an LF": says(b"250 a\n"),
    "a question": says(b"334 \r\n"),
    "421": says(b"421 4.3.2 I go\r\n"),
}


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    with Post(tmp_path_factory.mktemp("faulty"), timeouts=QUICK) as running:
        yield running


def answered(post: Post) -> list[bytes]:
    """Bring a message as far as it goes; return what was said of recipient, DATA and message."""
    client, told = post.begun("mx", SITI)
    with client:
        if told[-1].startswith(b"250 "):
            told.append(client.ask(b"DATA\r\n"))
        if told[-1].startswith(b"354 "):
            told.append(client.ask(b"Hi.\r\n.\r\n"))
        assert client.ask(b"NOOP\r\n") == b"250 2.0.0 Ok.\r\n", "the session goes on"
    return told


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_fault_is_told_as_one_that_may_pass(place: str, fault: str, post: Post) -> None:
    at = PLACES.index(place)
    post.backends["mx"].behaviour = failing(Receiver(), at, FAULTS[fault])
    told = answered(post)
    before = {"DATA": [b"250 "], "message": [b"250 ", b"354 "]}.get(place, [])
    assert [line[:4] for line in told] == [*before, b"451 "], told
    assert told[-1] == (b"451 4.3.2 I go\r\n" if fault == "421" and at > PLACES.index("second EHLO") else LATER)
    # What it should not have answered, it took no message for.
    post.backends["mx"].behaviour = Receiver()
    assert answered(post)[-1] == b"250 2.0.0 taken\r\n"


@pytest.mark.parametrize("place", ["RCPT", "message"])
def test_octets_beyond_ascii_are_left_out(place: str, post: Post) -> None:
    reply = says(b"550 5.7.1 d\xc3\xa9sol\xe9 \x1b[31m\x07\r\n")
    post.backends["mx"].behaviour = failing(Receiver(), PLACES.index(place), reply)
    assert answered(post)[-1] == b"550 5.7.1 dsol [31m\r\n"


def test_what_is_said_before_the_dot_is_no_verdict(post: Post) -> None:
    """Else a message that was refused would count as taken, and be gone."""

    def hasty(conversation: Conversation) -> bytes:
        said = conversation.octets(5)
        conversation.send(b"250 2.0.0 taken\r\n")
        return said + conversation.through(b"\r\n.\r\n")

    receiver = post.backends["mx"].behaviour = Receiver(read=hasty, verdict=b"554 5.7.1 no\r\n")
    client, _ = post.begun("mx", SITI)
    with client:
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        client.send(b"Hi!\r\n")
        server = post.backends["mx"].conversations[-1]
        # By the next piece it has heard it.
        assert client.heard_within(0.2) is not None
        assert client.ask(b"Ho!\r\n.\r\n") == LATER
    assert server.ended.wait(10)
    assert not receiver.messages


def test_why_a_server_stops_reading_is_told(post: Post) -> None:
    def full(conversation: Conversation) -> bytes:
        said = conversation.octets(5)
        conversation.send(b"552 5.3.4 too much\r\n")
        conversation.ignore()
        return said

    post.backends["mx"].behaviour = Receiver(read=full)
    client, _ = post.begun("mx", SITI)
    with client:
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        client.send(b"x" * 998 + b"\r\n")
        client.send((b"x" * 998 + b"\r\n") * 900)
        assert client.ask(b".\r\n") == b"552 5.3.4 too much\r\n"


def test_who_lives_on_one_server_of_a_group_gets_no_mail_by_another(tmp_path: Path) -> None:
    """Not even when a message for others of the group, who may live on any, has tried it first."""
    post = Post(tmp_path)
    config = post.zproxy.config
    config["groups"] = [{"name": "farm", "kind": "stateless"}]
    # It is tried before the other, but for one time in a thousand.
    weights = {"one": 1000, "two": 1}
    for backend in config["backends"][1:]:
        backend |= {"group": "farm", "weight": weights[backend["name"]]}
    (tmp_path / "accounts.csv").write_text(f"account,home\nanybody@tgg.net.id,farm\n{SITI},one\n")
    with post, post.backends["one"].down():
        client, answers = post.begun("lmtp", "anybody@tgg.net.id", SITI)
        with client:
            assert [answer[:4] for answer in answers] == [b"250 ", b"451 "]
        (record,) = post.transactions_from(client.address)
        assert record["backends"] == ["two", "one"]
