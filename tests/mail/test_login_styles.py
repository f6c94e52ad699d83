"""Logins in each style, before a real Dovecot that knows a master user, proved by a real slapd and an issuer's keys."""

from __future__ import annotations

import base64
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from servers import proving
from servers.dovecot import login_from, logins, start
from servers.proving import MASTER, right
from servers.raw_client import RawClient, plain
from servers.said import AUTHENTICATE, TEMPORARY, WRONG
from servers.tokens import MECHANISMS, dismissal, message
from servers.waiting import until
from servers.zproxy import Zproxy, backend, listener
from zcontrol.demo.accounts import PASSWORD
from zcontrol.demo.dovecot import PORTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.slapd import Slapd
    from servers.tokens import TokenIssuer
    from servers.zproxy import Config
    from zcontrol.demo.dovecot import MailboxServer

# By the style of their home.
SITI, BUDI, BOSS = "siti@tgg.net.id", "budi@tgg.net.id", "boss@tgg.net.id"
TOKEN, REPLAY = "ani@tgg.net.id", "satrio@tgg.net.id"
NOBODY = "nobody@tgg.net.id"
HOMES = {SITI: "mbox-1", BUDI: "mbox-1", BOSS: "mbox-1", TOKEN: "mbox-token", REPLAY: "mbox-replay"}
STYLES = {"mbox-1": "verify_then_master", "mbox-token": "token", "mbox-replay": "replay"}
CANNOT = {
    "imap": b"a NO [CANNOT] The server of this mailbox does not take this mechanism.\r\n",
    "pop3": b"-ERR [SYS/PERM] The server of this mailbox does not take this mechanism.\r\n",
}
LISTENERS = [
    listener("imap", "imap", "off"),
    listener("imap_master", "imap", "off", master_logins_from=["127.0.0.0/8"]),
    listener("pop3", "pop3", "off"),
]
DELAY_SECONDS = 0.3

each_protocol = pytest.mark.parametrize("protocol", ["imap", "pop3"])
each_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS)


class Place(NamedTuple):
    """A proxy before one mailbox server, which it calls by a name for each style."""

    zproxy: Zproxy
    mailbox: MailboxServer
    slapd: Slapd

    def client(self, name: str) -> RawClient:
        client = RawClient(self.zproxy.listeners[name])
        assert client.line().startswith((b"* OK", b"+OK"))
        return client

    def opened(self, client: RawClient) -> list[str]:
        """Return whose mailboxes were opened for the client."""
        return [login.user for login in logins(self.mailbox) if login.rip == client.address]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, authority: Authority, issuer: TokenIssuer) -> Iterator[Place]:
    with ExitStack() as stack:
        lines = stack.enter_context(proving.master_lines())
        mailbox = start(stack, authority, "mbox-1", *HOMES, lines=issuer.dovecot_lines + lines)
        path = tmp_path_factory.mktemp("styles")
        slapd = stack.enter_context(proving.directory(path / "slapd", HOMES, may_act_as={BOSS: SITI}))
        config = {
            "listeners": LISTENERS,
            "timeouts": {"auth_failure_delay": f"{DELAY_SECONDS}s"},
            "limits": {"login_attempts": 10},
            "health": {"interval": "0.2s"},
            "backends": [styled(mailbox, name, style) for name, style in STYLES.items()],
            **proving.config(slapd, issuer),
        }
        zproxy = stack.enter_context(Zproxy(path, config))
        place = Place(zproxy, mailbox, slapd)
        until(lambda: b"AUTH=XOAUTH2" in offered(place))
        yield place


def styled(mailbox: MailboxServer, name: str, style: str) -> Config:
    """Describe the mailbox server under a name, which has a style."""
    endpoint = {"login_style": style} | ({"master_user": "all"} if style == "verify_then_master" else {})
    imap = {"port": PORTS["imap"], "forward": "id", **endpoint}
    pop3 = {"port": PORTS["pop3"], "forward": "xclient", **endpoint}
    return backend(mailbox, imap=imap, pop3=pop3) | {"name": name}


def offered(place: Place) -> bytes:
    with place.client("imap") as client:
        return client.ask(b"a CAPABILITY\r\n")


def by_password(protocol: str, name: str, password: str, *, authzid: str = "") -> bytes:
    return AUTHENTICATE[protocol] + b" " + plain(name, password, authzid) + b"\r\n"


def by_token(protocol: str, mechanism: str, said: bytes) -> bytes:
    command = {"imap": b"a AUTHENTICATE ", "pop3": b"AUTH "}[protocol]
    return command + mechanism.encode() + b" " + base64.b64encode(said) + b"\r\n"


def refused(client: RawClient, protocol: str, mechanism: str, said: bytes) -> bytes:
    """Log in by a token in vain, and return the challenge that came before the refusal."""
    challenge = client.ask(by_token(protocol, mechanism, said))
    assert challenge.startswith(b"+ "), challenge
    assert client.ask(base64.b64encode(dismissal(mechanism)) + b"\r\n") == WRONG[protocol]
    return challenge


def nameless(token: str) -> bytes:
    return f"n,,\x01auth=Bearer {token}\x01\x01".encode()


def is_welcome(answer: bytes) -> bool:
    return answer.startswith((b"a OK", b"* CAPABILITY", b"+OK"))


@each_protocol
@pytest.mark.parametrize("name", [SITI, f"post.{SITI}"])
def test_a_proved_password_opens_the_mailbox_of_its_account(place: Place, protocol: str, name: str) -> None:
    with place.client(protocol) as client:
        assert is_welcome(client.ask(by_password(protocol, name, right(SITI))))
        login = login_from(place.mailbox, client.address)
    assert (login.user, login.service, login.method) == (SITI, protocol, "PLAIN")
    record = place.zproxy.record_from(client.address)
    assert (record["account"], record["mechanism"], record["verified"]) == (SITI, "PLAIN", "password")


@each_mechanism
@each_protocol
def test_a_proved_token_opens_the_mailbox_of_its_account(
    place: Place, issuer: TokenIssuer, protocol: str, mechanism: str
) -> None:
    with place.client(protocol) as client:
        said = message(mechanism, SITI, issuer.token(SITI))
        assert is_welcome(client.ask(by_token(protocol, mechanism, said)))
        assert login_from(place.mailbox, client.address).user == SITI
    assert place.zproxy.record_from(client.address)["verified"] == "token"


@each_protocol
def test_a_proved_token_without_a_name_opens_the_mailbox_of_its_account(
    place: Place, issuer: TokenIssuer, protocol: str
) -> None:
    with place.client(protocol) as client:
        assert is_welcome(client.ask(by_token(protocol, "OAUTHBEARER", nameless(issuer.token(BUDI)))))
        assert login_from(place.mailbox, client.address).user == BUDI


@each_protocol
def test_an_attackers_own_password_opens_no_other_mailbox(place: Place, protocol: str) -> None:
    # To every home that there is, and by every way to name somebody else.
    attempts = [(victim, right(BUDI), "") for victim in HOMES if victim != BUDI]
    attempts += [(f"post.{SITI}", right(BUDI), ""), (BUDI, right(BUDI), SITI), (f"post.{BUDI}", right(BUDI), SITI)]
    attempts += [(f"{SITI}*{BUDI}", right(BUDI), ""), (f"{SITI}*{MASTER['user']}", MASTER["password"], "")]
    attempts += [(f"{REPLAY}*{MASTER['user']}", MASTER["password"], ""), (MASTER["user"], MASTER["password"], SITI)]
    attempts += [(BUDI, right(BUDI), f"{SITI}*{MASTER['user']}"), (SITI, PASSWORD, ""), (BOSS, right(BOSS), BUDI)]
    for name, password, authzid in attempts:
        with place.client(protocol) as client:
            answer = client.ask(by_password(protocol, name, password, authzid=authzid))
            expected = CANNOT if name == TOKEN else WRONG
            assert answer == expected[protocol], (name, authzid)
            assert place.opened(client) == []


@each_mechanism
@each_protocol
def test_an_attackers_own_token_opens_no_other_mailbox(
    place: Place, issuer: TokenIssuer, protocol: str, mechanism: str
) -> None:
    own = issuer.token(BUDI)
    for victim in [SITI, f"post.{SITI}", BOSS, TOKEN, REPLAY, f"{SITI}*{MASTER['user']}", f"{SITI}*{BUDI}", NOBODY]:
        with place.client(protocol) as client:
            refused(client, protocol, mechanism, message(mechanism, victim, own))
            assert place.opened(client) == []


@each_protocol
def test_a_token_that_nobody_signed_opens_no_mailbox(place: Place, issuer: TokenIssuer, protocol: str) -> None:
    header, payload, _ = issuer.token(SITI).split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    stolen = issuer.token(BUDI).rpartition(".")[2]
    forged = [f"{header}.{payload}.{stolen}", f"{unsigned}.{payload}.", issuer.token(SITI, valid_for=-3600), "opaque"]
    for token in forged:
        with place.client(protocol) as client:
            refused(client, protocol, "OAUTHBEARER", message("OAUTHBEARER", SITI, token))
            refused(client, protocol, "OAUTHBEARER", nameless(token))
            assert place.opened(client) == []


@each_protocol
def test_whoever_may_act_as_another_does_so_by_his_own_proof(place: Place, issuer: TokenIssuer, protocol: str) -> None:
    said = [
        by_password(protocol, BOSS, right(BOSS), authzid=SITI),
        by_token(protocol, "XOAUTH2", message("XOAUTH2", SITI, issuer.token(BOSS))),
    ]
    for login in said:
        with place.client(protocol) as client:
            assert is_welcome(client.ask(login))
            assert login_from(place.mailbox, client.address).user == SITI


@each_protocol
def test_a_wrong_password_and_an_unknown_user_are_one_to_the_client(place: Place, protocol: str) -> None:
    for name in (SITI, NOBODY):
        with place.client(protocol) as client:
            began = time.monotonic()
            assert client.ask(by_password(protocol, name, "wrong")) == WRONG[protocol]
            assert time.monotonic() - began >= 0.9 * DELAY_SECONDS
    empty = by_password(protocol, SITI, "")
    with place.client(protocol) as client:
        assert b"password is empty" in client.ask(empty)


@each_protocol
def test_passwords_stay_off_backends_that_check_tokens(place: Place, issuer: TokenIssuer, protocol: str) -> None:
    with place.client(protocol) as client:
        assert client.ask(by_password(protocol, TOKEN, PASSWORD)) == CANNOT[protocol]
        assert place.opened(client) == []
        said = message("XOAUTH2", TOKEN, issuer.token(TOKEN))
        assert is_welcome(client.ask(by_token(protocol, "XOAUTH2", said)))


def test_user_and_master_are_replayed_as_typed_where_the_listener_allows_it(place: Place) -> None:
    typed = f"{REPLAY}*{MASTER['user']}"
    with place.client("imap_master") as client:
        for wrong in [f"{SITI}*{MASTER['user']}", f"{NOBODY}*{MASTER['user']}", f"*{MASTER['user']}", f"{REPLAY}*"]:
            assert client.ask(by_password("imap", wrong, MASTER["password"])) == WRONG["imap"], wrong
        assert client.ask(by_password("imap", typed, "wrong")) == WRONG["imap"]
        assert is_welcome(client.ask(by_password("imap", typed, MASTER["password"])))
        assert login_from(place.mailbox, client.address).user == REPLAY
    assert place.zproxy.record_from(client.address)["account"] == REPLAY


def test_a_directory_that_is_gone_is_no_wrong_password(place: Place, issuer: TokenIssuer) -> None:
    place.slapd.pause()
    try:
        with place.client("imap") as client:
            assert client.ask(by_password("imap", SITI, right(SITI))) == TEMPORARY["imap"]
            # Whose route is cached needs no directory to be proved by his token.
            said = message("XOAUTH2", SITI, issuer.token(SITI))
            assert is_welcome(client.ask(by_token("imap", "XOAUTH2", said)))
    finally:
        place.slapd.resume()


def test_no_secret_is_in_a_record_or_a_log(place: Place, issuer: TokenIssuer) -> None:
    token = issuer.token(SITI)
    with place.client("imap") as client:
        client.ask(by_password("imap", SITI, "wrong for siti"))
        client.ask(by_token("imap", "XOAUTH2", message("XOAUTH2", SITI, token)))
    place.zproxy.record_from(client.address)
    written = place.zproxy.records_file.read_text() + place.zproxy.errors()
    for secret in (token, right(SITI), right(BUDI), "wrong for siti", MASTER["password"]):
        assert secret not in written
