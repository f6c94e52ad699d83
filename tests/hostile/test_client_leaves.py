"""Clients that leave in the middle of something: what was held for them is given back at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.fake_mailbox import IMAP_GREETING, POP3_GREETING
from servers.front import ALICE, IMPLICIT, STARTTLS, Front, within
from servers.said import AUTHENTICATE, log_in
from servers.waiting import until

if TYPE_CHECKING:
    from servers.fake_backend import Conversation

# Far below `backend_login` (10 s) and `connect` (5 s), which would free the connection too, only late.
AT_ONCE_SECONDS = 2
GREETING = {"imap": IMAP_GREETING, "pop3": POP3_GREETING}
both = pytest.mark.parametrize("protocol", ["imap", "pop3"])


def says_nothing(conversation: Conversation) -> None:
    conversation.hold()


@both
@pytest.mark.parametrize("listener", ["{}", "{}s"])
@pytest.mark.parametrize(
    ("home", "account"), [("mbox", ALICE), ("mbox-starttls", STARTTLS), ("mbox-implicit", IMPLICIT)]
)
def test_the_connection_to_a_silent_backend_is_freed_at_once(
    home: str, account: str, listener: str, protocol: str, front: Front
) -> None:
    with front.behaving(home, protocol, says_nothing) as backend:
        before = len(backend.conversations)
        with front.greeted(listener.format(protocol)) as client:
            client.send(log_in(protocol, account))
            (held,) = until(lambda: backend.conversations[before:])
            assert not held.ended.is_set()
        assert held.ended.wait(AT_ONCE_SECONDS)
    assert front.zproxy.record_from(client.address)["error"] == "client left"


@both
def test_the_connection_to_a_backend_that_ponders_the_password_is_freed_at_once(protocol: str, front: Front) -> None:
    def ponders(conversation: Conversation) -> None:
        conversation.send(GREETING[protocol])
        conversation.hold()

    with front.behaving("mbox", protocol, ponders) as backend:
        with front.greeted(protocol) as client:
            client.send(log_in(protocol, ALICE))
            held = backend.told_of(client.address)
            assert not held.ended.is_set()
        assert held.ended.wait(AT_ONCE_SECONDS)


@both
@pytest.mark.parametrize("how", ["closes", "resets"])
def test_a_session_ends_at_the_backend_when_its_client_leaves(how: str, protocol: str, front: Front) -> None:
    with front.greeted(protocol) as client:
        assert b"OK" in client.ask(log_in(protocol, ALICE))
        held = front.backends["mbox"][protocol].told_of(client.address)
        if how == "resets":
            client.reset()
    assert held.ended.wait(AT_ONCE_SECONDS)


@both
def test_a_backend_that_leaves_ends_the_session_of_its_client(protocol: str, front: Front) -> None:
    with front.greeted(protocol) as client:
        assert b"OK" in client.ask(log_in(protocol, ALICE))
        front.backends["mbox"][protocol].told_of(client.address).close()
        with within(AT_ONCE_SECONDS):
            assert client.rest() == b""


@both
def test_a_client_that_leaves_in_the_middle_of_an_exchange_is_let_go_at_once(protocol: str, front: Front) -> None:
    with front.untouched(), front.greeted(protocol) as client:
        assert client.ask(AUTHENTICATE[protocol] + b"\r\n").startswith(b"+")
    assert front.zproxy.record_from(client.address)["error"] == "client left"
