"""Requests, encoded by us: ldap3 spends 50 µs on a filter item, and twenty of them a core is a login storm.

A value travels in BER behind its length, so that nothing in a name can end it or mean anything: what RFC 4515 escapes
in filters written as text cannot arise. Text is parsed once, when the config is read.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, final

from ldap3.core import results
from ldap3.core.exceptions import LDAPInvalidFilterError
from ldap3.operation.search import compile_filter, parse_filter
from pyasn1.codec.ber import encoder

from zcontrol.errors import DirectoryError


class Request(ABC):
    """What is sent, and what an answer to it says of the server."""

    name: ClassVar[str]
    # What ldap3 calls the answer that ends it.
    answer: ClassVar[str]

    @abstractmethod
    def encode(self, message_id: int, *, time_limit_seconds: int) -> bytes:
        """The whole LDAPMessage (RFC 4511, 4.1.1)."""

    @property
    @abstractmethod
    def unwell(self) -> Mapping[int, str]:
        """Codes by which the server says that it cannot tell, whatever is asked; another may. And what to do."""

    @property
    @abstractmethod
    def probe(self) -> "Request":
        """What finds out in the background whether this could be answered."""


@final
@dataclass(frozen=True, kw_only=True)
class Search(Request):
    """What is asked of the subtree below `base`, or of `base` alone."""

    name = "search"
    answer = "searchResDone"

    base: str
    filter: bytes
    attributes: Sequence[str]
    # Entries; the server stops beyond it and says so.
    size_limit: int
    only_base: bool = False

    def encode(self, message_id: int, *, time_limit_seconds: int) -> bytes:
        """As RFC 4511, 4.5.1, says."""
        request = (
            _octets(self.base.encode())
            + (_BASE_OBJECT if self.only_base else _SUBTREE)
            + _NEVER_DEREFERENCE
            + _integer(self.size_limit)
            + _integer(time_limit_seconds)
            + _WITH_VALUES
            + self.filter
            + _field(_SEQUENCE, b"".join(_octets(attribute.encode()) for attribute in self.attributes))
        )
        return _field(_SEQUENCE, _integer(message_id) + _field(_SEARCH_REQUEST, request))

    @property
    def unwell(self) -> Mapping[int, str]:
        """Whatever keeps it from searching for us."""
        return _UNWELL_TO_SEARCH

    @property
    def probe(self) -> "Search":
        """The same: a host that hangs still accepts connections."""
        return self


@final
@dataclass(frozen=True, kw_only=True)
class Bind(Request):
    """A simple bind, which asks for what the password policy has to say of it (draft-behera-ldap-password-policy)."""

    name = "bind"
    answer = "bindResponse"

    dn: str
    password: bytes = field(repr=False)

    def encode(self, message_id: int, *, time_limit_seconds: int) -> bytes:
        """As RFC 4511, 4.2, says; a bind has no time limit."""
        del time_limit_seconds
        request = _VERSION_3 + _octets(self.dn.encode()) + _field(_SIMPLE, self.password)
        return _field(_SEQUENCE, _integer(message_id) + _field(_BIND_REQUEST, request) + _ASK_FOR_POLICY)

    @property
    def unwell(self) -> Mapping[int, str]:
        """Of further codes, such as `unwilling to perform`, some servers mean the one account only."""
        return _UNWELL

    @property
    def probe(self) -> "Bind":
        """A bind as nobody: a second one with the client's password could lock him out."""
        return Bind(dn="", password=b"")


def equal(attribute: str, value: str) -> bytes:
    """`(attribute=value)`, whatever the value is."""
    return _field(_EQUALITY_MATCH, _octets(attribute.encode()) + _octets(value.encode()))


def ends_with(attribute: str, value: str) -> bytes:
    """`(attribute=*value)`."""
    final = _field(_FINAL, value.encode())
    return _field(_SUBSTRINGS, _octets(attribute.encode()) + _field(_SEQUENCE, final))


def any_of(filters: Iterable[bytes]) -> bytes:
    """`(|…)`."""
    return _field(_OR, b"".join(filters))


def all_of(filters: Iterable[bytes]) -> bytes:
    """`(&…)`."""
    return _field(_AND, b"".join(filters))


def parsed(text: str) -> bytes:
    """A filter that the operator wrote; raises `DirectoryError` if it is none."""
    try:
        root = parse_filter(text, None, auto_escape=False, auto_encode=False, validator=None, check_names=False)  # type: ignore[no-untyped-call]
        return bytes(encoder.encode(compile_filter(root.elements[0])))  # type: ignore[no-untyped-call]
    except LDAPInvalidFilterError as error:
        raise DirectoryError(f"directory.ldap.filter {text!r} is no LDAP filter: {error}") from error


def _integer(value: int) -> bytes:
    return _field(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _octets(value: bytes) -> bytes:
    return _field(_OCTET_STRING, value)


def _field(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:  # noqa: PLR2004 - BER's short form, X.690 8.1.3.4
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


# Tags and values of RFC 4511, 4.2 and 4.5.1.
_INTEGER, _OCTET_STRING, _SEQUENCE = 0x02, 0x04, 0x30
_BIND_REQUEST, _SEARCH_REQUEST = 0x60, 0x63
_SIMPLE = 0x80
_CONTROLS = 0xA0
_AND, _OR, _EQUALITY_MATCH, _SUBSTRINGS = 0xA0, 0xA1, 0xA3, 0xA4
# Of a substring filter: what a value ends with.
_FINAL = 0x82
_BASE_OBJECT, _SUBTREE = b"\x0a\x01\x00", b"\x0a\x01\x02"
_NEVER_DEREFERENCE = b"\x0a\x01\x00"
_WITH_VALUES = b"\x01\x01\x00"
_VERSION_3 = b"\x02\x01\x03"
POLICY: Final = "1.3.6.1.4.1.42.2.27.8.5.1"
_ASK_FOR_POLICY = _field(_CONTROLS, _field(_SEQUENCE, _octets(POLICY.encode())))

_LOOK: Final = "look at that server's log"
_BIND: Final = "set directory.ldap.bind_dn and bind_password to an account that may search"
_SECURE: Final = 'set directory.ldap.tls = "starttls", or write ldaps:// in urls'
_NO_BASE: Final = "name in directory.ldap.urls the server that holds the base"
_UNWELL: Final[Mapping[int, str]] = {
    results.RESULT_STRONGER_AUTH_REQUIRED: _SECURE,
    results.RESULT_REFERRAL: _NO_BASE,
    results.RESULT_CONFIDENTIALITY_REQUIRED: _SECURE,
    results.RESULT_BUSY: _LOOK,
    results.RESULT_UNAVAILABLE: _LOOK,
}
_UNWELL_TO_SEARCH: Final[Mapping[int, str]] = {
    **_UNWELL,
    # So Active Directory answers whoever has not bound.
    results.RESULT_OPERATIONS_ERROR: _BIND,
    results.RESULT_TIME_LIMIT_EXCEEDED: "index what is searched, or raise directory.ldap.timeout",
    # Also said of what the account that binds may not see.
    results.RESULT_NO_SUCH_OBJECT: "mend directory.ldap.base, or let bind_dn read it",
    results.RESULT_INAPPROPRIATE_AUTHENTICATION: _BIND,
    results.RESULT_INSUFFICIENT_ACCESS_RIGHTS: "let directory.ldap.bind_dn read the base and the accounts below it",
    results.RESULT_UNWILLING_TO_PERFORM: _LOOK,
}
