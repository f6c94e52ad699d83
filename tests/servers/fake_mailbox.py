"""Fake mailbox servers that behave: they let in whoever knows the password and then say back what each command was.

A backend that misbehaves in one thing is made of these with that thing replaced.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from servers.fake_backend import Behaviour, Conversation

PASSWORD = "open sesame"
IMAP_GREETING = b"* OK [CAPABILITY IMAP4rev1 SASL-IR ID STARTTLS LITERAL+ AUTH=PLAIN] ready\r\n"
IMAP_WELCOME = b"OK [CAPABILITY IMAP4rev1 IDLE] in"
IMAP_REFUSAL = b"NO [AUTHENTICATIONFAILED] not you"
POP3_GREETING = b"+OK ready\r\n"
POP3_CAPABILITIES = b"+OK\r\nTOP\r\nUIDL\r\nSTLS\r\nSASL PLAIN\r\nPIPELINING\r\n.\r\n"
POP3_WELCOME = b"+OK in\r\n"
POP3_REFUSAL = b"-ERR [AUTH] not you\r\n"


def imap(conversation: Conversation) -> None:
    conversation.send(IMAP_GREETING)
    imap_login(conversation)
    imap_session(conversation)


def imap_starttls(conversation: Conversation, context: ssl.SSLContext) -> None:
    conversation.send(IMAP_GREETING)
    for line in conversation.lines():
        tag, verb, _ = _words(line)
        if verb == b"STARTTLS":
            conversation.send(tag + b" OK go on\r\n")
            conversation.secure(context)
            imap_login(conversation)
            imap_session(conversation)


def imap_login(conversation: Conversation, welcome: bytes = IMAP_WELCOME, refusal: bytes = IMAP_REFUSAL) -> None:
    """Answer until the client is logged in, or the proxy leaves."""
    while login := imap_until_login(conversation):
        tag, response = login
        known = knows_password(response)
        conversation.send(tag + b" " + (welcome if known else refusal) + b"\r\n")
        if known:
            return


def imap_until_login(conversation: Conversation) -> tuple[bytes, bytes] | None:
    """Answer what comes before a login, and return the login's tag and PLAIN response; None if the proxy leaves."""
    for line in conversation.lines():
        tag, verb, arguments = _words(line)
        if verb == b"AUTHENTICATE":
            return tag, arguments.split()[1]
        if verb == b"CAPABILITY":
            conversation.send(b"* CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN\r\n")
        conversation.send(tag + b" OK done\r\n")
    return None


def imap_session(conversation: Conversation) -> None:
    for line in conversation.lines():
        conversation.commands.append(line)
        tag, verb, _ = _words(line)
        conversation.send(tag + b" OK " + verb + b"\r\n")
        if verb == b"LOGOUT":
            return


def pop3(conversation: Conversation) -> None:
    conversation.send(POP3_GREETING)
    pop3_login(conversation)
    pop3_session(conversation)


def pop3_starttls(conversation: Conversation, context: ssl.SSLContext) -> None:
    conversation.send(POP3_GREETING)
    for line in conversation.lines():
        if line == b"STLS":
            conversation.send(b"+OK go on\r\n")
            conversation.secure(context)
            pop3_login(conversation)
            pop3_session(conversation)


def pop3_login(conversation: Conversation, welcome: bytes = POP3_WELCOME, refusal: bytes = POP3_REFUSAL) -> None:
    """Answer until the client is logged in, or the proxy leaves."""
    while response := pop3_until_login(conversation):
        known = knows_password(response)
        conversation.send(welcome if known else refusal)
        if known:
            return


def pop3_until_login(conversation: Conversation) -> bytes | None:
    """Answer what comes before a login, and return the login's PLAIN response; None if the proxy leaves."""
    for line in conversation.lines():
        verb, _, arguments = line.partition(b" ")
        if verb == b"AUTH":
            return arguments.split()[1]
        conversation.send(POP3_CAPABILITIES if verb == b"CAPA" else b"+OK\r\n")
    return None


def pop3_session(conversation: Conversation) -> None:
    for line in conversation.lines():
        conversation.commands.append(line)
        conversation.send(b"+OK " + line.split()[0] + b"\r\n")
        if line == b"QUIT":
            return


def in_tls(behaviour: Behaviour, context: ssl.SSLContext) -> Behaviour:
    """Do that in TLS from the first byte."""

    def secured(conversation: Conversation) -> None:
        conversation.secure(context)
        behaviour(conversation)

    return secured


def knows_password(response: bytes) -> bool:
    """Whether a PLAIN response holds the password."""
    return base64.b64decode(response).rpartition(b"\0")[2] == PASSWORD.encode()


def _words(line: bytes) -> tuple[bytes, bytes, bytes]:
    tag, _, rest = line.partition(b" ")
    verb, _, arguments = rest.partition(b" ")
    return tag, verb.upper(), arguments
