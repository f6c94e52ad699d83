"""The product before two mailbox servers that each have a Postfix beside them, as one machine of a provider has.

mbox-1's Postfix is told of clients by XCLIENT, and believes nobody but the proxy. mbox-2's is told by PROXY v2, and
believes XCLIENT from all of loopback: from our clients too, if their words came through.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from servers import dovecot, postfix
from servers.clients import SENDING, Visitor
from servers.raw_client import plain
from servers.waiting import until
from servers.zproxy import Zproxy, backend, listener, two_mailboxes
from zcontrol.demo.accounts import ACCOUNTS, PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.postfix import Postfix
    from servers.zproxy import Config
    from zcontrol.demo.dovecot import MailboxServer

LISTENERS = [
    listener("submission", "submission", "starttls_required"),
    listener("submissions", "submission", "implicit"),
    listener("submission_proxied", "submission", "off", proxy_protocol_from=["127.0.0.0/8"]),
]
BELIEVES = {
    "mbox-1": "",
    "mbox-2": "smtpd_authorized_xclient_hosts = 127.0.0.0/8\nsmtpd_authorized_xforward_hosts = 127.0.0.0/8\n",
}
"""Lines of main.cf."""
STARTTLS_XCLIENT = {"port": postfix.PORTS["submission"], "tls": "starttls", "forward": "xclient"}
IMPLICIT_PROXY_V2 = {"port": postfix.PORTS["submissions_proxy"], "tls": "implicit", "forward": "proxy_v2"}


class Offices:
    """Both mailbox servers with their Postfix; a context manager.

    `lines` are more configuration of each Dovecot, `mta_lines` of each Postfix.
    """

    def __init__(self, authority: Authority, *, lines: str = "", mta_lines: str = "") -> None:
        self.authority = authority
        self._lines = lines
        self._mta_lines = mta_lines
        self.mailboxes: dict[str, MailboxServer] = {}
        self.mtas: dict[str, Postfix] = {}
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for name, accounts in ACCOUNTS.items():
                lines = postfix.DOVECOT_LINES + self._lines
                self.mailboxes[name] = dovecot.start(starting, self.authority, name, *accounts, lines=lines)
            homes = {account: self.mailboxes[name] for name, accounts in ACCOUNTS.items() for account in accounts}
            for name, server in self.mailboxes.items():
                setting = postfix.Setting(
                    name=name,
                    certificate=self.authority.issue(f"{name}.example"),
                    passwords=server,
                    homes=homes,
                    lines=BELIEVES[name] + self._mta_lines,
                )
                self.mtas[name] = starting.enter_context(postfix.started(setting))
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @contextmanager
    def behind(self, directory: Path, **submission: Config) -> Iterator[Zproxy]:
        """Run the product before them, and wait until it has its pool: it is ready before."""
        with Zproxy(directory, self.config(directory, **submission)) as zproxy:
            until(lambda: all(self._lets_in(zproxy, accounts[0]) for accounts in ACCOUNTS.values()))
            yield zproxy

    def config(self, directory: Path, **submission: Config) -> Config:
        """Return a config of both; `submission` are endpoints by backend, for `-` in the name write `_`."""
        ways = {"mbox_1": STARTTLS_XCLIENT, "mbox_2": IMPLICIT_PROXY_V2} | submission
        config = two_mailboxes(directory, self.authority, self.mailboxes)
        return config | {
            "listeners": LISTENERS,
            "backends": [
                backend(server, submission=ways[name.replace("-", "_")] | {"verify_name": f"{name}.example"})
                for name, server in self.mailboxes.items()
            ],
        }

    def _lets_in(self, zproxy: Zproxy, account: str) -> bool:
        with Visitor(zproxy=zproxy, context=self.authority.client_context()).smtp(SENDING["465"]) as client:
            client.ehlo()
            return client.docmd("AUTH", "PLAIN " + plain(account, PASSWORD).decode())[0] == 235
