"""One HTTPS endpoint of an authorization server: bounded answers, a deadline, and a breaker while it is down."""

import ssl
from collections.abc import Mapping
from typing import Final, final
from urllib.parse import urlencode

import structlog

from zcontrol import metrics
from zcontrol.breaker import Breaker
from zcontrol.errors import OAuthUnavailableError, ZproxyError
from zcontrol.web.http_client import HttpClient
from zcontrol.web.http_connection import Answered, HttpError, Request, UnreachableError

log = structlog.get_logger(__name__)


@final
class Endpoint:
    """Asks one URL; for use by one event loop."""

    def __init__(self, url: str, *, ca_file: str, timeout_seconds: float) -> None:
        """Connects to nobody yet; raises `ZproxyError` if the CA file cannot be used."""
        self._client: Final = HttpClient(url, _tls(ca_file), connections=CONNECTIONS, timeout_seconds=timeout_seconds)
        self.name: Final = self._client.name
        self._breaker = Breaker()
        self._reason = ""

    async def ask(self, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> bytes:
        """The body of its answer to GET, or to POST of a form; raises `OAuthUnavailableError`."""
        if not self._breaker.allows():
            raise OAuthUnavailableError(f"{self.name}: failed a moment ago: {self._reason}")
        try:
            body = _body(await self._client.ask(_request(form, headers or {})))
        except UnreachableError as error:
            raise self._unreachable(str(error)) from error
        except (HttpError, _BadAnswerError) as error:
            # Perhaps to this one token alone: nobody is to take the endpoint away from all others by one.
            self._told(str(error))
            raise OAuthUnavailableError(f"{self.name}: {error}") from error
        if not self._breaker.closed:
            self._breaker.succeeded()
            log.info("OAuth endpoint answers again", endpoint=self.name)
        return body

    async def close(self) -> None:
        """Close every connection."""
        self._client.close()

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


def _request(form: Mapping[str, str] | None, headers: Mapping[str, str]) -> Request:
    # An encoded body could unpack to more than its size.
    all_headers = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
    if form is not None:
        all_headers["Content-Type"] = "application/x-www-form-urlencoded"
    return Request(
        [(name.encode(), value.encode()) for name, value in all_headers.items()],
        body=None if form is None else urlencode(form).encode(),
        largest_answer=LARGEST_ANSWER,
    )


def _body(answered: Answered) -> bytes:
    if answered.status != OK:
        raise _BadAnswerError(f"HTTP status {answered.status}{_MENDS.get(answered.status, '')}")
    if answered.body is None:
        raise _BadAnswerError(f"an answer of more than {LARGEST_ANSWER} octets")
    return answered.body


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise ZproxyError(f"verify.oauth.ca_file: {ca_file}: {error}; name a PEM bundle") from error


OK: Final = 200
CONNECTIONS: Final = 16
# A JWKS of a hundred keys with their certificates fits.
LARGEST_ANSWER: Final = 1024 * 1024
_CREDENTIALS: Final = "; check client_id and client_secret, or bearer_token, of verify.oauth.introspection"
_MENDS: Final[Mapping[int, str]] = {401: _CREDENTIALS, 403: _CREDENTIALS, 404: "; check the URL's path"}
