"""Fake ManageSieve servers: they let in whoever knows the password and then say yes to every command.

One that misbehaves in one thing is made of these with that thing replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers.fake_mailbox import knows_password

if TYPE_CHECKING:
    from servers.fake_backend import Conversation

GREETING = b'"IMPLEMENTATION" "fake"\r\n"SASL" "PLAIN"\r\n"SIEVE" "fileinto"\r\n"VERSION" "1.0"\r\nOK "ready"\r\n'
WELCOME = b'OK "in"\r\n'
REFUSAL = b'NO "not you"\r\n'


def converse(conversation: Conversation, welcome: bytes = WELCOME, refusal: bytes = REFUSAL) -> None:
    conversation.send(GREETING)
    for line in conversation.lines():
        if not line.startswith(b"AUTHENTICATE"):
            return
        if knows_password(line.split(b'"')[3]):
            conversation.send(welcome)
            session(conversation)
            return
        conversation.send(refusal)


def session(conversation: Conversation) -> None:
    for line in conversation.lines():
        conversation.commands.append(line)
        conversation.send(b"OK\r\n")
