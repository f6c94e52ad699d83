"""Every account, by every way, through one host name: it lands on its server, which knows where its client is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.clients import WAYS, Visitor
from servers.dovecot import login_from
from servers.zproxy import HOMES

if TYPE_CHECKING:
    from servers.certificates import Authority
    from servers.zproxy import Zproxy
    from zcontrol.demo.dovecot import MailboxServer

pytestmark = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def visitor(zproxy: Zproxy, authority: Authority) -> Visitor:
    return Visitor(zproxy=zproxy, context=authority.client_context())


@pytest.mark.parametrize("account", HOMES)
def test_a_user_reads_his_mail_on_the_server_where_he_lives(way: str, account: str, visitor: Visitor) -> None:
    message = visitor.read_first(WAYS[way], account)
    assert f"The account {account} lives on {HOMES[account]}." in message


@pytest.mark.parametrize("account", ["siti@tgg.net.id", "budi@tgg.net.id"])
def test_the_mailbox_server_logs_the_login_with_the_clients_own_address(
    way: str, account: str, visitor: Visitor, mailboxes: dict[str, MailboxServer]
) -> None:
    visitor.read_first(WAYS[way], account)
    login = login_from(mailboxes[HOMES[account]], visitor.address)
    assert (login.service, login.user) == (WAYS[way].protocol, account)


def test_the_record_tells_who_came_from_where_and_went_to_which_server(way: str, visitor: Visitor) -> None:
    visitor.read_first(WAYS[way], "satrio@gec-course.com")
    record = visitor.zproxy.record_from(visitor.address)
    told = {key: record[key] for key in ("service", "listener", "account", "backend")}
    assert told == {
        "service": WAYS[way].protocol,
        "listener": WAYS[way].listener,
        "account": "satrio@gec-course.com",
        "backend": "mbox-2",
    }
    assert ("tls" in record) == (WAYS[way].implicit_tls or WAYS[way].starttls)
    assert {"route", "dial", "authenticate", "splice"} <= record["steps_ms"].keys()
    assert record["from_backend"] > len("lives on mbox-2")
