"""An authority of client certificates: with names of every kind, intermediates, wrong purposes, and little time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from servers.certificates import Certificate

if TYPE_CHECKING:
    from ipaddress import IPv4Address
    from pathlib import Path

from ipaddress import ip_address

HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Signer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass
class Office:
    """Signs what it is asked to."""

    directory: Path
    issued: dict[str, Certificate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory.mkdir(exist_ok=True)
        self._numbers = itertools.count(1)
        self.root = self.authority("root")
        self.ca_file = self.directory / "ca.pem"
        self.ca_file.write_bytes(pem(self.root.certificate))

    def authority(self, name: str, *, by: Signer | None = None) -> Signer:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, key, by.certificate.subject if by else None)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return Signer(certificate=_signed(builder, by.key if by else key), key=key)

    def issue(
        self,
        *names: str,
        stem: str = "",
        by: Signer | None = None,
        lasts: timedelta = HOUR,
        for_servers: bool = False,
    ) -> Certificate:
        """Sign a certificate with names such as `dns:a`, `cn:siti`; of the same stem it takes the place of the last."""
        signer = by or self.root
        key = ec.generate_private_key(ec.SECP256R1())
        common = next((name.removeprefix("cn:") for name in names if name.startswith("cn:")), "")
        builder = _builder(common, key, signer.certificate.subject, lasts)
        if alternatives := [_alternative(name) for name in names if not name.startswith("cn:")]:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        if for_servers:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
            builder = builder.add_extension(usage, critical=False)
        signed = _signed(builder, signer.key)
        stem = stem or f"{next(self._numbers)}"
        made = Certificate(certificate_file=self.directory / f"{stem}.pem", key_file=self.directory / f"{stem}.key")
        between = (
            b""
            if signer is self.root or signer.certificate.issuer == signer.certificate.subject
            else pem(signer.certificate)
        )
        replace(made.key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        replace(made.certificate_file, pem(signed) + between)
        self.issued[stem] = made
        return made

    def revoke(self, *certificates: Certificate, by: Signer | None = None, lasts: timedelta = HOUR) -> bytes:
        """Sign the list of what is revoked, in PEM."""
        signer = by or self.root
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(signer.certificate.subject)
        builder = builder.last_update(now - 2 * HOUR).next_update(now + lasts)
        for certificate in certificates:
            revoked = x509.RevokedCertificateBuilder().serial_number(certificate.leaf.serial_number)
            builder = builder.add_revoked_certificate(revoked.revocation_date(now - HOUR).build())
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def replace(file: Path, content: bytes) -> None:
    """As who renews certificates does: never half of a file."""
    beside = file.with_suffix(".new")
    beside.write_bytes(content)
    beside.rename(file)


def _builder(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name | None, lasts: timedelta = HOUR
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject if issuer is None else issuer)
    now = datetime.now(UTC)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - HOUR).not_valid_after(now + lasts)


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """By the key that it names: two authorities may have one name."""
    named = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return builder.add_extension(named, critical=False).sign(key, hashes.SHA256())


def _alternative(name: str) -> x509.GeneralName:
    kind, _, value = name.partition(":")
    if kind == "ip":
        address: IPv4Address = ip_address(value)  # type: ignore[assignment]
        return x509.IPAddress(address)
    kinds = {"dns": x509.DNSName, "email": x509.RFC822Name, "uri": x509.UniformResourceIdentifier}
    return kinds[kind](value)
