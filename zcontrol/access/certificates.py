"""What a client certificate says of its bearer: names, the rules that give them roles, and whether it still counts.

gRPC has judged it at the handshake. A connection may outlive what was judged then: here it is judged again.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from zcontrol.access.roles import having

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zcontrol.access.roles import Role
    from zcontrol.v1 import config_pb2


class Certificate(NamedTuple):
    """A certificate, read."""

    # `dns:edge-1.tgg.net.id`, each with its kind; those only that people can read.
    names: tuple[str, ...]
    x509: x509.Certificate

    def problem(self, now: datetime) -> str:
        """Why it does not count at that time; empty: it does."""
        if now > self.x509.not_valid_after_utc:
            return f"has run out, at {_told(self.x509.not_valid_after_utc)}"
        if now < self.x509.not_valid_before_utc:
            return f"counts from {_told(self.x509.not_valid_before_utc)} only"
        return ""


@functools.lru_cache(maxsize=1024)
def read(pem: bytes) -> Certificate:
    """Read one; ValueError if that cannot be done."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = [name for name in _names(certificate) if name.isprintable()]
    except (x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from error
    return Certificate(names=tuple(names), x509=certificate)


@final
class Rules:
    """Who of those with certificates may do what."""

    def __init__(self, rules: Iterable[config_pb2.CertificateRole]) -> None:
        self._rules = [(pattern(name), rule.role) for rule in rules for name in rule.names]

    def roles(self, names: Iterable[str]) -> tuple[str, frozenset[Role]]:
        """The first name that has any role, and the roles of all of them; empty: none has."""
        matches = [(name, role) for name in names for pattern, role in self._rules if pattern.fullmatch(name)]
        return (matches[0][0] if matches else "", having(role for _, role in matches))


def pattern(text: str) -> re.Pattern[str]:
    """A rule's name as what it matches; ValueError says how to write one."""
    kind, _, name = text.partition(":")
    if kind not in KINDS or not name or not name.isprintable():
        raise ValueError(f"not a kind and a name; write e.g. dns:edge-*.tgg.net.id; kinds are {', '.join(KINDS)}")
    expression = r"[^./@]+".join(map(re.escape, name.split("*")))
    # Of ASCII alone: elsewhere letters of other alphabets are the same but for their case, as the Kelvin sign and `k`.
    return re.compile(f"{kind}:{expression}", re.IGNORECASE | re.ASCII if kind in CASELESS else 0)


class Link(NamedTuple):
    """A certificate, and the one that signed it."""

    certificate: x509.Certificate
    issuer: x509.Certificate


def chain(
    certificate: x509.Certificate, intermediates: Iterable[x509.Certificate], roots: Iterable[x509.Certificate]
) -> list[Link]:
    """The links from a certificate to one of these authorities, judged at the handshake; empty: it leads to none."""
    remaining, above = list(intermediates), list(roots)
    links: list[Link] = []
    link = certificate
    while len(links) < LONGEST_CHAIN:
        root = next((root for root in above if _issued(link, root)), None)
        issuer = root or next((each for each in remaining if _issued(link, each)), None)
        if issuer is None:
            break
        links.append(Link(link, issuer))
        if root is not None:
            return links
        remaining.remove(issuer)
        link = issuer
    return []


@final
class Revocations:
    """The lists of some authorities; without any, nothing is asked of them."""

    def __init__(self, lists: Iterable[x509.CertificateRevocationList]) -> None:
        self._lists = list(lists)

    def problem(self, links: Iterable[Link], now: datetime) -> str:
        """Why a chain does not count at that time; empty: it does."""
        if not self._lists:
            return ""
        return next(filter(None, (self._problem(link, now) for link in links)), "")

    def _problem(self, link: Link, now: datetime) -> str:
        of_issuer = [each for each in self._lists if each.issuer == link.issuer.subject and _signed(each, link.issuer)]
        if not of_issuer:
            return "cannot be judged: api.certificates.crl_files has no list of its authority"
        if any(each.get_revoked_certificate_by_serial_number(link.certificate.serial_number) for each in of_issuer):
            return "is revoked"
        if all(each.next_update_utc is None or each.next_update_utc < now for each in of_issuer):
            return "cannot be judged: the revocation list of its authority has run out"
        return ""


def _signed(revocations: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return revocations.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # of whatever kind it is
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _names(certificate: x509.Certificate) -> Iterator[str]:
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        alternatives = x509.SubjectAlternativeName([])
    yield from (f"dns:{name}" for name in alternatives.get_values_for_type(x509.DNSName))
    yield from (f"email:{name}" for name in alternatives.get_values_for_type(x509.RFC822Name))
    yield from (f"uri:{name}" for name in alternatives.get_values_for_type(x509.UniformResourceIdentifier))
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(common) == 1:
        yield f"cn:{common[0].value!s}"


def _told(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


KINDS = ("dns", "email", "uri", "cn")
# Hosts and domains are compared so everywhere, and nobody has two mailboxes that differ by it.
CASELESS = ("dns", "email")
# Of an authority, those between, and the certificate; OpenSSL's own usual limit is 100, which nobody has seen.
LONGEST_CHAIN = 10
