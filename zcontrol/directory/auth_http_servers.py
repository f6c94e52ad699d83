"""The servers of an auth_http directory: bounded connections to each, the first healthy one in the operator's order.

One that cannot be reached, or is too late, is left alone for a while and then tried in the background. One that answers
nonsense is passed over for that question alone: a name that breaks a script must not take it away from the others.
"""

import asyncio
import ssl
import time
from collections.abc import Iterator
from typing import Final, final

import structlog

from zcontrol import metrics
from zcontrol.breaker import Breaker
from zcontrol.directory.auth_http_answer import Answer, UnusableAnswerError, parse
from zcontrol.directory.auth_http_request import Question, configured
from zcontrol.errors import DirectoryError, DirectoryUnavailableError
from zcontrol.v1 import config_pb2
from zcontrol.web.http_client import HttpClient
from zcontrol.web.http_connection import Headers, HttpError, Request, UnreachableError

log = structlog.get_logger(__name__)


@final
class Servers:
    """Asks questions; for use by one event loop."""

    def __init__(self, config: config_pb2.AuthHttpDirectory) -> None:
        """Connects to nobody yet; raises `DirectoryError` if the config can lead nowhere."""
        if not config.urls:
            raise DirectoryError("directory.auth_http.urls is empty: name at least one server")
        self.connections: Final = config.connections or DEFAULT_CONNECTIONS
        timeout = config.timeout.ToTimedelta().total_seconds() or DEFAULT_TIMEOUT_SECONDS
        tls = _tls(config.ca_file)
        added = configured(config.headers)
        self._servers = [
            _Server(HttpClient(url, tls, timeout_seconds=timeout, connections=self.connections), added)
            for url in config.urls
        ]
        self._probes: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Answer:
        """The answer of the first server that has one; raises `DirectoryUnavailableError` if none has."""
        reason = ""
        for server in self._candidates():
            try:
                return parse(await self._judged(server, question.headers()))
            except (HttpError, UnusableAnswerError) as error:
                reason = f"{server.name}: {error}"
        if reason:
            raise DirectoryUnavailableError(f"no auth_http server can answer: {reason}")
        last = max(self._servers, key=lambda server: server.failed_at)
        raise DirectoryUnavailableError(
            f"no auth_http server can answer, each failed a moment ago: {last.name}: {last.reason}"
        )

    async def probe(self) -> None:
        """Ask every server for nothing, so that the log tells what is wrong with it."""
        await asyncio.gather(*map(self._probe, self._servers))

    async def close(self) -> None:
        """Close every connection."""
        for probe in self._probes:
            probe.cancel()
        if self._probes:
            await asyncio.wait(self._probes)
        for server in self._servers:
            server.client.close()

    def _candidates(self) -> Iterator["_Server"]:
        """The healthy in order; without any, those whose rest is over, which else are tried in the background."""
        healthy = [server for server in self._servers if server.breaker.closed]
        due = [server for server in self._servers if not server.breaker.closed and server.breaker.allows()]
        if not healthy:
            yield from due
            return
        for server in due:
            task = asyncio.create_task(self._probe(server), name=f"try {server.name} again")
            self._probes.add(task)
            task.add_done_callback(self._probes.discard)
        yield from healthy

    async def _probe(self, server: "_Server") -> None:
        """A question without a name: what it answers does not matter, save that it speaks for itself."""
        try:
            await self._judged(server, [], any_status=True)
        except (HttpError, UnusableAnswerError):
            log.debug("auth_http server is still unwell", server=server.name, reason=server.reason)

    async def _judged(self, server: "_Server", headers: Headers, *, any_status: bool = False) -> Headers:
        """The answer's headers; the server's breaker learns whether it can be reached."""
        try:
            answered = await server.client.ask(Request([*headers, *server.added]))
        except UnreachableError as error:
            _failed(server, str(error))
            raise
        _succeeded(server)
        if answered.status != OK and not any_status:
            raise UnusableAnswerError(f"it answered HTTP status {answered.status}; look at its log")
        return answered.headers


@final
class _Server:
    """A server, and whether it may be asked."""

    def __init__(self, client: HttpClient, added: Headers) -> None:
        self.client: Final = client
        self.added: Final = added
        self.name: Final = client.name
        self.breaker: Final = Breaker()
        # Of its last failure, for who is turned away while it is left alone.
        self.reason = ""
        self.failed_at = 0.0


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise DirectoryError(f"directory.auth_http.ca_file: {ca_file}: {error}; name a PEM bundle") from error


def _succeeded(server: _Server) -> None:
    if not server.breaker.closed:
        server.breaker.succeeded()
        log.info("auth_http server answers again", server=server.name)


def _failed(server: _Server, reason: str) -> None:
    metrics.DIRECTORY_FAILURES.labels(server.name).inc()
    news = server.breaker.closed
    server.breaker.failed()
    server.reason, server.failed_at = reason, time.monotonic()
    if news:
        log.warning("auth_http server fails and is left alone for a while", server=server.name, reason=reason)


OK: Final = 200
DEFAULT_CONNECTIONS: Final = 16
DEFAULT_TIMEOUT_SECONDS: Final = 2.0
