"""Logins by a client's certificate (SASL EXTERNAL), before a real Dovecot that believes our master user."""

from __future__ import annotations

import base64
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from servers import pigeonhole, proving
from servers.certificates import Authority
from servers.dovecot import login_from, logins, start
from servers.place import LISTS
from servers.proving import right
from servers.raw_client import RawClient, plain
from servers.said import AUTHENTICATE, WRONG
from servers.sieve_client import SieveClient
from servers.waiting import until
from servers.zproxy import Zproxy, backend, directory_file, listener
from zcontrol.demo.accounts import HOSTNAME
from zcontrol.demo.dovecot import PORTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Certificate
    from servers.tokens import TokenIssuer
    from servers.zproxy import Config, StartZproxy
    from zcontrol.demo.dovecot import MailboxServer

SITI, BUDI, BOSS, NOBODY = "siti@tgg.net.id", "budi@tgg.net.id", "boss@tgg.net.id", "nobody@tgg.net.id"
EXTERNAL = {"imap": b"a AUTHENTICATE EXTERNAL", "pop3": b"AUTH EXTERNAL"}
BEGIN = {"imap": b"s STARTTLS\r\n", "pop3": b"STLS\r\n"}
NAMED = "imaps_by_name"
"""The listener that takes common names."""

each_protocol = pytest.mark.parametrize("protocol", ["imap", "pop3"])
each_way = pytest.mark.parametrize("way", ["implicit", "STARTTLS"])


class Place(NamedTuple):
    """A proxy before one mailbox server, and the authority of its clients."""

    zproxy: Zproxy
    mailbox: MailboxServer
    authority: Authority
    clients: Authority

    def context(self, *names: str) -> ssl.SSLContext:
        """Make one that shows a certificate of these names; of none, it has none to show."""
        return self.authority.client_context(self.clients.issue(*names) if names else None)

    def client(self, listener: str, context: ssl.SSLContext) -> RawClient:
        """Connect with TLS from the first byte, and hear the greeting."""
        client = RawClient(self.zproxy.listeners[listener])
        client.secure(context, HOSTNAME)
        assert client.line().startswith((b"* OK", b"+OK"))
        return client

    def come(self, protocol: str, way: str, context: ssl.SSLContext) -> RawClient:
        if way == "implicit":
            return self.client(protocol + "s", context)
        client = RawClient(self.zproxy.listeners[protocol])
        assert client.line().startswith((b"* OK", b"+OK"))
        assert b"EXTERNAL" not in listed(client, protocol)
        assert client.ask(BEGIN[protocol]).startswith((b"s OK", b"+OK"))
        client.secure(context, HOSTNAME)
        return client

    def opened(self, client: RawClient) -> list[str]:
        """Return whose mailboxes were opened for the client."""
        return [login.user for login in logins(self.mailbox) if login.rip == client.address]


@pytest.fixture(scope="module")
def revoked(clients: Authority) -> Certificate:
    return clients.issue(SITI)


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority than that of servers."""
    return Authority(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    clients: Authority,
    revoked: Certificate,
    issuer: TokenIssuer,
) -> Iterator[Place]:
    with ExitStack() as stack:
        lines = stack.enter_context(proving.master_lines()) + pigeonhole.DOVECOT_LINES % ""
        mailbox = start(stack, authority, "mbox-1", SITI, BUDI, BOSS, lines=lines)
        path = tmp_path_factory.mktemp("external")
        (path / "clients.crl").write_bytes(clients.revoke(revoked))
        homes = dict.fromkeys((SITI, BUDI, BOSS), mailbox.name)
        slapd = stack.enter_context(proving.directory(path / "slapd", homes, may_act_as={BOSS: SITI}))
        taken = {"ca_file": str(clients.ca_file), "crl_files": [str(path / "clients.crl")], "mode": "optional"}
        zproxy = stack.enter_context(Zproxy(path, config(authority, taken, mailbox) | proving.config(slapd, issuer)))
        place = Place(zproxy, mailbox, authority, clients)
        context = place.context(SITI)
        for protocol in LISTS:
            until(lambda protocol=protocol: offered(place, protocol + "s", context))
        yield place


def config(authority: Authority, taken: Config, mailbox: MailboxServer, **endpoint: object) -> Config:
    """Give listeners that ask for certificates, and one endpoint each, where a master user logs in."""
    style = {"login_style": "verify_then_master", "master_user": "all"} | endpoint
    endpoints: dict[str, Config] = {
        "imap": {"port": PORTS["imap"], "forward": "id"} | style,
        "pop3": {"port": PORTS["pop3"], "forward": "xclient"} | style,
        "sieve": {"port": pigeonhole.PORTS["sieve"], "forward": "xclient"} | style,
    }
    return {
        "listeners": [
            listener("imap", "imap", "starttls_required", client_certificates=taken),
            listener("imaps", "imap", "implicit", client_certificates=taken),
            listener("pop3", "pop3", "starttls_required", client_certificates=taken),
            listener("pop3s", "pop3", "implicit", client_certificates=taken),
            listener("sieve", "sieve", "starttls_required", client_certificates=taken),
            listener(NAMED, "imap", "implicit", client_certificates=taken, external_identity="cn"),
            listener("imaps_unasked", "imap", "implicit"),
        ],
        "certificates": [authority.issue(HOSTNAME).config],
        "timeouts": {"auth_failure_delay": "0.1s"},
        "limits": {"login_attempts": 10},
        "health": {"interval": "0.2s"},
        "backends": [backend(mailbox, **endpoints)],
    }


def listed(client: RawClient, protocol: str) -> bytes:
    """Return what is offered to a client before its login."""
    heard = [client.ask(LISTS[protocol])]
    while not heard[-1].startswith((b"a OK", b".\r\n")):
        heard.append(client.line())
    return b"".join(heard)


def offered(place: Place, listener: str, context: ssl.SSLContext, word: bytes = b"EXTERNAL") -> bool:
    with place.client(listener, context) as client:
        return word in listed(client, listener[:4])


def external(protocol: str, authzid: str = "") -> bytes:
    return EXTERNAL[protocol] + b" " + (base64.b64encode(authzid.encode()) or b"=") + b"\r\n"


def is_welcome(answer: bytes) -> bool:
    return answer.startswith((b"a OK", b"* CAPABILITY", b"+OK"))


@each_protocol
@each_way
def test_a_certificate_opens_the_mailbox_of_its_account(place: Place, protocol: str, way: str) -> None:
    with place.come(protocol, way, place.context("laptop.tgg.net.id", SITI)) as client:
        assert b"EXTERNAL" in listed(client, protocol)
        assert is_welcome(client.ask(external(protocol)))
        login = login_from(place.mailbox, client.address)
    assert (login.user, login.service) == (SITI, protocol)
    record = place.zproxy.record_from(client.address)
    assert (record["account"], record["mechanism"], record["verified"]) == (SITI, "EXTERNAL", "certificate")


@each_protocol
def test_whoever_is_asked_may_say_nothing_or_his_own_name(place: Place, protocol: str) -> None:
    for said in (b"", base64.b64encode(SITI.encode()), base64.b64encode(f"post.{SITI}".encode())):
        with place.come(protocol, "implicit", place.context(f"post.{SITI}")) as client:
            assert client.ask(EXTERNAL[protocol] + b"\r\n") == b"+ \r\n"
            assert is_welcome(client.ask(said + b"\r\n"))
            assert login_from(place.mailbox, client.address).user == SITI


@each_protocol
def test_another_is_acted_for_only_where_the_directory_grants_it(place: Place, protocol: str) -> None:
    for own, other in [(SITI, BUDI), (BUDI, SITI), (BOSS, BUDI), (SITI, NOBODY), (SITI, f"{BUDI}*zproxy")]:
        with place.come(protocol, "implicit", place.context(own)) as client:
            assert client.ask(external(protocol, other)) == WRONG[protocol], (own, other)
            assert place.opened(client) == []
    with place.come(protocol, "implicit", place.context(BOSS)) as client:
        assert is_welcome(client.ask(external(protocol, SITI)))
        assert login_from(place.mailbox, client.address).user == SITI


@each_protocol
def test_a_certificate_of_nobody_opens_nothing(place: Place, protocol: str) -> None:
    for name in (NOBODY, f"{SITI}*zproxy"):
        with place.come(protocol, "implicit", place.context(name)) as client:
            assert client.ask(external(protocol)) == WRONG[protocol], name
            assert place.opened(client) == []


@each_protocol
@each_way
def test_it_is_not_offered_without_a_certificate_that_has_such_a_name(place: Place, protocol: str, way: str) -> None:
    for context in (place.context(), place.context("laptop.tgg.net.id")):
        with place.come(protocol, way, context) as client:
            assert b"EXTERNAL" not in listed(client, protocol)
            assert b"nknown authentication mechanism" in client.ask(external(protocol, SITI))
            # By other ways he may come in.
            said = AUTHENTICATE[protocol] + b" " + plain(SITI, right(SITI)) + b"\r\n"
            assert is_welcome(client.ask(said))


def test_it_is_not_offered_where_nobody_is_asked_for_a_certificate(place: Place) -> None:
    assert not offered(place, "imaps_unasked", place.context(SITI))


def test_a_certificate_of_another_authority_and_a_revoked_one_open_nothing(
    place: Place, revoked: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    for certificate in (stranger.issue(SITI), place.authority.issue(SITI), revoked):
        with RawClient(place.zproxy.listeners["imaps"]) as client:
            assert shut_out(client, place.authority.client_context(certificate))
        assert place.opened(client) == []


def shut_out(client: RawClient, context: ssl.SSLContext) -> bool:
    """Whether nothing it says is answered: with TLS 1.3 a client is done before it is judged, and reads the alert."""
    try:
        client.secure(context, HOSTNAME)
        return not client.ask_or_end(external("imap"))
    except ssl.SSLError as error:
        return "ALERT" in error.reason


def test_the_listener_says_which_name_counts(place: Place) -> None:
    context = place.context(BUDI, SITI)
    for name, account in (("imaps", BUDI), (NAMED, SITI)):
        with place.client(name, context) as client:
            assert is_welcome(client.ask(external("imap")))
            assert login_from(place.mailbox, client.address).user == account


def test_filters_are_kept_by_a_certificate_too(place: Place) -> None:
    with SieveClient(place.zproxy.listeners["sieve"]) as client:
        assert "EXTERNAL" in client.begin_tls(place.context(SITI)).capabilities["SASL"]
        other = base64.b64encode(BUDI.encode()).decode()
        assert not client.say(f'AUTHENTICATE "EXTERNAL" "{other}"').ok
        assert client.say('AUTHENTICATE "EXTERNAL" ""').ok
        assert client.put("kept", "keep;").ok
    assert place.zproxy.record_from(client.address)["account"] == SITI


def test_it_is_not_offered_where_a_mailbox_server_wants_the_clients_own_credentials(
    place: Place, tmp_path: Path, start_zproxy: StartZproxy
) -> None:
    taken = {"ca_file": str(place.clients.ca_file)}
    changed = config(place.authority, taken, place.mailbox, login_style="replay", master_user="")
    homes = directory_file(tmp_path / "accounts.csv", {SITI: place.mailbox.name})
    replaying = place._replace(zproxy=start_zproxy(changed | {"directory": homes}))
    context = place.context(SITI)
    # The mailbox server was asked, for all else that it can do is offered.
    until(lambda: offered(replaying, "imaps", context, b"IDLE"))
    with replaying.client("imaps", context) as client:
        assert b"EXTERNAL" not in listed(client, "imap")
        assert b"nknown authentication mechanism" in client.ask(external("imap"))
