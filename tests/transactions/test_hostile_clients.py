"""Clients that want more than to bring mail: to relay, to be somebody else, to stay, to fill the memory."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING

import pytest

from servers.fake_receiver import Receiver
from servers.front import TIMEOUTS
from servers.post import HELLO, SITI, Post
from servers.process import resident_bytes
from servers.raw_client import RawClient
from servers.zproxy import listener
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority

IDLE = 1.0
MEGABYTE = 1 << 20
CAPABILITIES = ("PIPELINING", "8BITMIME", "DSN", "SMTPUTF8")
LARGEST = MEGABYTE
RECIPIENT, SENDER = b"501 5.1.3 That is no recipient address.\r\n", b"501 5.1.7 That is no sender address.\r\n"
ELSEWHERE = b"554 5.7.1 We take no mail for this domain.\r\n"
PARAMETER = b"555 5.5.4 Unknown parameter, or one that was not offered.\r\n"
ARGUMENTS = b"501 5.5.4 Missing or superfluous argument.\r\n"
UTF8 = b"553 5.6.7 Addresses beyond ASCII need SMTPUTF8.\r\n"
TOO_LARGE = b"552 5.3.4 Message is too large.\r\n"
NUL = b"500 5.5.2 A line holds no NUL.\r\n"
LINE_END = b"500 5.5.2 A line ends with CRLF and holds no other CR or LF.\r\n"


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Post]:
    directory = tmp_path_factory.mktemp("hostile")
    listeners = [
        listener("mx", "mx", "off"),
        listener("lmtp", "lmtp", "off"),
        listener("mx_tls", "mx", "starttls_optional"),
    ]
    limits = {"recipients": 10, "message_size": LARGEST, "bad_commands": 40}
    post = Post(
        directory,
        listeners=listeners,
        certificates=[authority.issue(HOSTNAME).config],
        timeouts=TIMEOUTS | {"mx_idle": f"{IDLE}s", "message": f"{2 * IDLE}s"},
        limits=limits,
    )
    for receiver in post.receivers.values():
        receiver.capabilities = CAPABILITIES
    with post as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_taken(post: Post) -> None:
    for name, receiver in post.receivers.items():
        fresh = Receiver(lmtp=receiver.lmtp, capabilities=CAPABILITIES)
        post.receivers[name] = post.backends[name].behaviour = fresh


@pytest.mark.parametrize(
    ("argument", "answer"),
    [
        (b"<@evil.example:siti@tgg.net.id>", RECIPIENT),
        (b"<@tgg.net.id:world@evil.example>", RECIPIENT),
        (b"<@a,@b:siti@tgg.net.id>", RECIPIENT),
        (b"<siti@tgg.net.id@evil.example>", RECIPIENT),
        (b"<world@evil.example@tgg.net.id>", RECIPIENT),
        (b'<"siti@tgg.net.id"@evil.example>', ELSEWHERE),
        (b"<siti%tgg.net.id@evil.example>", ELSEWHERE),
        (b"<tgg.net.id!siti@evil.example>", ELSEWHERE),
        (b"<siti@[127.0.0.1]>", ELSEWHERE),
        (b"<siti@[IPv6:::1]>", ELSEWHERE),
        (b"<siti@127.0.0.1>", ELSEWHERE),
        (b"<siti@localhost>", ELSEWHERE),
        (b"<siti@tgg.net.id.>", RECIPIENT),
        (b"<siti@tgg.net.id.evil.example>", ELSEWHERE),
        (b"<siti@.tgg.net.id>", RECIPIENT),
        (b"<>", RECIPIENT),
        (b"<@>", RECIPIENT),
        (b"<siti>", RECIPIENT),
        (b"siti@tgg.net.id", RECIPIENT),
        (b"<siti@tgg.net.id", RECIPIENT),
        (b"<siti@tgg.net.id> <world@evil.example>", ARGUMENTS),
        (b"<siti@tgg.net.id>,<world@evil.example>", ARGUMENTS),
        (b"<siti @tgg.net.id>", RECIPIENT),
        (b'<"siti@tgg.net.id>', RECIPIENT),
        (b'<"si"ti@tgg.net.id>', RECIPIENT),
        (b'<"si\x01ti"@tgg.net.id>', RECIPIENT),
        (b'<"si\x7fti"@tgg.net.id>', RECIPIENT),
        (b"<siti@tgg.net.id\0@evil.example>", NUL),
        (b'<"si\rti"@tgg.net.id>', LINE_END),
        (b"<sit\xc3\xa9@tgg.net.id>", UTF8),
        (b"<siti@t\xc3\xa9gg.id>", UTF8),
        (b"<sit\xff@tgg.net.id>", RECIPIENT),
        (b"<" + b"a" * 600 + b"@tgg.net.id>", RECIPIENT),
        (b"<siti@" + b"a." * 200 + b"id>", RECIPIENT),
        (b"<siti@tgg.net.id> ORCPT=rfc822;a\x01b", ARGUMENTS),
        (b"<siti@tgg.net.id> ORCPT=rfc822;sit\xc3\xa9", UTF8),
        (b"<siti@tgg.net.id> RRVS=2014-04-03T23:01:00Z", PARAMETER),
        (b"<siti@tgg.net.id> NOTIFY=NEVER NOTIFY=SUCCESS", ARGUMENTS),
        (b"<siti@tgg.net.id> NOTIFY", ARGUMENTS),
    ],
)
def test_no_recipient_is_relayed_or_misread(argument: bytes, answer: bytes, post: Post) -> None:
    with post.client("mx") as client:
        assert client.ask(b"MAIL FROM:<>\r\n") == b"250 2.1.0 Ok.\r\n"
        connections = len(post.backends["mx"].conversations)
        assert client.ask(b"RCPT TO:" + argument + b"\r\n") == answer
        assert client.ask(b"DATA\r\n") == b"503 5.5.1 No valid recipients.\r\n"
    assert len(post.backends["mx"].conversations) == connections, "no server has heard of it"


def test_a_full_width_at_makes_no_domain_ours(post: Post) -> None:
    """By Unicode's compatibility forms it is one, and the directory knows names by them."""
    with post.client("mx") as client:
        assert client.ask(b"MAIL FROM:<> SMTPUTF8\r\n") == b"250 2.1.0 Ok.\r\n"
        for at in ("\uff20", "\ufe6b"):
            assert client.ask(f"RCPT TO:<siti+@evil.example{at}tgg.net.id>\r\n".encode()) == RECIPIENT
        assert client.ask("RCPT TO:<siti@tgg\uff0enet.id>\r\n".encode()) == b"250 2.1.0 Ok\r\n"


@pytest.mark.parametrize(
    ("argument", "answer"),
    [
        (b"<siti>", SENDER),
        (b"<@a:siti@tgg.net.id>", SENDER),
        (b"<siti@tgg.net.id", SENDER),
        (b"<a\0@b>", NUL),
        (b"<> XVERP", PARAMETER),
        (b"<> XVERP=+=", ARGUMENTS),
        (b"<> AUTH=<>", PARAMETER),
        (b"<> REQUIRETLS", PARAMETER),
        (b"<> HOLDFOR=99999", PARAMETER),
        (b"<> BY=1;R", PARAMETER),
        (b"<> MT-PRIORITY=9", PARAMETER),
        (b"<> BODY=BINARYMIME", ARGUMENTS),
        (b"<> SMTPUTF8=1", ARGUMENTS),
        (b"<> ENVID=x\x02", ARGUMENTS),
        (b"<> RET=ALL", ARGUMENTS),
        (b"<> A A", ARGUMENTS),
        (b"<> SIZE", ARGUMENTS),
        (b"<> SIZE=", ARGUMENTS),
        (b"<> SIZE=-1", ARGUMENTS),
        (b"<> SIZE=+1", ARGUMENTS),
        (b"<> SIZE=1e9", ARGUMENTS),
        (b"<> SIZE=0x10", ARGUMENTS),
        (b"<> SIZE=1 SIZE=2", ARGUMENTS),
        (b"<> SIZE=%d" % (LARGEST + 1), TOO_LARGE),
        (b"<> SIZE=4294967297", TOO_LARGE),
        (b"<> SIZE=18446744073709551617", TOO_LARGE),
        (b"<> SIZE=" + b"9" * 20, TOO_LARGE),
        (b"<> SIZE=" + b"9" * 400, ARGUMENTS),
    ],
)
def test_nothing_passes_with_a_sender_that_was_not_offered(argument: bytes, answer: bytes, post: Post) -> None:
    with post.client("mx") as client:
        assert client.ask(b"MAIL FROM:" + argument + b"\r\n") == answer
        assert client.ask(b"RCPT TO:<siti@tgg.net.id>\r\n") == b"503 5.5.1 Say MAIL first.\r\n"


@pytest.mark.parametrize(
    "said",
    [
        b"XCLIENT ADDR=127.0.0.1\r\n",
        b"XFORWARD NAME=x\r\n",
        b"AUTH PLAIN AHgAeA==\r\n",
        b"ETRN x\r\n",
        b"BDAT 9 LAST\r\n123456789",
    ],
)
def test_what_is_for_others_does_not_pass_in_a_transaction_either(said: bytes, post: Post) -> None:
    client, _ = post.begun("mx", SITI)
    with client:
        assert client.ask(said)[:4] in (b"550 ", b"502 ")
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        assert client.ask(b"Hi.\r\n.\r\n") == b"250 2.0.0 taken\r\n"
    heard = post.backends["mx"].conversations[-1].heard
    assert heard.count(b"XCLIENT") == 1, "ours"
    assert not any(verb in heard for verb in (b"XFORWARD", b"AUTH", b"ETRN", b"BDAT", b"ADDR=127.0.0.1\r"))


@pytest.mark.parametrize("behind", [b"MAIL FROM:<>\r\n", b"EHLO", b"\n", b"\x16\x03\x01"])
def test_what_comes_with_starttls_is_never_done(behind: bytes, post: Post) -> None:
    with RawClient(post.zproxy.listeners["mx_tls"]) as client:
        assert client.line().startswith(b"220 ")
        assert post.offered(client, "mx")[-1] == "STARTTLS"
        client.send(b"STARTTLS\r\n" + behind)
        assert client.rest() == b"501 5.5.1 Nothing may follow STARTTLS before TLS.\r\n"


def test_what_was_said_before_tls_is_forgotten(post: Post, authority: Authority) -> None:
    with RawClient(post.zproxy.listeners["mx_tls"]) as client:
        assert client.line().startswith(b"220 ")
        post.offered(client, "mx")
        assert client.ask(b"MAIL FROM:<world@example.org>\r\n") == b"250 2.1.0 Ok.\r\n"
        assert client.ask(b"RCPT TO:<siti@tgg.net.id>\r\n") == b"250 2.1.0 Ok\r\n"
        assert client.ask(b"STARTTLS\r\n") == b"220 2.0.0 Begin TLS.\r\n"
        client.secure(authority.client_context(), HOSTNAME)
        assert isinstance(client._socket, ssl.SSLSocket)  # noqa: SLF001 - it is inside
        assert client.ask(b"DATA\r\n") == b"503 5.5.1 Say MAIL first.\r\n"
        assert client.ask(b"MAIL FROM:<>\r\n") == b"503 5.5.1 Say EHLO first.\r\n"
        assert "STARTTLS" not in post.offered(client, "mx")
    assert not post.receivers["mx"].messages


def test_recipients_without_end_are_put_off_and_then_the_client_is(post: Post) -> None:
    before = resident_bytes(post.zproxy.process.pid)
    client, _ = post.begun("mx", SITI)
    with client:
        client.send_meanwhile(b"RCPT TO:<siti@tgg.net.id>\r\n" * 100_000)
        answers = client.rest().splitlines(keepends=True)
    assert answers[:9] == [b"250 2.1.0 Ok\r\n"] * 9
    assert set(answers[9:-1]) == {b"452 4.5.3 Too many recipients.\r\n"}
    assert answers[-1] == b"421 4.7.0 mail.tgg.net.id Too many commands without a message.\r\n"
    assert len(answers) < 10_100
    assert resident_bytes(post.zproxy.process.pid) - before < 16 * MEGABYTE


def test_a_message_without_end_ends_with_the_conversation(post: Post) -> None:
    before = resident_bytes(post.zproxy.process.pid)
    client, _ = post.begun("mx", SITI)
    with client:
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        client.send_meanwhile((b"x" * 998 + b"\r\n") * 30_000)
        assert client.rest() == TOO_LARGE
    assert resident_bytes(post.zproxy.process.pid) - before < 4 * MEGABYTE
    assert not post.receivers["mx"].messages


def test_a_message_too_large_is_thrown_away_and_the_session_goes_on(post: Post) -> None:
    client, _ = post.begun("mx", SITI)
    with client:
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        client.send((b"x" * 998 + b"\r\n") * 1100 + b".\r\n")
        assert client.line() == TOO_LARGE
        server = post.backends["mx"].conversations[-1]
        assert server.ended.wait(10)
        assert client.ask(b"MAIL FROM:<>\r\n") == b"250 2.1.0 Ok.\r\n"
    assert not post.receivers["mx"].messages


@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize("so_far", [b"", b"Hi.\r\n", b"Hi.\r\n.", b"Hi.\r\n.\r"])
def test_who_leaves_before_the_dot_leaves_nothing(so_far: bytes, leave: str, post: Post) -> None:
    client, _ = post.begun("mx", SITI)
    with client:
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        client.send(so_far)
        if leave == "reset":
            client.reset()
    server = post.backends["mx"].conversations[-1]
    assert server.ended.wait(10)
    assert server.heard.endswith(b"DATA\r\n" + so_far[:5]) or server.heard.endswith(b"DATA\r\n")
    assert not post.receivers["mx"].messages
    (record,) = post.transactions_from(client.address)
    assert record["outcome"] == "aborted"


@pytest.mark.parametrize("begun", [b"", b"MAIL FROM:<>\r\nRCPT TO:<siti@tgg.net.id>\r\n"])
def test_a_command_an_octet_now_and_then_does_not_keep_a_session(begun: bytes, post: Post) -> None:
    with RawClient(post.zproxy.listeners["mx"]) as client:
        assert client.line().startswith(b"220 ")
        client.send(HELLO["mx"] + begun)
        began = time.monotonic()
        heard = b""
        while (more := client.heard_within(IDLE / 5)) is not None and time.monotonic() - began < 10 * IDLE:
            heard += more.octets
            client.try_send(b"N")
        assert heard.endswith(b"421 4.3.2 mail.tgg.net.id you said nothing for too long\r\n")
        assert time.monotonic() - began < 5 * IDLE


def test_a_message_a_line_now_and_then_ends_in_its_time_and_reaches_nobody(post: Post) -> None:
    client, _ = post.begun("mx", SITI)
    with client:
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        began = time.monotonic()
        heard = b""
        while (more := client.heard_within(IDLE / 5)) is not None and time.monotonic() - began < 10 * IDLE:
            heard += more.octets
            client.try_send(b"x\r\n")
        assert heard == b"421 4.3.2 mail.tgg.net.id your message took too long\r\n"
    assert post.backends["mx"].conversations[-1].ended.wait(10)
    assert not post.receivers["mx"].messages


def test_idle_talk_in_a_transaction_does_not_keep_its_server(post: Post) -> None:
    client, _ = post.begun("mx", SITI)
    with client:
        client.send(b"NOOP\r\n" * 200)
        assert client.rest().endswith(b"421 4.7.0 mail.tgg.net.id Too many commands without a message.\r\n")
    assert post.backends["mx"].conversations[-1].ended.wait(10)


def test_nothing_that_a_client_says_is_said_back_or_logged_raw(post: Post) -> None:
    junk = b"\x1b]0;pwned\x07"
    with post.client("mx") as client:
        client.send(
            b"EHLO " + junk + b"\r\n" + junk + b"\r\nMAIL FROM:<" + junk + b">\r\nRCPT TO:" + junk + b"\r\nQUIT\r\n"
        )
        assert b"pwned" not in client.rest()
    post.zproxy.record_from(client.address)
    assert "\x1b" not in post.zproxy.records_file.read_text()
    assert "\x1b]0" not in post.zproxy.errors()
