"""Fake MTAs that behave: they let in whoever knows the password, take every message and answer each command.

An MTA that misbehaves in one thing is made of these with that thing replaced.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from servers.fake_mailbox import knows_password

if TYPE_CHECKING:
    from servers.fake_backend import Behaviour, Conversation

GREETING = b"220 mta.example ESMTP\r\n"
USUAL = ("PIPELINING", "SIZE 1000000", "8BITMIME")
END_OF_DATA = b"\r\n.\r\n"


def offering(*capabilities: str) -> Behaviour:
    """Behave, and list these beside AUTH."""
    return partial(converse, capabilities=capabilities)


def converse(conversation: Conversation, capabilities: tuple[str, ...] = USUAL) -> None:
    conversation.send(GREETING)
    for line in conversation.lines():
        verb, _, arguments = line.partition(b" ")
        if verb == b"AUTH":
            if knows_password(arguments.split()[1]):
                conversation.send(b"235 2.7.0 in\r\n")
                session(conversation)
                return
            conversation.send(b"535 5.7.8 not you\r\n")
        elif verb == b"XCLIENT":
            conversation.send(GREETING)
        else:
            conversation.send(_listed(capabilities) if verb == b"EHLO" else b"250 Ok\r\n")


def session(conversation: Conversation) -> None:
    for line in conversation.lines():
        conversation.commands.append(line)
        verb = line.split()[0].upper()
        if verb == b"DATA":
            conversation.send(b"354 go on\r\n")
            conversation.commands.append(conversation.through(END_OF_DATA))
        elif verb == b"BDAT":
            conversation.commands.append(conversation.octets(int(line.split()[1])))
        conversation.send(b"221 Bye\r\n" if verb == b"QUIT" else b"250 " + verb + b"\r\n")
        if verb == b"QUIT":
            return


def _listed(capabilities: tuple[str, ...]) -> bytes:
    lines = ["mta.example", *capabilities, "AUTH PLAIN"]
    ends = ["-"] * (len(lines) - 1) + [" "]
    return "".join(f"250{end}{line}\r\n" for end, line in zip(ends, lines, strict=True)).encode()
