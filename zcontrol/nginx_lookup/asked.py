"""What a proxy asks, from the headers of its request; what it leaves out or garbles is told in words of its own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, final
from urllib.parse import unquote_to_bytes

from zcontrol.address import parse_host
from zcontrol.errors import ZproxyError
from zcontrol.v1 import route_pb2


class UnaskableError(ZproxyError):
    """A question that means nothing; the text is for the proxy."""


class Protocol(NamedTuple):
    """What an Auth-Protocol stands for."""

    # As the pool has it.
    service: str
    # Whether the proxy goes on by TLS, which begins at the first octet.
    tls: bool


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "imap": Protocol("imap", tls=False),
    "imapssl": Protocol("imap", tls=True),
    "pop3": Protocol("pop3", tls=False),
    "pop3ssl": Protocol("pop3", tls=True),
    "smtp": Protocol("submission", tls=False),
    "http": Protocol("http", tls=False),
    "httpssl": Protocol("http", tls=True),
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question, its parts as the proxy sent them, unescaped."""

    # In lower case; empty: the proxy did not say, i.e. what asks is no nginx.
    method: str
    user: bytes
    # Secret; Zimbra's proxy never tells it.
    password: bytes
    # Auth-Protocol, one of PROTOCOLS.
    protocol: str
    # Empty: not told, or not an address.
    client_address: str
    # What may qualify a name without `@`.
    virtual_host: str
    local_address: str
    attempt: int
    tls_version: str
    ehlo: str
    # What Zimbra's proxy asks of its own administrators' places, which we do not know.
    special: bool

    @property
    def service(self) -> str:
        """As the pool has it."""
        return PROTOCOLS[self.protocol].service

    @property
    def by_zimbra(self) -> bool:
        """Whether it is Zimbra's proxy that asks: it knows no passwords, and shows nobody what we say."""
        return self.method in ZIMBRA_METHODS

    @property
    def question(self) -> route_pb2.Question:
        """As an edge would ask."""
        if b"@" in self.user:
            return route_pb2.Question(login=self.user)
        return route_pb2.Question(login=self.user, virtual_host=self.virtual_host, local_address=self.local_address)

    def proof(self, account: str) -> route_pb2.Proof:
        """As an edge would have it verified."""
        return route_pb2.Proof(
            question=self.question,
            password=self.password,
            account=account,
            service=self.service,
            client_address=self.client_address,
            attempt=self.attempt,
            tls_version=self.tls_version,
            ehlo=self.ehlo,
        )


def parse(raw: Iterable[tuple[bytes, bytes]]) -> Asked:
    """The question in these headers, their names in lower case; raises `UnaskableError`."""
    headers: dict[bytes, bytes] = {}
    for name, value in raw:
        if name in headers and name in _HEADERS:
            # A name that a proxy failed to escape may have brought it.
            raise UnaskableError(f"header field {name.decode('latin-1')} sent twice")
        headers[name] = value
    for needed in ("Auth-User", "Auth-Method", "Auth-Protocol"):
        if not headers.get(needed.lower().encode()):
            raise UnaskableError(f"missing header field {needed}")

    def text(name: bytes) -> str:
        value = headers.get(name, b"").decode("latin-1")
        return value if len(value) <= LONGEST_TEXT else ""

    protocol = text(b"auth-protocol").lower()
    if protocol not in PROTOCOLS:
        raise UnaskableError(f"no such Auth-Protocol; one of {', '.join(PROTOCOLS)}")
    return Asked(
        method=text(b"auth-method").lower(),
        user=unquote_to_bytes(headers[b"auth-user"]),
        password=unquote_to_bytes(headers.get(b"auth-pass", b"")),
        protocol=protocol,
        client_address=_address(text(b"client-ip")),
        virtual_host=_without_port(text(b"x-proxy-host")),
        local_address=_address(text(b"x-proxy-ip")),
        attempt=_number(text(b"auth-login-attempt")),
        tls_version=text(b"auth-ssl-protocol") or ("TLS" if text(b"auth-ssl") == "on" else ""),
        ehlo=text(b"auth-smtp-helo"),
        special=any(text(name).lower() == "true" for name in (b"auth-zimbra-admin", b"auth-zimbra-zx")),
    )


def _address(text: str) -> str:
    try:
        host = parse_host(text)
    except ValueError:
        return ""
    return "" if isinstance(host, str) else str(host)


def _without_port(host: str) -> str:
    """Zimbra's web proxy sends the Host header as it came."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and "]" not in port else host


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 1


ZIMBRA_METHODS: Final = ("username", "zimbraid")
_HEADERS: Final = frozenset(
    {
        b"auth-method",
        b"auth-user",
        b"auth-pass",
        b"auth-protocol",
        b"auth-login-attempt",
        b"auth-ssl",
        b"client-ip",
        b"x-proxy-host",
        b"x-proxy-ip",
    }
)
# A host name or an EHLO; longer is noise.
LONGEST_TEXT: Final = 255
_DIGITS: Final = 6
