"""What an auth_http server answered. It may be hostile or broken: what nginx would guess at is refused here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

from zcontrol.errors import DirectoryError
from zcontrol.fault import shown


class UnusableAnswerError(DirectoryError):
    """The server answered, but not in a way that means anything."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, its parts well-formed."""

    # Auth-Status; `OK`, or what the server has to say instead.
    status: str
    # Auth-Error-Code, e.g. `451 4.3.0`; empty: none.
    code: str = ""
    # Auth-Server: an address or, from Zimbra, a host name. Present in an `OK`.
    server: str = ""
    # Auth-Port; present in an `OK`.
    port: int = 0
    # Auth-User; empty: the name asked about.
    user: str = ""
    # Auth-Pass, secret; empty: none.
    password: bytes = b""

    @property
    def good(self) -> bool:
        """Whether it says where to."""
        return self.status == "OK"

    def says(self, texts: Iterable[str], *, of: str) -> bool:
        """Whether the status has one of these, which are in lower case, elsewhere than in the name it is of.

        Many a server repeats the name, which the client has chosen: `siti+unavailable@...` is no failure.
        """
        status = self.status.lower()
        if "@" in of:
            status = status.replace(of.lower(), "")
        return any(text in status for text in texts)

    @property
    def temporary(self) -> bool:
        """Whether the server itself calls it so; nginx takes `WAIT` for an order to ask again later."""
        return self.code.startswith("4") or self.status == "WAIT"


def parse(headers: Iterable[tuple[bytes, bytes]]) -> Answer:
    """The answer in these headers; raises `UnusableAnswerError`."""
    values: dict[str, bytes] = {}
    for raw, value in headers:
        name = raw.decode("latin-1").lower()
        if name not in _KNOWN:
            continue
        if name in values:
            # The second may have come with a name or a text that carried CR LF.
            raise UnusableAnswerError(f"it sent {_KNOWN[name]} twice")
        values[name] = value.strip(b" \t")
    password = values.pop("auth-pass", b"")
    _check_wait(values.pop("auth-wait", b""))
    texts = {name: _text(name, value) for name, value in values.items()}
    if not (status := texts.get("auth-status", "")):
        raise UnusableAnswerError("it sent no Auth-Status; see that the URL is the one that nginx's auth_http names")
    answer = Answer(status=status, code=texts.get("auth-error-code", ""))
    if not answer.good:
        return answer
    return Answer(
        status=status,
        server=_server(texts.get("auth-server", "")),
        port=_port(texts.get("auth-port", "")),
        user=texts.get("auth-user", ""),
        password=_password(password),
    )


def _text(name: str, value: bytes) -> str:
    if len(value) > LONGEST_VALUE:
        raise UnusableAnswerError(f"its {_KNOWN[name]} is longer than {LONGEST_VALUE} octets")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if not text.isprintable():
        raise UnusableAnswerError(f"its {_KNOWN[name]} is not printable UTF-8")
    return text


def _server(text: str) -> str:
    if not text:
        raise UnusableAnswerError("it sent no Auth-Server")
    return text


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= LARGEST_PORT:
        raise UnusableAnswerError(f"its Auth-Port {shown(text)} is no port")
    return int(text)


def _password(value: bytes) -> bytes:
    if len(value) > LONGEST_VALUE:
        raise UnusableAnswerError(f"its Auth-Pass is longer than {LONGEST_VALUE} octets")
    return value


def _check_wait(value: bytes) -> None:
    """How long a refusal is held back is for the edge to say; that the number is one tells a server from noise."""
    if value and (not _WAIT.fullmatch(value) or int(value) > LONGEST_WAIT_SECONDS):
        raise UnusableAnswerError(f"its Auth-Wait {shown(value.decode('latin-1'))} is no time to wait")


_KNOWN: Final = {
    name.lower(): name
    for name in (
        "Auth-Status",
        "Auth-Server",
        "Auth-Port",
        "Auth-User",
        "Auth-Pass",
        "Auth-Wait",
        "Auth-Error-Code",
    )
}
_PORT: Final = re.compile(r"[0-9]{1,5}")
_WAIT: Final = re.compile(rb"[0-9]{1,9}")
LARGEST_PORT: Final = 65535
# As a typed name, and more than any password; nginx has 1024 for all headers together.
LONGEST_VALUE: Final = 1024
# A client has given up long before.
LONGEST_WAIT_SECONDS: Final = 3600
