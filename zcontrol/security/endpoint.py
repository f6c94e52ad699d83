"""One HTTPS endpoint of an authorization server: bounded answers, a deadline, and a breaker while it is down."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final, final

import httpx
import structlog

from zcontrol import metrics
from zcontrol.breaker import Breaker
from zcontrol.errors import OAuthUnavailableError, ZproxyError

log = structlog.get_logger(__name__)


@final
class Endpoint:
    """Asks one URL; for use by one event loop."""

    def __init__(self, url: str, *, ca_file: str, timeout_seconds: float) -> None:
        """Connects to nobody yet; raises `ZproxyError` if the CA file cannot be used."""
        self._url = httpx.URL(url)
        # A query may hold a secret.
        self.name: Final = str(self._url.copy_with(query=None))
        self._timeout_seconds = timeout_seconds
        self._breaker = Breaker()
        self._reason = ""
        self._room = asyncio.Semaphore(CONNECTIONS)
        self._asking = 0
        # What environment variables say of proxies is not for us, and nobody is redirected anywhere.
        self._client = httpx.AsyncClient(
            verify=_tls(ca_file),
            limits=httpx.Limits(max_connections=CONNECTIONS, keepalive_expiry=KEPT_ALIVE_SECONDS),
            timeout=timeout_seconds,
            trust_env=False,
        )

    async def ask(self, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> bytes:
        """The body of its answer to GET, or to POST of a form; raises `OAuthUnavailableError`."""
        if self._asking >= CONNECTIONS + WAITING:
            raise OAuthUnavailableError(f"{self.name}: {self._asking} requests are under way or wait")
        if not self._breaker.allows():
            raise OAuthUnavailableError(f"{self.name}: failed a moment ago: {self._reason}")
        self._asking += 1
        try:
            # The wait for a connection included: who waits has a client that waits.
            async with asyncio.timeout(self._timeout_seconds):
                async with self._room:
                    body = await self._ask_again(form, headers)
        except TimeoutError as error:
            raise self._unreachable(f"no answer within {self._timeout_seconds:g} s") from error
        except (httpx.HTTPError, OSError) as error:
            raise self._unreachable(_reason(error)) from error
        except _BadAnswerError as error:
            # Perhaps to this one token alone: nobody is to take the endpoint away from all others by one.
            self._told(str(error))
            raise OAuthUnavailableError(f"{self.name}: {error}") from error
        finally:
            self._asking -= 1
        if not self._breaker.closed:
            self._breaker.succeeded()
            log.info("OAuth endpoint answers again", endpoint=self.name)
        return body

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _ask_again(self, form: Mapping[str, str] | None, headers: Mapping[str, str] | None) -> bytes:
        try:
            return await self._ask_once(form, headers)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            # The server may have closed an idle connection, which says nothing about the server: once more.
            return await self._ask_once(form, headers)

    async def _ask_once(self, form: Mapping[str, str] | None, headers: Mapping[str, str] | None) -> bytes:
        request = self._client.build_request(
            "GET" if form is None else "POST",
            self._url,
            data=form,
            # An encoded body could unpack to more than its size.
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})},
        )
        response = await self._client.send(request, stream=True)
        try:
            if response.status_code in GATEWAY_FAILURES:
                raise httpx.RequestError(f"HTTP status {response.status_code}")
            if response.status_code != OK:
                raise _BadAnswerError(f"HTTP status {response.status_code}{_MENDS.get(response.status_code, '')}")
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > LARGEST_ANSWER:
                    raise _BadAnswerError(f"an answer of more than {LARGEST_ANSWER} octets")
            return bytes(body)
        finally:
            await response.aclose()

    def _unreachable(self, reason: str) -> OAuthUnavailableError:
        self._breaker.failed()
        self._told(reason)
        return OAuthUnavailableError(f"{self.name}: {reason}")

    def _told(self, reason: str) -> None:
        metrics.OAUTH_FAILURES.labels(self.name).inc()
        if reason != self._reason:
            log.warning("OAuth endpoint fails", endpoint=self.name, reason=reason)
            self._reason = reason


class _BadAnswerError(Exception):
    """The endpoint answered something else than was asked for."""


def _reason(error: Exception) -> str:
    """What the library says of a request may quote the token; what it says of a connection or an answer cannot."""
    told = "" if isinstance(error, httpx.LocalProtocolError) else str(error)
    return told or type(error).__name__


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise ZproxyError(f"verify.oauth.ca_file: {ca_file}: {error}; name a PEM bundle") from error


OK: Final = 200
# Said by what stands before the server, which itself cannot be reached, and by who has too much to do.
GATEWAY_FAILURES: Final = (429, 502, 503, 504)
CONNECTIONS: Final = 16
# Logins that may wait for one; more would wait longer than clients do.
WAITING: Final = 1000
# Shorter than what servers use (Apache 5 s), so that a request seldom meets a connection that is being closed.
KEPT_ALIVE_SECONDS: Final = 3.0
# A JWKS of a hundred keys with their certificates fits.
LARGEST_ANSWER: Final = 1024 * 1024
_CREDENTIALS: Final = "; check client_id and client_secret, or bearer_token, of verify.oauth.introspection"
_MENDS: Final[Mapping[int, str]] = {401: _CREDENTIALS, 403: _CREDENTIALS, 404: "; check the URL's path"}
