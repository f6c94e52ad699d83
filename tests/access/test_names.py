"""Names of a certificate: which there are, and which roles rules give them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from zcontrol.access.certificates import Rules, pattern, read
from zcontrol.access.roles import EDGE, OPERATOR, VIEWER
from zcontrol.v1 import config_pb2


@pytest.mark.parametrize(
    ("rule", "name", "matches"),
    [
        ("dns:edge-*.tgg.net.id", "dns:edge-1.tgg.net.id", True),
        ("dns:edge-*.tgg.net.id", "dns:EDGE-1.TGG.net.id", True),
        ("dns:edge-*.tgg.net.id", "dns:edge-1.evil.tgg.net.id", False),
        ("dns:edge-*.tgg.net.id", "dns:edge-.tgg.net.id", False),
        ("dns:edge-*.tgg.net.id", "dns:edge-1.tgg.net.id.evil.example", False),
        ("dns:edge-*.tgg.net.id", "dns:edge-1xtgg.net.id", False),
        ("dns:edge-*.tgg.net.id", "cn:edge-1.tgg.net.id", False),
        ("dns:k.tgg.net.id", "dns:\N{KELVIN SIGN}.tgg.net.id", False),
        ("email:siti@tgg.net.id", "email:\N{LATIN SMALL LETTER LONG S}iti@tgg.net.id", False),
        ("email:*@ops.tgg.net.id", "email:siti@ops.tgg.net.id", True),
        ("email:*@ops.tgg.net.id", "email:a@b@ops.tgg.net.id", False),
        ("uri:spiffe://tgg.net.id/edge/*", "uri:spiffe://tgg.net.id/edge/1", True),
        ("uri:spiffe://tgg.net.id/edge/*", "uri:spiffe://tgg.net.id/edge/1/2", False),
        ("uri:spiffe://tgg.net.id/edge/*", "uri:SPIFFE://tgg.net.id/edge/1", False),
        ("cn:siti", "cn:siti", True),
        ("cn:siti", "cn:Siti", False),
        ("cn:a*", "cn:a\nb", True),
    ],
)
def test_a_rule_matches_whole_names_of_its_kind(rule: str, name: str, *, matches: bool) -> None:
    assert (pattern(rule).fullmatch(name) is not None) is matches


@pytest.mark.parametrize("rule", ["edge-1.tgg.net.id", "dns:", "ip:127.0.0.1", "dns:a\nb", "", "DNS:a"])
def test_a_rule_without_kind_or_name_is_told_how_to_be_written(rule: str) -> None:
    with pytest.raises(ValueError, match=r"write e\.g\. dns:edge-"):
        pattern(rule)


def test_a_certificate_with_two_sets_of_names_cannot_be_read() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    nobody, now = x509.Name([]), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(nobody).issuer_name(nobody).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    for kind in (x509.SubjectAlternativeName, x509.IssuerAlternativeName):
        builder = builder.add_extension(kind([x509.DNSName("edge-1.tgg.net.id")]), critical=False)
    signed = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    twice = base64.encodebytes(signed.replace(b"\x55\x1d\x12", b"\x55\x1d\x11")).decode()
    with pytest.raises(ValueError, match=r"Duplicate 2\.5\.29\.17 extension"):
        read(f"-----BEGIN CERTIFICATE-----\n{twice}-----END CERTIFICATE-----\n".encode())


def test_a_certificate_has_the_roles_of_all_rules_that_match() -> None:
    rules = Rules(
        [
            config_pb2.CertificateRole(names=["dns:a", "cn:b"], role=EDGE),
            config_pb2.CertificateRole(names=["dns:a"], role=VIEWER),
        ]
    )
    assert rules.roles(["email:x@y", "dns:a"]) == ("dns:a", {EDGE, VIEWER})
    assert rules.roles(["cn:b"]) == ("cn:b", {EDGE})
    assert rules.roles(["dns:c"]) == ("", frozenset())
    assert OPERATOR not in rules.roles(["dns:a"])[1]
