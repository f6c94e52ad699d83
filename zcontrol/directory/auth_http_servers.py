"""The servers of an auth_http directory: bounded connections to each, the first healthy one in the operator's order.

One that cannot be reached, or is too late, is left alone for a while and then tried in the background. One that answers
nonsense is passed over for that question alone: a name that breaks a script must not take it away from the others.
"""

import asyncio
import ssl
import time
from collections.abc import Iterator
from typing import Final, final

import httpx
import structlog

from zcontrol import metrics
from zcontrol.breaker import Breaker
from zcontrol.directory.auth_http_answer import Answer, UnusableAnswerError, parse
from zcontrol.directory.auth_http_request import Headers, Question, configured
from zcontrol.errors import DirectoryError, DirectoryUnavailableError
from zcontrol.v1 import config_pb2

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
            _Server(url, added, tls, timeout_seconds=timeout, connections=self.connections) for url in config.urls
        ]
        self._probes: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Answer:
        """The answer of the first server that has one; raises `DirectoryUnavailableError` if none has."""
        reason = ""
        for server in self._candidates():
            try:
                return parse(await self._judged(server, question.headers()))
            except (_UnreachableError, UnusableAnswerError) as error:
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
            await server.close()

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
        except (_UnreachableError, UnusableAnswerError):
            log.debug("auth_http server is still unwell", server=server.name, reason=server.reason)

    async def _judged(self, server: "_Server", headers: Headers, *, any_status: bool = False) -> Headers:
        """The answer's headers; the server's breaker learns whether it can be reached."""
        try:
            status, answered = await server.get(headers)
        except _UnreachableError as error:
            _failed(server, str(error))
            raise
        _succeeded(server)
        if status != OK and not any_status:
            raise UnusableAnswerError(f"it answered HTTP status {status}; look at its log")
        return answered

    def __repr__(self) -> str:
        """For logs; what is sent stays out of it."""
        return f"Servers({', '.join(server.name for server in self._servers)})"


class _UnreachableError(Exception):
    """A server cannot be reached, is too late, or does not speak HTTP."""


@final
class _Server:
    """A server, its connections, and whether it may be asked."""

    def __init__(
        self, url: str, added: Headers, tls: ssl.SSLContext, *, timeout_seconds: float, connections: int
    ) -> None:
        self._url = httpx.URL(url)
        # A query may hold a secret.
        self.name: Final = str(self._url.copy_with(query=None))
        self.breaker: Final = Breaker()
        # Of its last failure, for who is turned away while it is left alone.
        self.reason = ""
        self.failed_at = 0.0
        self._added = added
        self._timeout_seconds = timeout_seconds
        # Waiting for a connection is not the server's delay, so it is not on its time.
        self._room = asyncio.Semaphore(connections)
        limits = httpx.Limits(max_connections=connections, keepalive_expiry=KEPT_ALIVE_SECONDS)
        # What environment variables say of proxies is not for us, and nobody is redirected anywhere.
        self._client = httpx.AsyncClient(verify=tls, limits=limits, timeout=timeout_seconds, trust_env=False)

    async def get(self, headers: Headers) -> tuple[int, Headers]:
        """Status and headers of the answer; raises `_UnreachableError`."""
        async with self._room:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    return await self._get_again(headers)
            except TimeoutError as error:
                raise _UnreachableError(f"no answer within {self._timeout_seconds:g} s") from error
            except (httpx.HTTPError, OSError) as error:
                raise _UnreachableError(_reason(error)) from error

    async def close(self) -> None:
        await self._client.aclose()

    async def _get_again(self, headers: Headers) -> tuple[int, Headers]:
        try:
            return await self._get_once(headers)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
            # The server may have closed an idle connection, which says nothing about the server: once more.
            log.debug("connection to an auth_http server is gone", server=self.name, reason=str(error))
            return await self._get_once(headers)

    async def _get_once(self, headers: Headers) -> tuple[int, Headers]:
        request = httpx.Request("GET", self._url, headers=[*headers, *self._added])
        response = await self._client.send(request, stream=True)
        try:
            if response.status_code in GATEWAY_FAILURES:
                raise _UnreachableError(f"it answered HTTP status {response.status_code}")
            await _skip_body(response)
            return response.status_code, response.headers.raw
        finally:
            # Where the body was not read to its end this closes the connection.
            await response.aclose()


async def _skip_body(response: httpx.Response) -> None:
    """The answer is in the headers; a short body is read so that the connection can be used again."""
    size = 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > LARGEST_BODY:
            return


def _reason(error: Exception) -> str:
    """What the library says of a request may quote the password; what it says of a connection or an answer cannot."""
    told = "" if isinstance(error, httpx.LocalProtocolError) else str(error)
    return told or type(error).__name__


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
# Said by what stands before the server, which itself cannot be reached.
GATEWAY_FAILURES: Final = (502, 503, 504)
DEFAULT_CONNECTIONS: Final = 16
DEFAULT_TIMEOUT_SECONDS: Final = 2.0
# Shorter than what servers use (Apache 5 s), so that a question seldom meets a connection that is being closed.
KEPT_ALIVE_SECONDS: Final = 3.0
# An error page; beyond it a new connection is cheaper.
LARGEST_BODY: Final = 64 * 1024
