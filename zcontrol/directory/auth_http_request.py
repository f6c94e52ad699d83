"""What an auth_http server is asked: the headers of ngx_mail_auth_http_module, in its order and with its escaping."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

from zcontrol.v1 import config_pb2
from zcontrol.web.http_connection import Headers


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One login, as far as the server shall know it."""

    user: str
    # As nginx calls it: imap, pop3, smtp.
    protocol: str
    client_address: str
    # Secret.
    password: bytes
    attempt: int = 1
    tls: bool = False
    # What the client called itself; empty: nothing.
    ehlo: str = ""

    def headers(self) -> Headers:
        """The headers, each value safe to send."""
        headers = [
            (b"Auth-Method", b"plain"),
            (b"Auth-User", escape(self.user.encode())),
            (b"Auth-Pass", escape(self.password)),
            (b"Auth-Protocol", escape(self.protocol.encode())),
            (b"Auth-Login-Attempt", b"%d" % max(1, self.attempt)),
            (b"Client-IP", escape(self.client_address.encode())),
        ]
        if self.ehlo:
            headers.append((b"Auth-SMTP-Helo", escape(self.ehlo.encode())))
        if self.tls:
            headers.append((b"Auth-SSL", b"on"))
        return headers


def configured(headers: Iterable[config_pb2.AuthHttpHeader]) -> Headers:
    """What the operator adds to every question."""
    return [(header.name.encode(), header.value.encode()) for header in headers]


def escape(value: bytes) -> bytes:
    """As nginx escapes a name or password for a header: spaces, controls and `%`; other octets go as they are."""
    return _ESCAPED.sub(lambda octet: b"%%%02X" % ord(octet[0]), value)


# nginx lets DEL pass, which HTTP does not (RFC 9110, 5.5); a server that undoes the rest undoes this too.
_ESCAPED: Final = re.compile(rb"[\x00-\x20%\x7f]")
