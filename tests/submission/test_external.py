"""Mail sent by clients whose certificate speaks for them: to Postfix by XCLIENT LOGIN, or by a master user."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from servers import proving
from servers.certificates import Authority
from servers.clients import SENDING, Visitor
from servers.offices import IMPLICIT_PROXY_V2, STARTTLS_XCLIENT, Offices
from servers.place import BUDI, SITI
from servers.waiting import until
from servers.zproxy import HOMES, Zproxy, listener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.tokens import TokenIssuer

each_account = pytest.mark.parametrize("account", [SITI, BUDI])


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority than that of servers."""
    return Authority(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def submission(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, clients: Authority, issuer: TokenIssuer
) -> Iterator[Zproxy]:
    with ExitStack() as stack:
        lines = stack.enter_context(proving.master_lines())
        offices = stack.enter_context(Offices(authority, lines=lines))
        path = tmp_path_factory.mktemp("submission")
        slapd = stack.enter_context(proving.directory(path / "slapd", HOMES))
        config = offices.config(
            path,
            mbox_1=STARTTLS_XCLIENT | {"login_style": "verify_then_xclient"},
            mbox_2=IMPLICIT_PROXY_V2 | {"login_style": "verify_then_master"},
        )
        taken = {"ca_file": str(clients.ca_file), "mode": "optional"}
        listeners = [
            listener("submission", "submission", "starttls_required", client_certificates=taken),
            listener("submissions", "submission", "implicit", client_certificates=taken),
        ]
        more = {"listeners": listeners, "timeouts": {"auth_failure_delay": "0.2s"}}
        running = stack.enter_context(Zproxy(path, config | more | proving.config(slapd, issuer)))
        visitor = shown(running, authority, clients, SITI)
        until(lambda: "EXTERNAL" in _mechanisms(visitor))
        yield running


def shown(submission: Zproxy, authority: Authority, clients: Authority, account: str) -> Visitor:
    """Make a visitor who shows the account's certificate."""
    return Visitor(zproxy=submission, context=authority.client_context(clients.issue(account)))


def _mechanisms(visitor: Visitor) -> str:
    with visitor.smtp(SENDING["465"]) as client:
        client.ehlo()
        return client.esmtp_features["auth"]


@each_account
@pytest.mark.parametrize("way", SENDING)
def test_a_certificate_lets_its_own_account_send(
    way: str, account: str, submission: Zproxy, authority: Authority, clients: Authority
) -> None:
    visitor = shown(submission, authority, clients, account)
    with visitor.smtp(SENDING[way]) as client:
        client.ehlo()
        assert client.docmd("AUTH", "EXTERNAL =")[0] == 235
        assert client.mail(account)[0] == 250
    record = submission.record_from(visitor.address)
    assert (record["account"], record["mechanism"], record["verified"]) == (account, "EXTERNAL", "certificate")


@each_account
def test_a_certificate_lets_nobody_send_as_another(
    account: str, submission: Zproxy, authority: Authority, clients: Authority
) -> None:
    other = base64.b64encode((SITI if account == BUDI else BUDI).encode()).decode()
    with shown(submission, authority, clients, account).smtp(SENDING["465"]) as client:
        client.ehlo()
        assert client.docmd("AUTH", f"EXTERNAL {other}") == (535, b"5.7.8 Authentication failed.")
        assert client.mail(account)[0] == 530
