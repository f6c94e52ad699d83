"""Mail of our own MTA: to the home of each recipient, who fails alone if his home does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.failing import failing
from servers.fake_receiver import Receiver
from servers.front import TIMEOUTS
from servers.post import BUDI, SATRIO, SITI, Post
from servers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.fake_backend import Conversation

WIDI = "widi@gec-course.com"
STALL = {"backend_login": "300ms", "backend_stall": "300ms", "backend_verdict": "300ms"}
PIECE = b"x" * 998 + b"\r\n"


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    with Post(tmp_path_factory.mktemp("lmtp")) as running:
        yield running


@pytest.fixture
def behaving(post: Post) -> Post:
    """Servers that have taken nothing yet, and do what they should."""
    for name, receiver in post.receivers.items():
        post.receivers[name] = post.backends[name].behaviour = Receiver(lmtp=receiver.lmtp)
    return post


def test_each_home_gets_the_message_for_its_own(behaving: Post) -> None:
    answers = behaving.sent("lmtp", SATRIO, SITI, WIDI, BUDI, message=b"Hi.\r\n")
    assert answers == [b"250 2.0.0 taken\r\n"] * 4
    assert behaving.taken("one").recipients == (SITI.encode(), BUDI.encode())
    assert behaving.taken("two").recipients == (SATRIO.encode(), WIDI.encode())
    assert behaving.taken("one").data == behaving.taken("two").data == b"Hi.\r\n.\r\n"


def test_after_the_dot_each_recipient_hears_of_his_own_in_order(behaving: Post) -> None:
    behaving.receivers["one"].verdict = b"452 4.2.2 full\r\n"
    assert behaving.sent("lmtp", SITI, SATRIO, BUDI, WIDI) == [
        b"452 4.2.2 full\r\n",
        b"250 2.0.0 taken\r\n",
        b"452 4.2.2 full\r\n",
        b"250 2.0.0 taken\r\n",
    ]


@pytest.mark.parametrize(
    ("recipient", "answer"),
    [
        ("nobody@tgg.net.id", b"550 5.1.1 There is no such mailbox.\r\n"),
        ("world@example.org", b"550 5.1.1 There is no such mailbox.\r\n"),
        ("Postmaster", b"550 5.1.1 There is no such mailbox.\r\n"),
        ("closed@tgg.net.id", b"550 5.2.1 This mailbox is closed.\r\n"),
        ("resting@tgg.net.id", b"450 4.2.1 This mailbox is in maintenance, please try again later.\r\n"),
        ("lost@tgg.net.id", b"451 4.3.5 Nobody has said yet which server that is for, please try again later.\r\n"),
        ("locked@tgg.net.id", b"250 2.1.0 Ok\r\n"),
    ],
)
def test_who_has_no_mailbox_is_refused(behaving: Post, recipient: str, answer: bytes) -> None:
    client, answers = behaving.begun("lmtp", recipient)
    with client:
        assert answers == [answer]


@pytest.mark.parametrize(
    ("recipient", "told"),
    [
        ("SITI@tgg.net.id", b"SITI@tgg.net.id"),
        ("siti+news@tgg.net.id", b"siti+news@tgg.net.id"),
        ('"siti"@tgg.net.id', b'"siti"@tgg.net.id'),
        ("rahayu@tgg.net.id", b"siti@tgg.net.id"),
        ("siti@alias.example", b"siti@tgg.net.id"),
    ],
)
def test_a_home_is_told_of_the_name_that_it_knows(behaving: Post, recipient: str, told: bytes) -> None:
    client, answers = behaving.begun("lmtp", recipient)
    with client:
        assert answers == [b"250 2.1.0 Ok\r\n"]
    assert behaving.backends["one"].conversations[-1].commands[-1] == b"RCPT TO:<" + told + b">"


def test_a_home_that_is_down_fails_alone(behaving: Post) -> None:
    with behaving.backends["one"].down():
        client, answers = behaving.begun("lmtp", SITI, SATRIO, BUDI)
        with client:
            assert [answer[:4] for answer in answers] == [b"451 ", b"250 ", b"451 "]
            assert client.ask(b"DATA\r\n").startswith(b"354 ")
            assert client.ask(b"Hi.\r\n.\r\n") == b"250 2.0.0 taken\r\n"


def test_a_home_that_refuses_the_data_fails_alone(behaving: Post) -> None:
    behaving.receivers["two"].replies = {b"DATA": b"451 4.3.1 no room\r\n"}
    assert behaving.sent("lmtp", SITI, SATRIO) == [b"250 2.0.0 taken\r\n", b"451 4.3.1 no room\r\n"]


def test_a_home_that_dies_after_the_dot_fails_alone(behaving: Post) -> None:
    behaving.receivers["one"].verdict = None
    answers = behaving.sent("lmtp", SITI, SATRIO, BUDI)
    assert [answer[:10] for answer in answers] == [b"451 4.4.2 ", b"250 2.0.0 ", b"451 4.4.2 "]


def test_a_home_that_dies_while_the_message_comes_fails_alone(behaving: Post) -> None:
    def dies(conversation: Conversation) -> bytes:
        conversation.octets(10)
        conversation.reset()
        return b""

    behaving.receivers["one"].read = dies
    answers = behaving.sent("lmtp", SITI, SATRIO, message=PIECE * 800)
    assert [answer[:10] for answer in answers] == [b"451 4.4.2 ", b"250 2.0.0 "]


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    with Post(tmp_path_factory.mktemp("impatient"), timeouts=TIMEOUTS | STALL) as running:
        yield running


@pytest.mark.parametrize("message", [PIECE * 900, b"Hi.\r\n"], ids=["more than the kernel takes", "behind the dot"])
def test_a_home_that_stalls_fails_alone_at_its_deadline(message: bytes, impatient: Post) -> None:
    def stalls(conversation: Conversation) -> bytes:
        conversation.ignore()
        return b""

    impatient.backends["one"].behaviour = Receiver(lmtp=True, read=stalls)
    answers = impatient.sent("lmtp", SITI, SATRIO, BUDI, message=message)
    assert [answer[:10] for answer in answers] == [b"451 4.4.2 ", b"250 2.0.0 ", b"451 4.4.2 "]
    assert impatient.receivers["two"].messages.pop().data == message + b".\r\n"


@pytest.mark.parametrize("place", ["greeting", "LHLO", "MAIL", "RCPT", "DATA"])
def test_a_home_that_stalls_before_the_message_costs_its_own_alone(place: str, impatient: Post) -> None:
    at = ("greeting", "LHLO", "MAIL", "RCPT", "second RCPT", "DATA").index(place)
    impatient.backends["one"].behaviour = failing(Receiver(lmtp=True), at, lambda home: home.hold())
    client, answers = impatient.begun("lmtp", SITI, SATRIO, BUDI)
    with client:
        home = b"250 " if place == "DATA" else b"451 "
        assert [answer[:4] for answer in answers] == [home, b"250 ", home]
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        client.send(b"Hi.\r\n.\r\n")
        told = client.lines(3 if place == "DATA" else 1)
    assert [line[:4] for line in told] == ([b"451 ", b"250 ", b"451 "] if place == "DATA" else [b"250 "])
    assert impatient.receivers["two"].messages.pop().recipients == (SATRIO.encode(),)


def test_a_client_that_leaves_before_the_dot_leaves_no_message(behaving: Post) -> None:
    for leave in ("close", "reset"):
        client, _ = behaving.begun("lmtp", SITI, SATRIO)
        with client:
            assert client.ask(b"DATA\r\n").startswith(b"354 ")
            client.send(PIECE * 100 + b".")
            homes = [behaving.backends[name].conversations[-1] for name in ("one", "two")]
            until(lambda homes=homes: all(len(home.heard) > len(PIECE) * 99 for home in homes))
            if leave == "reset":
                client.reset()
        for home in homes:
            assert home.ended.wait(10)
            assert not home.heard.endswith((b".", b".\r\n"))
        (record,) = behaving.transactions_from(client.address)
        assert record["outcome"] == "aborted"
    assert not behaving.receivers["one"].messages + behaving.receivers["two"].messages


def test_ehlo_is_not_lmtp(behaving: Post) -> None:
    with behaving.client("lmtp") as client:
        assert client.ask(b"EHLO x\r\n") == b"500 5.5.1 This is LMTP: say LHLO.\r\n"
        assert client.ask(b"HELO x\r\n") == b"500 5.5.1 This is LMTP: say LHLO.\r\n"


def test_a_message_for_nobody_is_refused(behaving: Post) -> None:
    client, _ = behaving.begun("lmtp", "nobody@tgg.net.id")
    with client:
        assert client.ask(b"DATA\r\n") == b"503 5.5.1 No valid recipients.\r\n"
