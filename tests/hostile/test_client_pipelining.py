"""Commands sent around the login without waiting: each is run exactly once, in order, by whoever it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.fake_mailbox import PASSWORD
from servers.front import ALICE
from servers.raw_client import plain
from servers.waiting import until
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from servers.front import Front

RIGHT, WRONG = plain(ALICE, PASSWORD), plain(ALICE, "wrong")
LITERALS = f"b LOGIN {{{len(ALICE)}+}}\r\n{ALICE} {{{len(PASSWORD)}+}}\r\n{PASSWORD}\r\n".encode()
IMAP_LOGINS = {
    "AUTHENTICATE with initial response": b"b AUTHENTICATE PLAIN " + RIGHT + b"\r\n",
    "AUTHENTICATE": b"b AUTHENTICATE PLAIN\r\n" + RIGHT + b"\r\n",
    "LOGIN": f'b LOGIN {ALICE} "{PASSWORD}"\r\n'.encode(),
    "LOGIN with literals": LITERALS,
}
POP3_LOGINS = {
    "AUTH with initial response": b"AUTH PLAIN " + RIGHT + b"\r\n",
    "AUTH": b"AUTH PLAIN\r\n" + RIGHT + b"\r\n",
    "USER and PASS": f"USER {ALICE}\r\nPASS {PASSWORD}\r\n".encode(),
}
# More than the proxy holds of a client whose login is under way.
MANY = 20_000


@pytest.mark.parametrize("listener", ["imap", "imaps"])
@pytest.mark.parametrize("how", IMAP_LOGINS)
def test_imap_commands_around_the_login_are_run_once_and_in_order(how: str, listener: str, front: Front) -> None:
    with front.greeted(listener) as client:
        client.send(b"a NOOP\r\n" + IMAP_LOGINS[how] + b"c SELECT INBOX\r\nd NOOP\r\ne LOGOUT\r\n")
        answers = [line for line in client.rest().splitlines() if not line.startswith((b"+", b"*"))]
        assert [answer[:4] for answer in answers] == [b"a OK", b"b OK", b"c OK", b"d OK", b"e OK"]
        told = front.backends["mbox"]["imap"].told_of(client.address)
        assert told.commands == [b"c SELECT INBOX", b"d NOOP", b"e LOGOUT"]
        assert told.heard.count(b"AUTHENTICATE") == 1


@pytest.mark.parametrize("listener", ["pop3", "pop3s"])
@pytest.mark.parametrize("how", POP3_LOGINS)
def test_pop3_commands_around_the_login_are_run_once_and_in_order(how: str, listener: str, front: Front) -> None:
    with front.greeted(listener) as client:
        client.send(b"NOOP\r\n" + POP3_LOGINS[how] + b"STAT\r\nLIST\r\nQUIT\r\n")
        answers = [line for line in client.rest().splitlines() if line not in (b"+OK", b"+ ")]
        assert answers == [b"+OK in", b"+OK STAT", b"+OK LIST", b"+OK QUIT"]
        told = front.backends["mbox"]["pop3"].told_of(client.address)
        assert told.commands == [b"STAT", b"LIST", b"QUIT"]


def test_everything_works_octet_by_octet(front: Front) -> None:
    with front.greeted("imap") as client:
        for octet in b"a NOOP\r\n" + LITERALS + b"c SELECT INBOX\r\n":
            client.send(bytes([octet]))
        assert [line[:4] for line in client.lines(3)] == [b"a OK", b"b OK", b"c OK"]


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_nothing_behind_a_refused_login_reaches_a_backend(protocol: str, front: Front) -> None:
    with front.greeted(protocol) as client:
        if protocol == "imap":
            client.send(b"a AUTHENTICATE PLAIN " + WRONG + b"\r\nb SELECT INBOX\r\nc FETCH 1 BODY[]\r\nd LOGOUT\r\n")
            answers = client.rest().splitlines()
            assert [answer[:5] for answer in answers] == [b"a NO ", b"b BAD", b"c BAD", b"* BYE", b"d OK "]
        else:
            client.send(b"AUTH PLAIN " + WRONG + b"\r\nSTAT\r\nDELE 1\r\nQUIT\r\n")
            answers = client.rest().splitlines()
            assert [answer[:4] for answer in answers] == [b"-ERR", b"-ERR", b"-ERR", b"+OK "]
        told = front.backends["mbox"][protocol].told_of(client.address)
        assert told.ended.wait(5)
        assert not any(word in told.heard for word in (b"SELECT", b"FETCH", b"STAT", b"DELE"))


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_a_second_login_behind_a_refused_one_is_taken_with_what_follows_it(protocol: str, front: Front) -> None:
    with front.greeted(protocol) as client:
        if protocol == "imap":
            client.send(b"a AUTHENTICATE PLAIN " + WRONG + b"\r\n" + LITERALS + b"c SELECT INBOX\r\n")
            assert [line[:4] for line in client.lines(3)] == [b"a NO", b"b OK", b"c OK"]
        else:
            client.send(b"AUTH PLAIN " + WRONG + b"\r\nAUTH PLAIN " + RIGHT + b"\r\nSTAT\r\n")
            assert [line[:4] for line in client.lines(2)] == [b"-ERR", b"+OK "]
        mailboxes = front.backends["mbox"][protocol].conversations
        assert until(lambda: mailboxes[-1].commands) == [b"c SELECT INBOX" if protocol == "imap" else b"STAT"]


def test_more_than_the_proxy_holds_is_neither_lost_nor_doubled(front: Front) -> None:
    sent = [b"c%d NOOP" % number for number in range(MANY)]
    with front.greeted("imap") as client:
        client.send_meanwhile(LITERALS + b"".join(line + b"\r\n" for line in sent))
        assert client.line().startswith(b"b OK")
        answers = client.lines(MANY)
        assert [answer.split()[0] for answer in answers] == [line.split()[0] for line in sent]
        assert front.backends["mbox"]["imap"].told_of(client.address).commands == sent


def test_what_is_sent_behind_a_handshake_belongs_to_what_is_inside(front: Front) -> None:
    with front.greeted("imap") as client:
        assert client.ask(b"s STARTTLS\r\n").startswith(b"s OK")
        client.secure(front.context, HOSTNAME)
        client.send(b"a NOOP\r\n" + LITERALS + b"c SELECT INBOX\r\n")
        assert [line[:4] for line in client.lines(3)] == [b"a OK", b"b OK", b"c OK"]
