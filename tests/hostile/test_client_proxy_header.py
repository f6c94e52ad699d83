"""PROXY protocol headers: believed only where they are expected, from whom they are expected, and only if exact."""

from __future__ import annotations

import ssl
import struct
from typing import TYPE_CHECKING

import pytest

from servers.front import ALICE, Front
from servers.said import log_in
from servers.zproxy import listener
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
IPV4 = bytes([198, 51, 100, 7, 203, 0, 113, 1]) + struct.pack("!HH", 4711, 143)
V1 = b"PROXY TCP4 198.51.100.7 203.0.113.1 4711 143\r\n"


def v2(*, version_command: int = 0x21, family: int = 0x11, body: bytes = IPV4, length: int | None = None) -> bytes:
    declared = len(body) if length is None else length
    return SIGNATURE + struct.pack("!BBH", version_command, family, declared) + body


GOOD = {
    "v1": V1,
    "v1 of IPv6": b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 143\r\n",
    "v2": v2(),
    "v2 with a TLV behind the address": v2(body=IPV4 + b"\x04\0\x03abc"),
}
OF_THE_PROXYS_OWN = {
    "v1 UNKNOWN": b"PROXY UNKNOWN\r\n",
    "v1 UNKNOWN with addresses": b"PROXY UNKNOWN 198.51.100.7 203.0.113.1 4711 143\r\n",
    "v2 LOCAL": v2(version_command=0x20),
}
MALFORMED = {
    "none": b"a NOOP\r\n",
    "octet of 999": b"PROXY TCP4 999.51.100.7 203.0.113.1 4711 143\r\n",
    "IPv6 called IPv4": b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 143\r\n",
    "port of 65536": b"PROXY TCP4 198.51.100.7 203.0.113.1 65536 143\r\n",
    "port with a plus": b"PROXY TCP4 198.51.100.7 203.0.113.1 +4711 143\r\n",
    "two spaces": b"PROXY  TCP4 198.51.100.7 203.0.113.1 4711 143\r\n",
    "lower case": b"proxy TCP4 198.51.100.7 203.0.113.1 4711 143\r\n",
    "a word too many": b"PROXY TCP4 198.51.100.7 203.0.113.1 4711 143 x\r\n",
    "bare LF": V1.replace(b"\r\n", b"\n"),
    "longer than 107 octets": b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
    "v2 of version 3": v2(version_command=0x31),
    "v2 of command 15": v2(version_command=0x2F),
    "v2 shorter than its addresses": v2(body=IPV4[:8]),
    "v2 of family 4": v2(family=0x41),
    "v2 with a TLV longer than itself": v2(body=IPV4 + b"\x04\xff\xffabc"),
    "v2 with a wrong checksum": v2(body=IPV4 + b"\x03\0\x04\xde\xad\xbe\xef"),
    "signature of v2 broken": b"\r\n\r\n\0\r\nQUIX\n" + v2()[12:],
}
both = pytest.mark.parametrize("protocol", ["imap", "pop3"])


@pytest.fixture(scope="module")
def untrusting(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Front]:
    listeners = [
        listener(protocol, protocol, "off", proxy_protocol_from=["127.9.9.9/32"]) for protocol in ("imap", "pop3")
    ]
    with Front(tmp_path_factory.mktemp("untrusting"), authority, listeners=listeners) as running:
        yield running


@both
@pytest.mark.parametrize("what", MALFORMED)
def test_a_header_that_does_not_exactly_match_is_closed_without_a_greeting(
    what: str, protocol: str, front: Front
) -> None:
    with front.untouched(), front.client(f"{protocol}_proxied") as client:
        client.try_send(MALFORMED[what] + b"a NOOP\r\nNOOP\r\n")
        client.half_close()
        assert client.rest() == b""


@both
@pytest.mark.parametrize("what", GOOD)
def test_a_good_header_is_believed_even_if_it_comes_octet_by_octet(what: str, protocol: str, front: Front) -> None:
    with front.client(f"{protocol}_proxied") as client:
        for octet in GOOD[what]:
            client.send(bytes([octet]))
        assert b"OK" in client.line()
        assert b"OK" in client.ask(log_in(protocol, ALICE))
        told = front.backends["mbox"][protocol].conversations[-1]
        assert (b"198.51.100.7" in told.heard) or (b"2001:db8::7" in told.heard)


@both
@pytest.mark.parametrize("what", OF_THE_PROXYS_OWN)
def test_a_header_of_the_proxys_own_means_its_own_address(what: str, protocol: str, front: Front) -> None:
    with front.client(f"{protocol}_proxied") as client:
        client.send(OF_THE_PROXYS_OWN[what])
        assert b"OK" in client.line()
        assert b"OK" in client.ask(log_in(protocol, ALICE))
        assert b"198.51.100.7" not in front.backends["mbox"][protocol].told_of(client.address).heard


@both
@pytest.mark.parametrize("what", GOOD)
def test_a_header_from_a_network_that_may_not_send_one_is_closed_without_a_greeting(
    what: str, protocol: str, untrusting: Front
) -> None:
    with untrusting.untouched(), untrusting.client(protocol) as client:
        client.try_send(GOOD[what])
        assert client.rest() == b""
    with untrusting.client(protocol, address="127.9.9.9") as client:
        client.send(GOOD[what])
        assert b"OK" in client.line()


@both
@pytest.mark.parametrize("what", GOOD)
def test_a_header_where_none_is_expected_is_garbage(what: str, protocol: str, front: Front) -> None:
    with front.greeted(protocol) as client:
        client.try_send(GOOD[what] + log_in(protocol, ALICE))
        client.try_send(b"z LOGOUT\r\nQUIT\r\n")
        answers = client.rest()
    assert b"198.51.100.7" not in answers
    record = front.zproxy.record_from(client.address)
    assert record["client"].startswith(f"{client.address}:")


def test_a_header_before_implicit_tls_is_no_handshake(front: Front) -> None:
    with front.client("imaps") as client:
        client.send(V1)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            client.secure(front.context, HOSTNAME)
