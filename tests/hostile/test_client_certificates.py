"""Certificates of clients: who may speak to a listener at all, and what a record says of who may not."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from servers.certificates import Authority
from servers.front import ALICE, Front
from servers.said import WELCOME, log_in
from servers.waiting import until
from servers.zproxy import listener
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Certificate
    from servers.raw_client import RawClient

LAST_YEAR = datetime.now(UTC) - timedelta(days=365)
BEGIN = b"s STARTTLS\r\n"


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority than that of servers."""
    return Authority(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def good(clients: Authority) -> Certificate:
    return clients.issue(ALICE, "laptop.example.net")


@pytest.fixture(scope="module")
def revocations(clients: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("revocations") / "clients.crl"
    file.write_bytes(clients.revoke())
    return file


@pytest.fixture(scope="module")
def asking(
    clients: Authority, revocations: Path, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    taken = {"ca_file": str(clients.ca_file), "crl_files": [str(revocations)]}
    listeners = [
        listener("imaps", "imap", "implicit", client_certificates=taken),
        listener("imaps_optional", "imap", "implicit", client_certificates=taken | {"mode": "optional"}),
        listener("imap", "imap", "starttls_required", client_certificates=taken),
        listener("imaps_new", "imap", "implicit", tls_min_version="tls1_3"),
    ]
    with Front(tmp_path_factory.mktemp("asking"), authority, listeners=listeners) as running:
        yield running


def context_of(front: Front, certificate: Certificate | None) -> ssl.SSLContext:
    return front.authority.client_context(certificate)


def secured(front: Front, name: str, certificate: Certificate | None) -> RawClient:
    client = front.client(name)
    client.secure(context_of(front, certificate), HOSTNAME)
    return client


def shut_out(client: RawClient, context: ssl.SSLContext) -> bool:
    """Whether nothing it says is answered: with TLS 1.3 a client is done before it is judged, and reads the alert."""
    try:
        client.secure(context, HOSTNAME)
        return not client.ask_or_end(log_in("imap", ALICE))
    except ssl.SSLError as error:
        return "ALERT" in error.reason


def why_refused(front: Front, name: str, certificate: Certificate | None) -> str:
    """Come with that certificate, and hear nothing; returns why, as recorded."""
    with front.untouched(), front.client(name) as client:
        assert shut_out(client, context_of(front, certificate))
        record = front.zproxy.record_from(client.address)
    assert (record["at"], record["by"]) == ("tls", "client")
    return str(record["error"])


def test_a_client_with_a_good_certificate_logs_in_and_is_known_by_it(asking: Front, good: Certificate) -> None:
    with secured(asking, "imaps", good) as client:
        client.line()
        assert client.ask(log_in("imap", ALICE)).startswith(WELCOME["imap"])
    shown = asking.zproxy.record_from(client.address)["client_certificate"]
    assert (shown["emails"], shown["hosts"]) == ([ALICE], ["laptop.example.net"])
    assert "laptop.example.net" in shown["subject"]
    assert len(shown["sha256"]) == 64


def test_it_is_judged_after_starttls_too(asking: Front, good: Certificate) -> None:
    with asking.client("imap") as client:
        client.line()
        assert client.ask(BEGIN).startswith(b"s OK")
        client.secure(context_of(asking, good), HOSTNAME)
        assert client.ask(log_in("imap", ALICE)).startswith(WELCOME["imap"])
    with asking.untouched(), asking.client("imap") as client:
        client.line()
        assert client.ask(BEGIN).startswith(b"s OK")
        assert shut_out(client, context_of(asking, None))
        assert "shows no certificate" in asking.zproxy.record_from(client.address)["error"]


def test_who_is_not_let_in_is_recorded_by_the_reason(asking: Front, clients: Authority, authority: Authority) -> None:
    assert "shows no certificate" in why_refused(asking, "imaps", None)
    assert "is of no authority in ca_file" in why_refused(asking, "imaps", authority.issue(ALICE))
    for name in ("imaps", "imaps_optional"):
        assert "has expired" in why_refused(asking, name, clients.issue(ALICE, not_after=LAST_YEAR))


def test_where_it_is_optional_a_client_without_one_goes_on(asking: Front) -> None:
    with secured(asking, "imaps_optional", None) as client:
        client.line()
        assert client.ask(log_in("imap", ALICE)).startswith(WELCOME["imap"])
    assert "client_certificate" not in asking.zproxy.record_from(client.address)


def test_a_client_of_an_old_version_is_recorded_by_the_reason(asking: Front) -> None:
    with asking.untouched(), asking.client("imaps_new") as client:
        context = context_of(asking, None)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert shut_out(client, context)
        assert "older than tls_min_version" in asking.zproxy.record_from(client.address)["error"]


def test_a_certificate_revoked_at_reload_opens_nothing_more_and_its_session_goes_on(
    asking: Front, clients: Authority, revocations: Path
) -> None:
    lost = clients.issue(ALICE)

    def revoked() -> bool:
        with asking.client("imaps") as client:
            if not shut_out(client, context_of(asking, lost)):
                return False
        return "is revoked" in asking.zproxy.record_from(client.address)["error"]

    with secured(asking, "imaps", lost) as staying:
        staying.line()
        assert staying.ask(log_in("imap", ALICE)).startswith(WELCOME["imap"])
        revocations.write_bytes(clients.revoke(lost))
        asking.zproxy.reload()
        until(revoked)
        assert staying.ask(b"n NOOP\r\n").startswith(b"n OK")
