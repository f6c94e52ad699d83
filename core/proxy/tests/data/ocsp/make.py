"""Makes the OCSP responses beside this file: one certificate, and what a responder may say of it."""

# ruff: noqa: INP001 - a script
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

HERE = Path(__file__).parent
# The tests' clock stands at THIS_UPDATE plus an hour.
THIS_UPDATE = datetime(2030, 1, 1, tzinfo=UTC)
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.tgg.net.id")])
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(serial: int) -> x509.Certificate:
    """Sign one for ourselves, of that serial number."""
    builder = x509.CertificateBuilder().subject_name(NAME).issuer_name(NAME).public_key(KEY.public_key())
    builder = (
        builder.serial_number(serial).not_valid_before(THIS_UPDATE).not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))
    )
    return builder.sign(KEY, hashes.SHA256())


def write(name: str, serial: int, status: ocsp.OCSPCertStatus, next_update: datetime | None) -> None:
    """Write what a responder says."""
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    of = certificate(serial)
    builder = ocsp.OCSPResponseBuilder().add_response(
        of,
        of,
        hashes.SHA1(),  # noqa: S303 - RFC 5019 wants it, and it protects nothing here
        status,
        THIS_UPDATE,
        next_update,
        THIS_UPDATE if revoked else None,
        None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, of)
    (HERE / f"{name}.der").write_bytes(builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER))


if __name__ == "__main__":
    good, week = ocsp.OCSPCertStatus.GOOD, THIS_UPDATE + timedelta(days=7)
    (HERE / "leaf.der").write_bytes(certificate(7).public_bytes(Encoding.DER))
    write("good", 7, good, week)
    write("endless", 7, good, None)
    write("other", 8, good, week)
    write("revoked", 7, ocsp.OCSPCertStatus.REVOKED, week)
    refusal = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    (HERE / "try_later.der").write_bytes(refusal.public_bytes(Encoding.DER))
