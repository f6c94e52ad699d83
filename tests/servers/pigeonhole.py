"""The product before two mailbox servers whose users keep their filters by ManageSieve: Dovecot with Pigeonhole.

mbox-1 is told of clients by XCLIENT, mbox-2 by PROXY v2. mbox-2 knows fewer extensions of Sieve, and one more.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from servers import dovecot
from servers.sieve_client import SieveClient
from servers.waiting import until
from servers.zproxy import Zproxy, backend, listener, two_mailboxes
from zcontrol.demo.accounts import ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.zproxy import Config
    from zcontrol.demo.dovecot import MailboxServer

PORTS = {"sieve": 14190, "sieve_proxy": 15190}
LISTENERS = [
    listener("sieve", "sieve", "starttls_required"),
    listener("sieves", "sieve", "implicit"),
    listener("sieve_proxied", "sieve", "off", proxy_protocol_from=["127.0.0.0/8"]),
]
EXTENSIONS = {"mbox-1": "", "mbox-2": "sieve_extensions = -vacation -regex +editheader\n"}
STARTTLS_XCLIENT = {"port": PORTS["sieve"], "tls": "starttls", "forward": "xclient"}
# Not implicit TLS, which RFC 5804 does not know: made to, Dovecot 2.3 overlooks one first command in a hundred.
STARTTLS_PROXY_V2 = {"port": PORTS["sieve_proxy"], "tls": "starttls", "forward": "proxy_v2"}
DOVECOT_LINES = f"""\
protocols = imap pop3 sieve
service managesieve-login {{
  chroot =
  service_count = 0
  inet_listener sieve {{
    port = {PORTS["sieve"]}
  }}
  inet_listener sieve_proxy {{
    port = {PORTS["sieve_proxy"]}
    haproxy = yes
  }}
}}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
  %s
}}
"""


class ScriptServers:
    """Both mailbox servers; a context manager. `lines` are more configuration of each."""

    def __init__(self, authority: Authority, *, lines: str = "") -> None:
        self.authority = authority
        self.mailboxes: dict[str, MailboxServer] = {}
        self._lines = lines
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for name, accounts in ACCOUNTS.items():
                lines = DOVECOT_LINES % EXTENSIONS[name] + self._lines
                self.mailboxes[name] = dovecot.start(starting, self.authority, name, *accounts, lines=lines)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def scripts(self, server: str, account: str) -> Path:
        """Return the directory of the account's scripts; the active one is `.dovecot.sieve` beside it."""
        return self.mailboxes[server].setting.directory / "mail" / account / "sieve"

    @contextmanager
    def behind(self, directory: Path) -> Iterator[Zproxy]:
        """Run the product before them, and wait until it knows what both can do."""
        with Zproxy(directory, self.config(directory)) as zproxy:
            until(lambda: self.offered(zproxy)["SIEVE"])
            yield zproxy

    def client(self, zproxy: Zproxy) -> SieveClient:
        """Connect in TLS."""
        return SieveClient(zproxy.listeners["sieves"], context=self.authority.client_context())

    def config(self, directory: Path) -> Config:
        ways = {"mbox-1": STARTTLS_XCLIENT, "mbox-2": STARTTLS_PROXY_V2}
        config = two_mailboxes(directory, self.authority, self.mailboxes)
        return config | {
            "listeners": LISTENERS,
            "backends": [
                backend(server, sieve=ways[name] | {"verify_name": f"{name}.example"})
                for name, server in self.mailboxes.items()
            ],
        }

    def offered(self, zproxy: Zproxy) -> dict[str, str]:
        """Return what a client is offered before its login, in TLS."""
        with self.client(zproxy) as client:
            return client.greeting.capabilities
