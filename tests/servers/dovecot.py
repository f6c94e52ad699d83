"""Real mailbox servers, and what their logs say of each login.

`mailboxes` are the two of the demo with its five accounts, shared by the whole run; `start_dovecot` starts one more.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from servers.waiting import until
from zcontrol.demo.accounts import ACCOUNTS, PASSWORD, welcome
from zcontrol.demo.dovecot import MailboxServer, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority

LOGIN = re.compile(
    r"(?P<service>imap|pop3|managesieve)-login: Info: Login: user=<(?P<user>[^>]*)>, method=(?P<method>\S+), "
    r"rip=(?P<rip>\S+), lip=(?P<lip>\S+), mpid=\d+,(?P<tls> TLS,)?.* session=<(?P<session>[^>]*)>"
)
# Refusals come at once: zproxy's own delay is what clients wait for.
LINES = "auth_failure_delay = 0\n"


@dataclass(frozen=True, kw_only=True)
class LoggedLogin:
    """One login, as the mailbox server saw it."""

    service: str
    user: str
    method: str
    rip: str
    """The client's address, as far as the server knows."""
    lip: str
    tls: bool
    session: str


def logins(server: MailboxServer) -> list[LoggedLogin]:
    """Return every login that the server has logged so far."""
    found = LOGIN.finditer(server.log_file.read_text(errors="replace"))
    return [LoggedLogin(**(login.groupdict() | {"tls": login["tls"] is not None})) for login in found]


def login_from(server: MailboxServer, address: str) -> LoggedLogin:
    """Wait for the one login of a client at `address`, an address that no other client has."""
    (found,) = until(lambda: [login for login in logins(server) if login.rip == address])
    return found


class StartDovecot(Protocol):
    def __call__(self, name: str, *accounts: str, lines: str = "") -> MailboxServer: ...


@pytest.fixture(scope="session")
def mailboxes(authority: Authority) -> Iterator[dict[str, MailboxServer]]:
    """mbox-1 and mbox-2; every account has one message, which names its server."""
    with ExitStack() as stack:
        yield {name: start(stack, authority, name, *accounts) for name, accounts in ACCOUNTS.items()}


@pytest.fixture
def start_dovecot(authority: Authority) -> Iterator[StartDovecot]:
    with ExitStack() as stack:
        yield partial(start, stack, authority)


def start(stack: ExitStack, authority: Authority, name: str, *accounts: str, lines: str = "") -> MailboxServer:
    """Start one that lives as long as the stack; every account has its welcome."""
    # Not below pytest's own directory, which nobody but its owner may enter: as root, Dovecot runs as another user.
    parent = Path(tempfile.mkdtemp(prefix="zproxy-test-"))
    stack.callback(shutil.rmtree, parent)
    parent.chmod(0o711)
    certificate = authority.issue(f"{name}.example")
    setting = Setting(
        name=name,
        directory=parent / name,
        passwords=dict.fromkeys(accounts, PASSWORD),
        certificate_file=certificate.certificate_file,
        key_file=certificate.key_file,
        lines=LINES + lines,
    )
    server = stack.enter_context(MailboxServer(setting))
    for account in accounts:
        server.deliver(account, welcome(account, name))
    return server
