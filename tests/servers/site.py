"""The product before fake web servers: `one` is Siti's home and speaks in clear, `two` is Budi's and speaks TLS.

Whoever is not known goes to one of both.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from servers.fake_backend import FakeBackend
from servers.fake_mailbox import in_tls
from servers.fake_web import Web
from servers.front import ONE_PROBE, TIMEOUTS, server_context
from servers.http_client import Http1, Http2
from servers.probed import Probed
from servers.waiting import until
from servers.zproxy import Zproxy, directory_file, listener
from zcontrol.demo.accounts import HOSTNAME
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.fake_web import Answers, Request
    from servers.zproxy import Config

SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"
HOMES = {SITI: "one", BUDI: "two"}
CERTIFIED = "web.example"
PORT = 1080
ENDPOINTS: dict[str, Config] = {"one": {}, "two": {"tls": "implicit", "verify_name": CERTIFIED}}


class Site(Probed):
    """The product and the servers; a context manager.

    `host` are keys of the one virtual host, `endpoints` more of each endpoint, `changes` replace whole keys.
    """

    def __init__(
        self,
        directory: Path,
        authority: Authority,
        /,
        *,
        host: Config | None = None,
        http: Config | None = None,
        endpoints: Config | None = None,
        service: str = "http",
        **changes: object,
    ) -> None:
        self.authority = authority
        self.webs = {name: Web(name=name) for name in ENDPOINTS}
        context = server_context(authority.issue(CERTIFIED))
        self.backends = {
            name: FakeBackend(
                in_tls(self.webs[name], context) if "tls" in endpoint else self.webs[name],
                address=own_address(),
                port=PORT,
            )
            for name, endpoint in ENDPOINTS.items()
        }
        hosts = [{"names": [HOSTNAME], "login": "webs"} | (host or {})]
        config = self._config(directory, endpoints or {}, service) | {"http": {"hosts": hosts} | (http or {})}
        self.zproxy = Zproxy(directory, config | changes)

    def http1(self, *, listener: str = "https", address: str | None = None) -> Http1:
        """Connect; to `http` in clear."""
        authority = self.authority if listener == "https" else None
        return Http1(self.zproxy.listeners[listener], authority, address=address)

    def http2(self, *, address: str | None = None) -> Http2:
        return Http2(self.zproxy.listeners["https"], self.authority, address=address)

    @contextmanager
    def answering(self, path: str, answers: Answers) -> Iterator[None]:
        """Within the block every server answers that path so."""
        for web in self.webs.values():
            web.answers[path] = answers
        try:
            yield
        finally:
            for web in self.webs.values():
                del web.answers[path]

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Nothing in the block makes the product ask any server anything."""
        before = self._heard()
        yield
        assert self._heard() == before

    def asked(self, path: str) -> Request:
        """Wait for the one request of that path, whichever server it came to."""
        (request,) = until(lambda: [one for web in self.webs.values() for one in web.requests if one.path == path])
        return request

    def _heard(self) -> int:
        return sum(len(one.heard) for backend in self.backends.values() for one in backend.conversations)

    def _config(self, directory: Path, endpoints: Config, service: str) -> Config:
        certificate = self.authority.issue(HOSTNAME, "*.tgg.net.id")
        return {
            "listeners": [listener("https", "http", "implicit"), listener("http", "http", "off")],
            "certificates": [certificate.config],
            "backend_tls": {"ca_file": str(self.authority.ca_file)},
            "timeouts": TIMEOUTS,
            "health": ONE_PROBE,
            "directory": directory_file(directory / "accounts.csv", HOMES),
            "groups": [{"name": "webs", "kind": "shared"}],
            "backends": [
                {
                    "name": name,
                    "group": "webs",
                    "host": self.backends[name].address,
                    "endpoints": {service: {"port": PORT} | endpoint | endpoints},
                }
                for name, endpoint in ENDPOINTS.items()
            ],
        }
