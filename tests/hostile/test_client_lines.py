"""Lines that no client should send: each gets a clear error under its own tag, and no backend hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from servers.front import Front

IMAP_REFUSED = {
    "NUL in a command": (b"a NO\0OP\r\n", b"a BAD"),
    "NUL in a quoted password": (b'a LOGIN alice@example.net "open\0sesame"\r\n', b"a BAD"),
    "8-bit verb": (b"a \xff\xfe\r\n", b"a BAD"),
    "8-bit tag": (b"\xff NOOP\r\n", b"* BAD"),
    "8-bit name that is no UTF-8": (b'a LOGIN "\xff\xfe" open\r\n', b"a NO"),
    "bare CR within": (b"a NO\rOP\r\n", b"a BAD"),
    "bare LF as line end": (b"a NOOP\n", b"a BAD"),
    "tag of 65 octets": (b"t" * 65 + b" NOOP\r\n", b"* BAD"),
    "tag that closes a literal": (b"} NOOP x\r\n", b"} BAD"),
    "no tag": (b" NOOP\r\n", b"* BAD"),
    "empty line": (b"\r\n", b"* BAD"),
    "literal of 2^31": (b"a LOGIN {2147483648}\r\n", b"a BAD"),
    "literal of 2^32": (b"a LOGIN {4294967296}\r\n", b"a BAD"),
    "literal of 2^64+1": (b"a LOGIN {18446744073709551617}\r\n", b"a BAD"),
    "literal of 400 digits": (b"a LOGIN {" + b"9" * 400 + b"}\r\n", b"a BAD"),
    "literal of -1": (b"a LOGIN {-1}\r\n", b"a BAD"),
    "literal without a number": (b"a LOGIN {}\r\n", b"a BAD"),
    "literal in hexadecimal": (b"a LOGIN {0x10}\r\n", b"a BAD"),
    "literal beyond what a name may have": (b"a LOGIN {4097}\r\n", b"a BAD"),
    "literal of a command that takes none": (b"a SELECT {5}\r\n", b"a BAD"),
    "name of CR LF in a literal": (b"a LOGIN {4+}\r\na\r\nb open\r\n", b"a NO"),
    "password of NUL in a literal": (b"a LOGIN alice@example.net {4+}\r\na\0bc\r\n", b"a BAD"),
    "empty password": (b'a LOGIN alice@example.net ""\r\n', b"a NO"),
    "empty name": (b'a LOGIN "" open\r\n', b"a NO"),
    "mailbox command before login": (b"a SELECT INBOX\r\n", b"a BAD"),
    "ID of a proxy's own words": (b"a XCLIENT ADDR=192.0.2.1\r\n", b"a BAD"),
}
IMAP_CLOSED = {
    "line without end": b"a NOOP " + b"x" * 9000,
    "line longer than allowed": b"a NOOP " + b"x" * 9000 + b"\r\n",
    "literal that does not wait, of 2^31": b"a LOGIN {2147483648+}\r\nb LOGIN alice@example.net open\r\n",
    "literal that does not wait, of 2^64+1": b"a LOGIN {18446744073709551617+}\r\nx\r\nb NOOP\r\n",
    "literal that does not wait, of no size": b"a LOGIN {x+}\r\nb NOOP\r\n",
    "SASL response without end": b"a AUTHENTICATE PLAIN\r\n" + b"A" * 66_000,
}
POP3_REFUSED = {
    "NUL in a command": b"NO\0OP\r\n",
    "8-bit command": b"\xff\xfe\r\n",
    "8-bit name that is no UTF-8": b"USER \xff\xfe\r\n",
    "bare CR within": b"NO\rOP\r\n",
    "bare LF as line end": b"NOOP\n",
    "empty line": b"\r\n",
    "command with an argument too many": b"CAPA x\r\n",
    "mailbox command before login": b"RETR 1\r\n",
    "password before name": b"PASS open\r\n",
    "XCLIENT of a stranger": b"XCLIENT ADDR=192.0.2.1\r\n",
    "XOIP of a stranger": b"XOIP 192.0.2.1\r\n",
    "APOP, which was not offered": b"APOP alice@example.net c4c9334bac560ecc979e58001b3e22fb\r\n",
}
POP3_CLOSED = {
    "line without end": b"USER " + b"x" * 9000,
    "line longer than allowed": b"USER " + b"x" * 9000 + b"\r\n",
    "SASL response without end": b"AUTH PLAIN\r\n" + b"A" * 66_000,
}


@pytest.mark.parametrize("what", IMAP_REFUSED)
def test_imap_refuses_it_and_goes_on(what: str, front: Front) -> None:
    said, answer = IMAP_REFUSED[what]
    with front.untouched(), front.greeted("imap") as client:
        assert client.ask(said).startswith(answer)
        assert client.ask(b"b NOOP\r\n").startswith(b"b OK")


@pytest.mark.parametrize("what", IMAP_CLOSED)
def test_imap_says_why_it_closes_when_nobody_can_tell_where_the_next_command_begins(what: str, front: Front) -> None:
    with front.untouched(), front.greeted("imap") as client:
        client.try_send(IMAP_CLOSED[what])
        *answers, last = client.rest().splitlines()
        assert last.startswith(b"* BYE")
        assert answers[-1].startswith(b"a BAD")
        assert not any(answer.startswith(b"b ") for answer in answers)


@pytest.mark.parametrize("what", POP3_REFUSED)
def test_pop3_refuses_it_and_goes_on(what: str, front: Front) -> None:
    with front.untouched(), front.greeted("pop3") as client:
        assert client.ask(POP3_REFUSED[what]).startswith(b"-ERR")
        assert client.ask(b"NOOP\r\n").startswith(b"+OK")


@pytest.mark.parametrize("what", POP3_CLOSED)
def test_pop3_says_why_it_closes_when_nobody_can_tell_where_the_next_command_begins(what: str, front: Front) -> None:
    with front.untouched(), front.greeted("pop3") as client:
        client.try_send(POP3_CLOSED[what])
        assert client.rest().splitlines()[-1].startswith(b"-ERR")


@pytest.mark.parametrize("listener", ["imap", "pop3"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS"])
def test_a_browser_is_hung_up_on_and_finds_none_of_its_words_in_the_answer(
    listener: str, method: str, front: Front
) -> None:
    body = "a LOGIN alice@example.net open\r\nUSER alice@example.net\r\n<script>alert(1)</script>\r\n"
    request = f"{method} /<script> HTTP/1.1\r\nHost: mail.example\r\n\r\n{body}"
    with front.untouched(), front.greeted(listener) as client:
        client.try_send(request.encode())
        answer = client.rest()
        assert not any(word in answer for word in (b"script", b"HTTP", b"alice", method.encode(), b"a NO", b"a OK"))


@pytest.mark.parametrize(("listener", "bad"), [("imap", b"a FROB x\r\n"), ("pop3", b"FROB x\r\n")])
def test_unknown_commands_without_end_end_with_the_connection(listener: str, bad: bytes, front: Front) -> None:
    with front.untouched(), front.greeted(listener) as client:
        client.try_send(bad * 5000)
        answers = client.rest().splitlines()
        assert 10 <= len(answers) <= 12
        assert not any(b"FROB" in answer for answer in answers)
