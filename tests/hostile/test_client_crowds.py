"""Many clients at once: nobody gets another's session, and who does not read stops the other side, not the proxy."""

from __future__ import annotations

import base64
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from servers.fake_mailbox import IMAP_GREETING, imap_until_login
from servers.front import ALICE, BOB, Front
from servers.process import descriptors, resident_bytes
from servers.said import DONE, NOOP, WELCOME, log_in
from servers.waiting import settled, until

if TYPE_CHECKING:
    from servers.fake_backend import Conversation

PEOPLE = 40
LOGINS_EACH = 10
STORM = 1000
MIB = 1 << 20
READERS = 4
# Sockets' buffers are the kernel's; of ours there is a scratch buffer and a pipe a direction, and what malloc keeps.
HELD = 8 * MIB
# Most that the kernel keeps between a client and a backend: what is sent and what is received, of two connections.
KERNEL = 2 * sum(int(Path(f"/proc/sys/net/ipv4/tcp_{way}").read_text().split()[-1]) for way in ("wmem", "rmem"))
# More than fits anywhere on the way.
SENT = (KERNEL + HELD) // MIB * MIB + MIB


def believes_anybody_and_says_the_password_back(conversation: Conversation) -> None:
    conversation.send(IMAP_GREETING)
    while login := imap_until_login(conversation):
        tag, response = login
        name, password = base64.b64decode(response).split(b"\0")[1:]
        conversation.send(tag + b" OK [CAPABILITY IMAP4rev1] " + name + b" " + password + b"\r\n")


def test_nobody_gets_the_session_of_another(front: Front) -> None:
    def live(number: int) -> None:
        account, listener = (ALICE, "imap") if number % 2 else (BOB, "imaps")
        for login in range(LOGINS_EACH):
            with front.greeted(listener) as client:
                answer = client.ask(log_in("imap", account, f"secret-{number}-{login}"))
            assert answer == f"a OK [CAPABILITY IMAP4rev1] {account} secret-{number}-{login}\r\n".encode()

    with (
        front.behaving("mbox", "imap", believes_anybody_and_says_the_password_back),
        ThreadPoolExecutor(PEOPLE) as people,
    ):
        for life in [people.submit(live, number) for number in range(PEOPLE)]:
            life.result()


@pytest.mark.parametrize("listener", ["imap", "imaps", "pop3", "pop3s"])
def test_a_storm_of_connections_that_reset_leaves_nothing_behind(listener: str, front: Front) -> None:
    before = descriptors(front.zproxy.process.pid)
    for _ in range(STORM):
        front.client(listener).reset()
    protocol = listener.removesuffix("s")
    with front.greeted(listener) as client:
        assert client.ask(NOOP[protocol]).startswith(DONE[protocol])
    until(lambda: descriptors(front.zproxy.process.pid) <= before)


@pytest.mark.parametrize("listener", ["imap", "imaps"])
def test_a_client_that_does_not_read_stops_its_backend_and_loses_nothing(listener: str, front: Front) -> None:
    sent: Counter[Conversation] = Counter()

    def streams(conversation: Conversation) -> None:
        conversation.send(IMAP_GREETING)
        tag, _ = imap_until_login(conversation) or (b"", b"")
        conversation.send(tag + b" OK [CAPABILITY IMAP4rev1] in\r\n")
        for _ in range(SENT // MIB):
            conversation.send(b"x" * MIB)
            sent[conversation] += MIB

    edge = front.zproxy.process.pid
    with front.behaving("mbox", "imap", streams), ExitStack() as stack:
        before = resident_bytes(edge)
        clients = [stack.enter_context(front.greeted(listener)) for _ in range(READERS)]
        for client in clients:
            assert client.ask(log_in("imap", ALICE)).startswith(WELCOME["imap"])
        assert settled(lambda: sum(sent.values())) < READERS * SENT
        assert front.answer("pop3", ALICE).startswith(WELCOME["pop3"])
        assert resident_bytes(edge) - before < HELD
        assert len(clients[0].rest()) == SENT


@pytest.mark.parametrize("listener", ["imap", "imaps"])
def test_a_backend_that_does_not_read_stops_its_client(listener: str, front: Front) -> None:
    def reads_nothing_more(conversation: Conversation) -> None:
        conversation.send(IMAP_GREETING)
        tag, _ = imap_until_login(conversation) or (b"", b"")
        conversation.send(tag + b" OK [CAPABILITY IMAP4rev1] in\r\n")
        conversation.ignore()

    edge = front.zproxy.process.pid
    with front.behaving("mbox", "imap", reads_nothing_more), ExitStack() as stack:
        before = resident_bytes(edge)
        for _ in range(READERS):
            client = stack.enter_context(front.session(listener, ALICE))
            assert client.flood(b"x" * MIB, octets=SENT) < SENT
        assert resident_bytes(edge) - before < HELD
