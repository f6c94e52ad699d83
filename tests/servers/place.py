"""The product before one mailbox server or a few, for logins in ways that the server must be told of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from servers.raw_client import RawClient
from servers.zproxy import LISTENERS, Zproxy, backend, directory_file
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certificates import Authority
    from servers.zproxy import Config
    from zcontrol.demo.dovecot import MailboxServer

SITI, BUDI, NOBODY = "siti@tgg.net.id", "budi@tgg.net.id", "nobody@tgg.net.id"
LISTS = {"imap": b"a CAPABILITY\r\n", "pop3": b"CAPA\r\n"}


class Place(NamedTuple):
    """A proxy before one mailbox server."""

    zproxy: Zproxy
    mailbox: MailboxServer
    authority: Authority

    def client(self, protocol: str, *, address: str | None = None) -> RawClient:
        """Connect with TLS, and hear the greeting."""
        client = RawClient(self.zproxy.listeners[protocol + "s"], address=address)
        client.secure(self.authority.client_context(), HOSTNAME)
        assert client.line().startswith((b"* OK", b"+OK"))
        return client


def config(directory: Path, authority: Authority, *mailboxes: MailboxServer) -> Config:
    """Give a config with a home for each account at the first mailbox server."""
    certificate = authority.issue(HOSTNAME, "127.0.0.1")
    files = {"certificate_file": str(certificate.certificate_file), "key_file": str(certificate.key_file)}
    return {
        "listeners": LISTENERS,
        "certificates": [files],
        "timeouts": {"auth_failure_delay": "0.1s"},
        "health": {"interval": "0.2s"},
        "directory": directory_file(directory / "accounts.csv", dict.fromkeys((SITI, BUDI), mailboxes[0].name)),
        "backends": [backend(mailbox) for mailbox in mailboxes],
    }


def listed(place: Place, protocol: str) -> bytes:
    """Return what is offered to a client before its login."""
    with place.client(protocol) as client:
        heard = [client.ask(LISTS[protocol])]
        while not heard[-1].startswith((b"a OK", b".\r\n")):
            heard.append(client.line())
        return b"".join(heard)
