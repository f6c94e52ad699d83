"""Mail of the world: whose is taken, where it goes, and what each recipient's sender is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.fake_receiver import Receiver
from servers.post import BUDI, SATRIO, SITI, Post
from servers.waiting import until
from servers.zproxy import Zproxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MESSAGE = b"Subject: x\r\n\r\n..dot\r\nHi.\r\n"


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    with Post(tmp_path_factory.mktemp("mx")) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_taken(post: Post) -> None:
    for name, receiver in post.receivers.items():
        fresh = Receiver(lmtp=receiver.lmtp)
        post.receivers[name] = post.backends[name].behaviour = fresh


def test_a_message_arrives_with_the_client_s_address_and_every_octet(post: Post) -> None:
    client, answers = post.begun("mx", SITI, SATRIO)
    with client:
        assert answers == [b"250 2.1.0 Ok\r\n"] * 2
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        assert client.ask(MESSAGE + b".\r\n") == b"250 2.0.0 taken\r\n"
        assert client.ask(b"QUIT\r\n").startswith(b"221 ")
    taken = post.taken("mx")
    assert (taken.sender, taken.recipients) == (b"world@example.org", (SITI.encode(), SATRIO.encode()))
    assert taken.data == MESSAGE + b".\r\n"
    heard = post.backends["mx"].conversations[-1].heard
    assert f"ADDR={client.address}\r\n".encode() in heard
    assert b" PROTO=ESMTP HELO=client.example " in heard
    (record,) = post.transactions_from(client.address)
    told = {key: record[key] for key in ("from", "recipients", "refused", "size", "backends", "outcome")}
    assert told == {
        "from": "world@example.org",
        "recipients": 2,
        "refused": 0,
        "size": len(MESSAGE),
        "backends": ["mx"],
        "outcome": "delivered",
    }
    assert post.zproxy.record_from(client.address)["from_client"] == len(MESSAGE)


@pytest.mark.parametrize(
    ("recipient", "answer"),
    [
        ("nobody@tgg.net.id", b"250 2.1.0 Ok\r\n"),
        ("rahayu@tgg.net.id", b"250 2.1.0 Ok\r\n"),
        ("siti+news@tgg.net.id", b"250 2.1.0 Ok\r\n"),
        ("anybody@alias.example", b"250 2.1.0 Ok\r\n"),
        ("locked@tgg.net.id", b"250 2.1.0 Ok\r\n"),
        ("Postmaster", b"250 2.1.0 Ok\r\n"),
        ("closed@tgg.net.id", b"550 5.2.1 This mailbox is closed.\r\n"),
        ("resting@tgg.net.id", b"450 4.2.1 This mailbox is in maintenance, please try again later.\r\n"),
        ("world@example.org", b"554 5.7.1 We take no mail for this domain.\r\n"),
        ("postmaster@example.org", b"554 5.7.1 We take no mail for this domain.\r\n"),
        ("siti%tgg.net.id@example.org", b"554 5.7.1 We take no mail for this domain.\r\n"),
        ("siti@[127.0.0.1]", b"554 5.7.1 We take no mail for this domain.\r\n"),
        ("@example.org:siti@tgg.net.id", b"501 5.1.3 That is no recipient address.\r\n"),
        ("siti", b"501 5.1.3 That is no recipient address.\r\n"),
    ],
)
def test_only_the_directory_s_domains_are_taken(post: Post, recipient: str, answer: bytes) -> None:
    client, answers = post.begun("mx", recipient)
    with client:
        assert answers == [answer]


def test_a_recipient_is_told_what_his_server_says_and_the_next_one_too(post: Post) -> None:
    post.receivers["mx"].replies = {
        SITI.encode(): b"250-2.1.5 very\r\n250 2.1.5 well\r\n",
        BUDI.encode(): b"452 4.2.2 full\r\n",
        SATRIO.encode(): b"550-5.7.1 no\x1b[31m\r\n550 5.7.1 thanks\r\n",
        b"widi@gec-course.com": b"421 4.3.2 I go\r\n",
    }
    client, answers = post.begun("mx", SITI, BUDI, SATRIO, "widi@gec-course.com")
    with client:
        assert answers == [
            b"250 2.1.5 very well\r\n",
            b"452 4.2.2 full\r\n",
            b"550 5.7.1 no[31m thanks\r\n",
            b"451 4.3.2 I go\r\n",
        ]


def test_a_sender_that_the_server_refuses_is_told_at_each_recipient(post: Post) -> None:
    post.receivers["mx"].replies = {b"MAIL": b"550 5.7.27 no null MX\r\n"}
    client, answers = post.begun("mx", SITI, BUDI)
    with client:
        assert answers == [b"550 5.7.27 no null MX\r\n"] * 2
        assert client.ask(b"DATA\r\n") == b"503 5.5.1 No valid recipients.\r\n"


def test_what_the_server_says_of_the_message_is_told(post: Post) -> None:
    post.receivers["mx"].verdict = b"554 5.7.1 spam\r\n"
    assert post.sent("mx", SITI) == [b"554 5.7.1 spam\r\n"]
    post.receivers["mx"].replies = {b"DATA": b"451 4.7.1 greylisted\r\n"}
    client, _ = post.begun("mx", SITI)
    with client:
        assert client.ask(b"DATA\r\n") == b"451 4.7.1 greylisted\r\n"
        assert client.ask(b"MAIL FROM:<>\r\n") == b"250 2.1.0 Ok.\r\n"


def test_a_server_that_dies_after_the_dot_is_a_temporary_failure(post: Post) -> None:
    post.receivers["mx"].verdict = None
    (answer,) = post.sent("mx", SITI)
    assert answer.startswith(b"451 4.4.2 ")


def test_a_server_that_is_down_is_a_temporary_failure(post: Post) -> None:
    with post.backends["mx"].down():
        client, answers = post.begun("mx", SITI, BUDI)
        with client:
            assert [answer[:10] for answer in answers] == [b"451 4.4.2 "] * 2
    (record,) = post.transactions_from(client.address)
    assert (record["outcome"], record["refused"]) == ("aborted", 2)
    assert "connection failed" in record["error"]


def test_transactions_follow_each_other_and_each_is_routed_anew(post: Post) -> None:
    with post.client("mx") as client:
        for number in range(3):
            client.send(b"MAIL FROM:<>\r\nRCPT TO:<siti@tgg.net.id>\r\nDATA\r\n")
            assert [line[:3] for line in client.lines(3)] == [b"250", b"250", b"354"]
            assert client.ask(b"Subject: %d\r\n.\r\n" % number) == b"250 2.0.0 taken\r\n"
            assert client.ask(b"RSET\r\n") == b"250 2.0.0 Ok.\r\n"
    until(lambda: len(post.receivers["mx"].messages) == 3)
    assert [message.data for message in post.receivers["mx"].messages] == [
        b"Subject: %d\r\n.\r\n" % number for number in range(3)
    ]


def test_pipelining_may_be_split_anywhere(post: Post) -> None:
    said = b"MAIL FROM:<> SIZE=9\r\nRCPT TO:<siti@tgg.net.id>\r\nRCPT TO:<x@example.org>\r\nDATA\r\n"
    # What follows 354 is the message's, and nobody may send it before.
    for at in range(1, len(said)):
        with post.client("mx") as client:
            client.send(said[:at])
            client.send(said[at:])
            codes = [line[:3] for line in client.lines(4)]
            assert codes == [b"250", b"250", b"554", b"354"], at
            client.send(b"Hi.\r\n.\r\nQUIT\r\n")
            assert [line[:3] for line in client.lines(2)] == [b"250", b"221"]
    assert {message.data for message in post.receivers["mx"].messages} == {b"Hi.\r\n.\r\n"}


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"AUTH PLAIN AHgAeA==", b"502 5.5.1 Command not implemented.\r\n"),
        (b"ETRN tgg.net.id", b"502 5.5.1 Command not implemented.\r\n"),
        (b"TURN", b"502 5.5.1 Command not implemented.\r\n"),
        (b"XCLIENT ADDR=192.0.2.1", b"550 5.7.1 That is for proxies only.\r\n"),
        (b"XFORWARD ADDR=192.0.2.1", b"550 5.7.1 That is for proxies only.\r\n"),
        (b"BDAT 6\r\nQUIT", b"502 5.5.1 Command not implemented.\r\n"),
        (b"LHLO x", b"500 5.5.2 Unknown command.\r\n"),
        (b"STARTTLS", b"502 5.5.1 TLS is not offered here.\r\n"),
        (b"VRFY siti", b"252 2.0.0 Send it and see.\r\n"),
        (b"DATA", b"503 5.5.1 Say MAIL first.\r\n"),
        (b"RCPT TO:<siti@tgg.net.id>", b"503 5.5.1 Say MAIL first.\r\n"),
        (b"MAIL FROM:siti", b"501 5.1.7 That is no sender address.\r\n"),
        (b"MAIL FROM:<> SIZE=1000001", b"552 5.3.4 Message is too large.\r\n"),
        (b"MAIL FROM:<> AUTH=<>", b"555 5.5.4 Unknown parameter, or one that was not offered.\r\n"),
        (b"EHLO a\x01b", b"501 5.5.2 That is not the name of a host.\r\n"),
    ],
)
def test_what_nobody_needs_who_brings_mail_is_refused(post: Post, said: bytes, answer: bytes) -> None:
    with post.client("mx") as client:
        assert client.ask(said + b"\r\n") == answer
        assert client.ask(b"NOOP\r\n") == b"250 2.0.0 Ok.\r\n"


def test_what_all_servers_can_do_is_offered_and_no_chunking(post: Post) -> None:
    with post.client("mx") as client:
        offered = post.offered(client, "mx")
    assert offered == ["PIPELINING", "SIZE 1000000", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN"]


def test_parameters_reach_the_server_as_they_were_said(post: Post) -> None:
    with post.client("mx") as client:
        assert client.ask(b"MAIL FROM:<a@b.example> BODY=8BITMIME RET=HDRS ENVID=x+2By\r\n").startswith(b"250")
        assert client.ask(b"RCPT TO:<siti@tgg.net.id> NOTIFY=NEVER ORCPT=rfc822;a@b\r\n").startswith(b"250")
    commands = until(lambda: post.backends["mx"].conversations[-1].commands)
    assert commands == [
        b"MAIL FROM:<a@b.example> BODY=8BITMIME RET=HDRS ENVID=x+2By",
        b"RCPT TO:<siti@tgg.net.id> NOTIFY=NEVER ORCPT=rfc822;a@b",
    ]


@pytest.mark.parametrize("service", ["mx", "lmtp"])
def test_a_directory_that_knows_nobody_before_his_login_lets_no_mail_in(tmp_path: Path, service: str) -> None:
    api = {"address": f"unix:{tmp_path / 'api.sock'}"}
    # One file for both would be refused.
    post = Post(tmp_path, role="edge", api=api)
    (tmp_path / "control").mkdir()
    directory = {"auth_http": {"urls": ["http://127.0.0.1:9/"], "mode": "verify"}}
    more = {"directory": directory, "mail_domains": ["tgg.net.id"], "state_directory": str(tmp_path / "control")}
    with Zproxy(tmp_path / "control", post.zproxy.config | more, role="control"), post:
        client, answers = post.begun(service, SITI, "world@example.org")
        with client:
            assert [answer[:10] for answer in answers] == [b"451 4.3.0 "] * 2
