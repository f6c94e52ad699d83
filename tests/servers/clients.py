"""Mail clients of Python's library that connect from an address of their own, so that logs tell them apart."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
import socket
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from zcontrol.demo.accounts import HOSTNAME, PASSWORD
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    import ssl

    from servers.zproxy import Zproxy


@dataclass(frozen=True, kw_only=True)
class Way:
    """One of the ways a client reaches a mailbox."""

    listener: str
    starttls: bool = False

    @property
    def protocol(self) -> str:
        return self.listener.removesuffix("s")

    @property
    def implicit_tls(self) -> bool:
        return self.listener.endswith("s")


WAYS = {
    "IMAP": Way(listener="imap"),
    "IMAPS": Way(listener="imaps"),
    "STARTTLS": Way(listener="imap", starttls=True),
    "POP3": Way(listener="pop3"),
    "POP3S": Way(listener="pop3s"),
    "STLS": Way(listener="pop3", starttls=True),
}
"""To read mail."""

SENDING = {
    "587": Way(listener="submission", starttls=True),
    "465": Way(listener="submissions"),
}
"""To send it."""


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Somebody with a mail client, at an address of his own."""

    zproxy: Zproxy
    context: ssl.SSLContext
    host: str = HOSTNAME
    """The name he was told to connect to; there is no DNS, so the address is the listener's."""
    address: str = field(default_factory=own_address)

    def connect(self, way: Way, *, first: bytes = b"") -> socket.socket:
        """Connect, send `first` (a PROXY header), and shake hands where the way begins with TLS."""
        plain = socket.create_connection(
            self.zproxy.listeners[way.listener], timeout=PATIENCE_SECONDS, source_address=(self.address, 0)
        )
        plain.sendall(first)
        if not way.implicit_tls:
            return plain
        return self.context.wrap_socket(plain, server_hostname=self.host)

    def imap(self, way: Way, *, first: bytes = b"") -> imaplib.IMAP4:
        client = _Imap(self, way, first)
        if way.starttls:
            client.starttls(self.context)
        return client

    def pop3(self, way: Way, *, first: bytes = b"") -> poplib.POP3:
        client = _Pop3(self, way, first)
        if way.starttls:
            client.stls(self.context)
        return client

    def smtp(self, way: Way, *, first: bytes = b"") -> smtplib.SMTP:
        client = _Smtp(self, way, first)
        if way.starttls:
            client.starttls(context=self.context)
        return client

    def read_first(self, way: Way, name: str, password: str = PASSWORD) -> str:
        """Log in, fetch the first message, log out."""
        if way.protocol == "imap":
            with self.imap(way) as client:
                client.login(quoted(name), password)
                client.select(readonly=True)
                return client.fetch("1", "BODY.PEEK[]")[1][0][1].decode()
        with closing(self.pop3(way)) as client:
            client.user(name)
            client.pass_(password)
            lines = client.retr(1)[1]
            client.quit()
            return b"\n".join(lines).decode()

    def refusal(self, name: str, password: str, *, authzid: str = "") -> str:
        """What IMAP tells somebody who should not be let in."""
        client = self.imap(WAYS["IMAPS"])
        with pytest.raises(imaplib.IMAP4.error) as caught:
            client.authenticate("PLAIN", lambda _: f"{authzid}\0{name}\0{password}".encode())
        client.shutdown()
        return str(caught.value.args[0])


def quoted(text: str) -> str:
    """Write an IMAP quoted string; imaplib does so for the password only."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Imap(imaplib.IMAP4):
    def __init__(self, visitor: Visitor, way: Way, first: bytes) -> None:
        self._open = lambda: visitor.connect(way, first=first)
        super().__init__(visitor.host)

    def _create_socket(self, timeout: float | None) -> socket.socket:  # noqa: ARG002 - the visitor's patience counts
        return self._open()


class _Pop3(poplib.POP3):
    def __init__(self, visitor: Visitor, way: Way, first: bytes) -> None:
        self._open = lambda: visitor.connect(way, first=first)
        super().__init__(visitor.host)

    def _create_socket(self, timeout: float | None) -> socket.socket:  # noqa: ARG002 - the visitor's patience counts
        return self._open()


class _Smtp(smtplib.SMTP):
    def __init__(self, visitor: Visitor, way: Way, first: bytes) -> None:
        self._open = lambda: visitor.connect(way, first=first)
        super().__init__(visitor.host, local_hostname=CALLS_ITSELF)

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:  # noqa: ARG002 - as above
        return self._open()


CALLS_ITSELF = "laptop.example"
"""What a client that sends mail says in its EHLO."""
PATIENCE_SECONDS = 20
