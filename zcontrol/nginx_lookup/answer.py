"""Answers to proxies. nginx and Zimbra's nginx have room for 1024 octets of them, names of letters, digits and `-`.

nginx puts Auth-Status in its own reply to the client, so it reads as our edges' would; Zimbra's proxy only logs it.
"""

from typing import Final, NamedTuple

from zcontrol.nginx_lookup.asked import Asked

Headers = list[tuple[bytes, bytes]]


class Place(NamedTuple):
    """Where a login goes."""

    address: str
    port: int


def good(place: Place, *, user: str, password: bytes = b"", alias: bool = False) -> Headers | None:
    """Go there, as this user; none: more than a proxy has room for, or what a header cannot carry."""
    headers = [
        ("Auth-Status", b"OK"),
        ("Auth-Server", place.address.encode()),
        ("Auth-Port", b"%d" % place.port),
        ("Auth-User", user.encode()),
        # Whether Zimbra's proxy may keep that a bare name is this account.
        ("Auth-Cache-Alias", b"TRUE" if alias else b"FALSE"),
    ]
    if password:
        headers.append(("Auth-Pass", password))
    made = _made(headers)
    fits = sum(len(name) + len(value) + len(": \r\n") for name, value in made) <= ROOM
    return made if fits and not any(_UNSENDABLE & set(value) for _, value in made) else None


def refused(asked: Asked, wait: int) -> Headers:
    """A wrong password, an unknown name and a locked account are one."""
    if asked.by_zimbra:
        return _failed(f"user not found:{_shown(asked.user)}", wait)
    return _failed(REFUSED.get(asked.service, "Authentication failed."), wait, code="535 5.7.8")


def from_elsewhere(asked: Asked, wait: int) -> Headers:
    """The account may not log in from the client's address; Zimbra's web proxy knows these words."""
    if asked.by_zimbra:
        return _failed(f"Client-IP {asked.client_address} is not allowed on this domain", wait)
    return refused(asked, wait)


def temporary(asked: Asked, wait: int) -> Headers:
    """Nobody can tell now."""
    text = "Temporary failure, try again later."
    return _failed(TEMPORARY.get(asked.service, text), wait, code="451 4.3.0")


def unsupported(asked: Asked, wait: int) -> Headers:
    """No way to prove oneself that we know."""
    text = "Mechanism not supported."
    return _failed(UNSUPPORTED.get(asked.service, text), wait, code="504 5.5.4")


def meaningless(text: str) -> Headers:
    """What asked is no mail proxy, or is broken; said as Zimbra's look-up service would."""
    return _failed(text, 0)


def _failed(text: str, wait: int, *, code: str = "") -> Headers:
    headers = [("Auth-Status", text.encode())]
    if code:
        # For SMTP; of the others' replies it is no part.
        headers.append(("Auth-Error-Code", code.encode()))
    if wait:
        headers.append(("Auth-Wait", b"%d" % wait))
    return _made(headers)


def _made(headers: list[tuple[str, bytes]]) -> Headers:
    return [(name.encode(), value) for name, value in headers]


def _shown(name: bytes) -> str:
    text = "".join(character if character.isprintable() else "?" for character in name.decode(errors="replace"))
    return text[:_SHOWN]


# The words of our edges.
REFUSED: Final = {
    "imap": "[AUTHENTICATIONFAILED] Authentication failed.",
    "pop3": "[AUTH] Authentication failed.",
}
TEMPORARY: Final = {
    "imap": "[UNAVAILABLE] Temporary failure, try again later.",
    "pop3": "[SYS/TEMP] Temporary failure, please try again later.",
}
UNSUPPORTED: Final = {
    "imap": "[CANNOT] Mechanism not supported.",
    "pop3": "[SYS/PERM] Mechanism not supported.",
}
# Less the status line, `Content-Length: 0`, `Connection: close` and the empty line.
ROOM: Final = 1024 - 64
# RFC 9110, 5.5; a space at an end would be taken off.
_UNSENDABLE: Final = frozenset((*range(0x20), 0x7F))
_SHOWN: Final = 200
