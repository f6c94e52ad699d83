"""The product before two mailbox servers that each have a Postfix and a webmail of their own beside them.

mbox-1's webmail is reached in clear and told of clients by X-Forwarded-For alone, mbox-2's in TLS and by PROXY v2.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from servers import roundcube
from servers.http_client import Http1
from servers.offices import Offices
from servers.waiting import until
from servers.zproxy import Zproxy, backend, listener, two_mailboxes
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.roundcube import Roundcube
    from servers.zproxy import Config

GROUP = "webmail"
ENDPOINTS = {
    "mbox-1": {"port": roundcube.PORTS["http"]},
    "mbox-2": {
        "port": roundcube.PORTS["https_proxy"],
        "tls": "implicit",
        "verify_name": "mbox-2.example",
        "forward": "proxy_v2",
    },
}


class Webmails:
    """Both machines with all that runs there; a context manager."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.offices = Offices(authority)
        self.roundcubes: dict[str, Roundcube] = {}
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self.offices)
            for name, mailbox in self.offices.mailboxes.items():
                started = roundcube.started(self.authority, mailbox, self.offices.mtas[name])
                self.roundcubes[name] = starting.enter_context(started)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @contextmanager
    def behind(self, directory: Path, *, login: str, **host: object) -> Iterator[Zproxy]:
        """Run the product before them; `login` makes the form, and `host` are more keys of the virtual host."""
        with Zproxy(directory, self._config(directory, {"login": login, **host})) as zproxy:
            until(lambda: self._serves(zproxy))
            yield zproxy

    def _serves(self, zproxy: Zproxy) -> bool:
        """Tell whether it has its pool: it is ready before."""
        with Http1(zproxy.listeners["https"], self.authority) as client:
            return client.get("/").status == 200

    def _config(self, directory: Path, host: Config) -> Config:
        config = two_mailboxes(directory, self.authority, self.offices.mailboxes)
        forms = {"names": [HOSTNAME], "login_forms": [{"preset": "roundcube"}]}
        return config | {
            "listeners": [listener("https", "http", "implicit"), listener("http", "http", "off")],
            "groups": [{"name": GROUP, "kind": "shared"}],
            "backends": [
                backend(server, http=ENDPOINTS[name]) | {"group": GROUP}
                for name, server in self.offices.mailboxes.items()
            ],
            "http": {"hosts": [forms | host]},
        }
