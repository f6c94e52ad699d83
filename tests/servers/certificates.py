"""Certificates for the run: one authority that tests trust, and whatever it is asked to sign."""

from __future__ import annotations

import itertools
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp

if TYPE_CHECKING:
    from pathlib import Path

HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Certificate:
    certificate_file: Path
    key_file: Path

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_file.read_bytes())

    @property
    def der(self) -> bytes:
        return self.leaf.public_bytes(Encoding.DER)

    @property
    def config(self) -> dict[str, str]:
        """The keys that name its files."""
        return {"certificate_file": str(self.certificate_file), "key_file": str(self.key_file)}


class Authority:
    """Signs certificates, and makes contexts that trust nothing else."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self._issued = itertools.count(1)
        self._directory = directory
        self.ca_file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)
        self._certificate = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes())
        key = load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    def issue(
        self, *names: str, not_after: datetime | None = None, key_type: trustme.KeyType = trustme.KeyType.ECDSA
    ) -> Certificate:
        """Sign a certificate for these host names or addresses; with `not_after` one that runs out then."""
        # The common name is for mbsync, which looks nowhere else for the address of a server.
        issued = self._ca.issue_cert(*names, common_name=names[-1], not_after=not_after, key_type=key_type)
        stem = f"{next(self._issued)}-{names[0].replace('*', 'any')}"
        made = Certificate(
            certificate_file=self._directory / f"{stem}.pem",
            key_file=self._directory / f"{stem}.key",
        )
        made.certificate_file.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(made.key_file)
        return made

    def revoke(self, *certificates: Certificate) -> bytes:
        """Sign the list of all that is revoked, in PEM."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._certificate.subject)
        builder = builder.last_update(now - HOUR).next_update(now + HOUR)
        # RFC 5280, 5.2: without these it would be of version 1.
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        for extension in (issuer, x509.CRLNumber(1)):
            builder = builder.add_extension(extension, critical=False)
        for certificate in certificates:
            serial = certificate.leaf.serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - HOUR).build()
            builder = builder.add_revoked_certificate(revoked)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def staple(self, certificate: Certificate, *, until: timedelta) -> bytes:
        """Answer as an OCSP responder that the certificate is good, in DER."""
        good, now = ocsp.OCSPCertStatus.GOOD, datetime.now(UTC)
        builder = ocsp.OCSPResponseBuilder().add_response(
            certificate.leaf,
            self._certificate,
            hashes.SHA1(),
            good,
            now - 2 * HOUR,
            now + until,
            None,
            None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, self._certificate)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)

    def client_context(self, certificate: Certificate | None = None) -> ssl.SSLContext:
        """Trust this authority, and show a certificate to servers that ask."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if certificate:
            context.load_cert_chain(certificate.certificate_file, certificate.key_file)
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))
