"""A connection to an HTTP server: HTTP/1.1 by h11, one question at a time, kept alive where the server lets us.

Made for questions that are asked at each login: 0.1 ms of our time each, where general clients take 2.
"""

import asyncio
import select
import ssl
import time
from typing import Final, NamedTuple, cast, final
from urllib.parse import urlsplit

import h11

Headers = list[tuple[bytes, bytes]]


class HttpError(Exception):
    """There is no answer; the text says why."""


class UnreachableError(HttpError):
    """Nobody can reach the server now."""


class BrokenError(HttpError):
    """The server broke off, or does not speak HTTP."""


class GoneError(BrokenError):
    """It has closed the connection before it said anything: if that was idle, it says nothing about the server."""


class Request(NamedTuple):
    """What is asked."""

    headers: Headers
    # None: GET, else POST of it.
    body: bytes | None = None
    # How long a body of the answer is of use; 0: it is for nobody.
    largest_answer: int = 0


class Answered(NamedTuple):
    """What came back."""

    status: int
    headers: Headers
    # None: longer than was of use, or for nobody.
    body: bytes | None = None


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
        self._largest = 0
        self._body = bytearray()
        self._used = time.monotonic()

    @property
    def usable(self) -> bool:
        """Whether another question may be asked here: the last answer is over, and the server says nothing more."""
        idle = time.monotonic() - self._used < KEPT_ALIVE_SECONDS
        asked_for = self._http.our_state is h11.IDLE and not self._transport.is_closing()
        return idle and asked_for and not self._has_unread()

    async def ask(self, location: Location, request: Request) -> Answered:
        """The answer; raises `BrokenError`. Cancelled, it leaves a connection that is not usable."""
        self._asked = asyncio.get_running_loop().create_future()
        self._answered, self._largest = None, request.largest_answer
        try:
            self._transport.write(self._written(location, request))
            return await self._asked
        finally:
            self._asked, self._used, self._body = None, time.monotonic(), bytearray()
            if self._http.our_state is not h11.IDLE:
                self.close()

    def _has_unread(self) -> bool:
        """Whether something has come that the loop has not read yet: it would be taken for the next answer."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket"), select.POLLIN)
        return bool(poll.poll(0))

    def _written(self, location: Location, request: Request) -> bytes:
        method, headers = "GET", [(b"Host", location.authority.encode()), *request.headers]
        if request.body is not None:
            method, headers = "POST", [*headers, (b"Content-Length", b"%d" % len(request.body))]
        head = h11.Request(method=method, target=location.target, headers=headers)
        events = (head, h11.Data(data=request.body or b""), h11.EndOfMessage())
        return b"".join(self._http.send(event) or b"" for event in events)

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
        self._receive(data, self._asked)

    def eof_received(self) -> None:
        """It says no more; what it has said counts."""
        if self._answered and self._asked and not self._asked.done():
            # The end of a body that has no other.
            self._receive(b"", self._asked)
        self._fail(self._gone())

    def connection_lost(self, exc: Exception | None) -> None:
        """The same, and it hears no more."""
        self._fail(self._gone(f": {exc or type(exc).__name__}" if exc else ""))

    def _gone(self, reason: str = "") -> BrokenError:
        if self._answered is not None or self._http.trailing_data[0]:
            return BrokenError(f"closed amid its answer{reason}")
        return GoneError(f"closed without an answer{reason}")

    def _receive(self, data: bytes, asked: asyncio.Future[Answered]) -> None:
        try:
            self._http.receive_data(data)
            self._advance(asked)
        except h11.RemoteProtocolError as error:
            # It may quote whatever the server has sent.
            self._fail(BrokenError(str(error)[:LONGEST_REASON]))

    def _advance(self, asked: asyncio.Future[Answered]) -> None:
        over = False
        while not over:
            match self._http.next_event():
                case h11.Response() as response:
                    self._answered = Answered(response.status_code, list(response.headers))
                    # A body that is for nobody may end whenever the server likes.
                    over = not self._largest and self._http.our_state is h11.MUST_CLOSE
                case h11.Data() as part:
                    self._body += part.data
                    over = len(self._body) > (self._largest or LARGEST_SKIPPED)
                case h11.EndOfMessage():
                    self._end()
                    over = True
                case h11.InformationalResponse():
                    pass
                case _:
                    return
        if self._answered:
            asked.set_result(self._answered)

    def _end(self) -> None:
        if self._largest and self._answered:
            self._answered = self._answered._replace(body=bytes(self._body))
        if not self._http.trailing_data[0] and self._http.our_state is h11.DONE:
            self._http.start_next_cycle()

    def _fail(self, error: BrokenError) -> None:
        if self._asked and not self._asked.done():
            self._asked.set_exception(error)
        self._transport.abort()


# Far more than nginx has room for in an answer (1 KiB); what a server says longer is refused before it is kept.
LARGEST_HEAD: Final = 16 * 1024
# An error page that nobody reads; beyond it a new connection is cheaper.
LARGEST_SKIPPED: Final = 64 * 1024
# Shorter than what servers use (Apache 5 s), so that a question seldom meets a connection that is being closed.
KEPT_ALIVE_SECONDS: Final = 3.0
LONGEST_REASON: Final = 200
