"""What a backend means by its answer to a login: that reaches the client, less what would lead him astray."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.fake_mailbox import IMAP_GREETING, POP3_GREETING, imap_until_login, pop3_until_login
from servers.front import ALICE
from servers.said import TEMPORARY, WELCOME, WRONG, log_in

if TYPE_CHECKING:
    from servers.fake_backend import Behaviour, Conversation
    from servers.front import Front

# The backend's refusal, and what the client hears.
IMAP_REFUSALS = {
    b"NO [ALERT] Pay your bill.": b"a NO [ALERT] Pay your bill.\r\n",
    b"NO [EXPIRED] Change it at https://example.net.": b"a NO [EXPIRED] Change it at https://example.net.\r\n",
    b"NO [LIMIT] Too many of you.": b"a NO [LIMIT] Too many of you.\r\n",
    b"NO [INUSE] Locked.": b"a NO [INUSE] Locked.\r\n",
    b"NO [CONTACTADMIN] Call us.": b"a NO [CONTACTADMIN] Call us.\r\n",
    b"NO [UNAVAILABLE] Back at noon.": b"a NO [UNAVAILABLE] Back at noon.\r\n",
    b"NO [PRIVACYREQUIRED] TLS.": b"a NO [PRIVACYREQUIRED] TLS.\r\n",
    b"NO [unavailable] lower case": b"a NO [UNAVAILABLE] lower case\r\n",
    b"NO [ALERT] \xffcaf\xc3\xa9\x1b[31m": b"a NO [ALERT] caf[31m\r\n",
    b"NO [ALERT]": b"a NO [ALERT] Login refused.\r\n",
    b"NO [AUTHENTICATIONFAILED] No such user.": WRONG["imap"],
    b"NO [AUTHORIZATIONFAILED] Not you.": WRONG["imap"],
    b"NO Wrong password.": WRONG["imap"],
    b"NO": WRONG["imap"],
    b"NO [REFERRAL imap://siti;AUTH=*@evil.example/] Go there.": TEMPORARY["imap"],
    b"NO [X-UNHEARD-OF] What?": TEMPORARY["imap"],
}
POP3_REFUSALS = {
    b"-ERR [IN-USE] Locked.": b"-ERR [IN-USE] Locked.\r\n",
    b"-ERR [LOGIN-DELAY] Too soon.": b"-ERR [LOGIN-DELAY] Too soon.\r\n",
    b"-ERR [SYS/TEMP] Back at noon.": b"-ERR [SYS/TEMP] Back at noon.\r\n",
    b"-ERR [SYS/PERM] Gone for good.": b"-ERR [SYS/PERM] Gone for good.\r\n",
    b"-ERR [sys/perm] lower case": b"-ERR [SYS/PERM] lower case\r\n",
    b"-ERR [SYS/TEMP] \x1b[31m": b"-ERR [SYS/TEMP] ?[31m\r\n",
    b"-ERR [AUTH] No such user.": WRONG["pop3"],
    b"-ERR Wrong password.": WRONG["pop3"],
    b"-ERR": WRONG["pop3"],
    b"-ERR [REFERRAL/siti@evil.example] Go there.": TEMPORARY["pop3"],
}
# What the backend says before its success line, that line behind its tag, and what the client hears.
IMAP_WELCOMES = {
    "capabilities in the line": (b"", b"OK [CAPABILITY IMAP4rev1 IDLE] in", b"a OK [CAPABILITY IMAP4rev1 IDLE] in\r\n"),
    "capabilities before it": (
        b"* CAPABILITY IMAP4rev1 IDLE\r\n",
        b"OK in",
        b"* CAPABILITY IMAP4rev1 IDLE\r\na OK in\r\n",
    ),
    "an alert before it": (
        b"* OK [ALERT] Disk is full.\r\n",
        b"OK [CAPABILITY IMAP4rev1] in",
        b"* OK [ALERT] Disk is full.\r\na OK [CAPABILITY IMAP4rev1] in\r\n",
    ),
    "chatter before it": (b"* OK [X] hm\r\n* 3 EXISTS\r\n", b"OK [CAPABILITY A] in", b"a OK [CAPABILITY A] in\r\n"),
    "a referral before it": (
        b"* OK [REFERRAL imap://evil.example/] there\r\n",
        b"OK [CAPABILITY A] in",
        b"a OK [CAPABILITY A] in\r\n",
    ),
    "a referral in it": (b"* CAPABILITY A\r\n", b"OK [REFERRAL imap://evil/] in", b"* CAPABILITY A\r\na OK in\r\n"),
}


def imap(*, before: bytes = b"", answer: bytes = b"OK [CAPABILITY A] in", behind: bytes = b"") -> Behaviour:
    """Answer the login so, and say more before and behind it in the same segment."""

    def answers(conversation: Conversation) -> None:
        conversation.send(IMAP_GREETING)
        tag, _ = imap_until_login(conversation)
        conversation.send(before + tag + b" " + answer + b"\r\n" + behind)
        conversation.hold()

    return answers


def pop3(answer: bytes = b"+OK in\r\n") -> Behaviour:
    def answers(conversation: Conversation) -> None:
        conversation.send(POP3_GREETING)
        pop3_until_login(conversation)
        conversation.send(answer)
        conversation.hold()

    return answers


@pytest.mark.parametrize("refusal", IMAP_REFUSALS)
def test_an_imap_refusal_keeps_its_meaning(refusal: bytes, front: Front) -> None:
    with front.behaving("mbox", "imap", imap(answer=refusal)), front.greeted("imap") as client:
        answer = client.ask(log_in("imap", ALICE))
        assert answer == IMAP_REFUSALS[refusal]
        assert client.ask(b"b NOOP\r\n").startswith(b"b OK")


@pytest.mark.parametrize("refusal", POP3_REFUSALS)
def test_a_pop3_refusal_keeps_its_meaning(refusal: bytes, front: Front) -> None:
    with front.behaving("mbox", "pop3", pop3(refusal + b"\r\n")), front.greeted("pop3") as client:
        answer = client.ask(log_in("pop3", ALICE))
        assert answer == POP3_REFUSALS[refusal]
        assert client.ask(b"NOOP\r\n").startswith(b"+OK")


@pytest.mark.parametrize("what", IMAP_WELCOMES)
def test_an_imap_welcome_arrives_under_the_clients_tag_with_what_belongs_to_it(what: str, front: Front) -> None:
    before, welcome, expected = IMAP_WELCOMES[what]
    behaviour = imap(before=before, answer=welcome, behind=b"* 7 EXISTS\r\n")
    with front.behaving("mbox", "imap", behaviour), front.greeted("imap") as client:
        client.send(log_in("imap", ALICE))
        # What is glued to it belongs to the session.
        heard = client.lines(expected.count(b"\n") + 1)
        assert b"".join(heard) == expected + b"* 7 EXISTS\r\n"


def test_what_is_glued_to_a_pop3_welcome_reaches_the_client(front: Front) -> None:
    with front.behaving("mbox", "pop3", pop3(b"+OK in\r\n+OK 2 320\r\n")), front.greeted("pop3") as client:
        client.send(log_in("pop3", ALICE))
        assert client.lines(2) == [b"+OK in\r\n", b"+OK 2 320\r\n"]


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_a_backend_that_says_everything_octet_by_octet_is_understood(protocol: str, front: Front) -> None:
    def drips(conversation: Conversation) -> None:
        whole = conversation.send
        conversation.send = lambda said: [whole(bytes([octet])) for octet in said]
        (imap() if protocol == "imap" else pop3())(conversation)

    with front.behaving("mbox", protocol, drips), front.greeted(protocol) as client:
        assert client.ask(log_in(protocol, ALICE)).startswith(WELCOME[protocol])
