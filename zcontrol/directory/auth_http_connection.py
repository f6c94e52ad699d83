"""A connection to an auth_http server: HTTP/1.1 by h11, one question at a time, kept alive where the server lets us.

Made for questions that are asked at each login: 0.1 ms of our time each, where general clients take 2.
"""

import asyncio
import ssl
import time
from collections.abc import Sequence
from typing import Final, NamedTuple, cast, final
from urllib.parse import urlsplit

import h11

from zcontrol.directory.auth_http_request import Headers


class UnreachableError(Exception):
    """The server cannot be reached, is too late, or does not speak HTTP; the text says which."""


class GoneError(UnreachableError):
    """It has closed the connection before it said anything: if that was idle, it says nothing about the server."""


class Answered(NamedTuple):
    """What came back, its body left out."""

    status: int
    headers: Headers


@final
class Location:
    """Where a URL leads."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        parts = urlsplit(url)
        self._host: Final = parts.hostname or ""
        self._tls: Final = tls if parts.scheme == "https" else None
        self._port: Final = parts.port or (443 if self._tls else 80)
        # A query may hold a secret.
        self.name: Final = parts._replace(query="").geturl()
        self.target: Final = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.authority: Final = parts.netloc

    async def connect(self) -> "Connection":
        """A new connection; raises `UnreachableError`."""
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                Connection, self._host, self._port, ssl=self._tls
            )
        except OSError as error:
            raise UnreachableError(str(error)) from error
        return connection


@final
class Connection(asyncio.Protocol):
    """One connection; whoever asks waits for the answer before he asks again."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
        self._asked: asyncio.Future[Answered] | None = None
        self._answered: Answered | None = None
        self._body = 0
        self._used = time.monotonic()

    @property
    def usable(self) -> bool:
        """Whether another question may be asked here: the last answer is over, and the server has not closed."""
        idle = time.monotonic() - self._used < KEPT_ALIVE_SECONDS
        return idle and self._http.our_state is h11.IDLE and not self._transport.is_closing()

    async def ask(self, location: Location, headers: Sequence[tuple[bytes, bytes]]) -> Answered:
        """The answer; raises `UnreachableError`. Cancelled, it leaves a connection that is not usable."""
        request = h11.Request(
            method="GET", target=location.target, headers=[(b"Host", location.authority.encode()), *headers]
        )
        self._asked = asyncio.get_running_loop().create_future()
        self._answered, self._body = None, 0
        try:
            self._transport.write((self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b""))
            return await self._asked
        finally:
            self._asked, self._used = None, time.monotonic()
            if self._http.our_state is not h11.IDLE:
                self.close()

    def close(self) -> None:
        """Close at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to it."""
        # As TCP and TLS have it; uvloop's is no child of the class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take more of the answer."""
        if self._asked is None or self._asked.done():
            # Nobody asked: it could be taken for the answer to somebody else's question.
            self.close()
            return
        try:
            self._http.receive_data(data)
            self._advance(self._asked)
        except h11.RemoteProtocolError as error:
            self._fail(UnreachableError(str(error)))

    def eof_received(self) -> None:
        """It says no more; what it has said counts."""
        self._fail(self._gone())

    def connection_lost(self, exc: Exception | None) -> None:
        """The same, and it hears no more."""
        self._fail(self._gone() if exc is None else GoneError(str(exc) or type(exc).__name__))

    def _gone(self) -> UnreachableError:
        began = self._answered is not None or self._http.trailing_data[0]
        return UnreachableError("closed amid its answer") if began else GoneError("closed without an answer")

    def _advance(self, asked: asyncio.Future[Answered]) -> None:
        while True:
            match self._http.next_event():
                case h11.Response() as response:
                    self._answered = Answered(response.status_code, list(response.headers))
                    if self._http.our_state is h11.MUST_CLOSE:
                        # Its body may end whenever the server likes, and is for nobody.
                        break
                case h11.Data() as part:
                    self._body += len(part.data)
                    if self._body > LARGEST_BODY:
                        break
                case h11.EndOfMessage():
                    if not self._http.trailing_data[0]:
                        self._http.start_next_cycle()
                    break
                case h11.InformationalResponse():
                    pass
                case _:
                    return
        if self._answered:
            asked.set_result(self._answered)

    def _fail(self, error: UnreachableError) -> None:
        if self._asked and not self._asked.done():
            self._asked.set_exception(error)
        self._transport.abort()


# Far more than nginx has room for (1 KiB); what a server says longer is refused before it is kept.
LARGEST_HEAD: Final = 16 * 1024
# An error page; beyond it a new connection is cheaper.
LARGEST_BODY: Final = 64 * 1024
# Shorter than what servers use (Apache 5 s), so that a question seldom meets a connection that is being closed.
KEPT_ALIVE_SECONDS: Final = 3.0
