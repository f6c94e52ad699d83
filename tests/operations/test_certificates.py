"""Certificates shown to clients: read when first asked for, again when they change, stapled while that helps."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from servers.openssl import visit
from servers.raw_client import RawClient
from servers.waiting import until
from servers.zproxy import Zproxy, directory_file, listener
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority, Certificate

DAY = timedelta(days=1)
# Files in use are looked at every ten seconds.
LOOK_SECONDS = 30


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    return authority.issue(HOSTNAME)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("many")


@pytest.fixture(scope="module")
def zproxy(
    authority: Authority, certificate: Certificate, directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Zproxy]:
    stapled = certificate.certificate_file.with_suffix(".ocsp")
    stapled.write_bytes(authority.staple(certificate, until=DAY))
    state = tmp_path_factory.mktemp("stapling")
    config = {
        "listeners": [listener("imaps", "imap", "implicit")],
        "directory": directory_file(state / "accounts.csv", {"siti@tgg.net.id": "mbox-1"}),
        "certificates": [{**certificate.config, "ocsp_file": str(stapled)}],
        "certificate_directories": [{"path": str(directory)}],
    }
    with Zproxy(state, config) as running:
        yield running


def put(certificate: Certificate, directory: Path, name: str) -> None:
    """Write a certificate as an ACME client does: its key first."""
    shutil.copy(certificate.key_file, directory / f"{name}.key")
    shutil.copy(certificate.certificate_file, directory / f"{name}.pem")


def shown(zproxy: Zproxy, authority: Authority, name: str) -> bytes:
    """Return what a client that asks for a name is shown; it must be for that name."""
    with RawClient(zproxy.listeners["imaps"]) as client:
        client.secure(authority.client_context(), name)
        return client.peer_certificate()


def is_stapled(zproxy: Zproxy) -> bool:
    said = visit(zproxy.listeners["imaps"], "-status", name=HOSTNAME).said
    return "OCSP Response Status: successful" in said


def test_a_certificate_that_comes_into_the_directory_is_shown_without_a_reload(
    zproxy: Zproxy, authority: Authority, directory: Path
) -> None:
    first, wild, renewed = (authority.issue("mail.one.example", "*.two.example") for _ in range(3))
    put(first, directory, "mail.one.example")
    put(wild, directory, "_.two.example")
    assert shown(zproxy, authority, "mail.one.example") == first.der
    assert shown(zproxy, authority, "any.two.example") == wild.der
    put(renewed, directory, "mail.one.example")
    until(lambda: shown(zproxy, authority, "mail.one.example") == renewed.der, seconds=LOOK_SECONDS)


@pytest.mark.parametrize(
    "name", ["", "unknown.example", "127.0.0.1", "..", "../outside", "a/b", "." * 200, "_.two.example."]
)
def test_a_name_that_is_none_of_ours_gets_the_default_or_nothing(
    name: str, zproxy: Zproxy, certificate: Certificate, directory: Path, authority: Authority
) -> None:
    put(authority.issue("outside.example"), directory.parent, "outside")
    said = visit(zproxy.listeners["imaps"], name=name).said
    if "BEGIN CERTIFICATE" in said:
        assert f"CN = {HOSTNAME}\n" in said
    assert shown(zproxy, authority, HOSTNAME) == certificate.der


def test_a_staple_is_sent_until_it_is_no_good_and_again_after_it_is_renewed(
    zproxy: Zproxy, authority: Authority, certificate: Certificate
) -> None:
    file = certificate.certificate_file.with_suffix(".ocsp")
    assert is_stapled(zproxy)
    file.write_bytes(authority.staple(certificate, until=-timedelta(hours=1)))
    zproxy.reload()
    until(lambda: not is_stapled(zproxy))
    for _ in range(3):
        assert not is_stapled(zproxy)
    assert zproxy.errors().count("is not sent: it has run out") == 1
    file.write_bytes(authority.staple(certificate, until=DAY))
    zproxy.reload()
    until(lambda: is_stapled(zproxy))
