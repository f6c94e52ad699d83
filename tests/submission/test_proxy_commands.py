"""What a Postfix believes of a proxy never comes from a client, not where it would believe it of him too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from servers.clients import SENDING, Visitor
from servers.offices import STARTTLS_XCLIENT
from servers.postfix import Postfix, delivered
from servers.waiting import until
from servers.zproxy import HOMES
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.offices import Offices

SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"
FORGED = "192.0.2.66"
REFUSED = (550, b"5.7.1 That is for proxies only.")
COMMANDS = {
    "XCLIENT": f"XCLIENT ADDR={FORGED} NAME=trusted.example",
    "XCLIENT in small letters": f"xclient addr={FORGED}",
    "XCLIENT that logs in": f"XCLIENT LOGIN={SITI}",
    "XFORWARD": f"XFORWARD ADDR={FORGED}",
}
BODY = f"XCLIENT ADDR={FORGED}\r\nXFORWARD ADDR={FORGED}\r\n..\r\nQUIT\r\n"


@pytest.fixture(scope="module", params=["told by XCLIENT", "told by PROXY v2"])
def believed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, offices: Offices, authority: Authority
) -> Iterator[Visitor]:
    """Somebody whose home is mbox-2, whose Postfix goes on to take the commands from him."""
    ways = {"mbox_2": STARTTLS_XCLIENT} if request.param == "told by XCLIENT" else {}
    with offices.behind(tmp_path_factory.mktemp("believed"), **ways) as zproxy:
        yield Visitor(zproxy=zproxy, context=authority.client_context())


@pytest.mark.parametrize("what", COMMANDS)
def test_a_proxys_command_of_a_client_never_reaches_postfix(what: str, believed: Visitor, offices: Offices) -> None:
    postfix = offices.mtas[HOMES[BUDI]]
    before = len(disconnected(postfix, believed.address))
    with believed.smtp(SENDING["587"]) as client:
        client.login(BUDI, PASSWORD)
        assert client.docmd(COMMANDS[what]) == REFUSED
        assert client.docmd("MAIL", f"FROM:<{BUDI}>")[0] == 250
        assert client.docmd(COMMANDS[what]) == REFUSED
        assert client.docmd("RCPT", f"TO:<{SITI}>")[0] == 250
        assert client.rset()[0] == 250
    counts = until(lambda: disconnected(postfix, believed.address)[before:])
    # One XCLIENT is ours.
    assert all("xforward" not in count and count.get("xclient", 0) <= 1 for count in counts)
    assert FORGED not in postfix.log()


def test_postfix_would_have_believed(believed: Visitor) -> None:
    """Nothing else keeps the client from it: this shows that the tests above can fail."""
    with believed.smtp(SENDING["587"]) as client:
        client.login(BUDI, PASSWORD)
        client.ehlo()
        assert client.has_extn("xclient")
        assert client.has_extn("xforward")


def test_a_message_may_hold_what_a_command_may_not(believed: Visitor, offices: Offices) -> None:
    subject = f"about XCLIENT from {believed.zproxy.directory.name}"
    with believed.smtp(SENDING["587"]) as client:
        client.login(BUDI, PASSWORD)
        client.sendmail(BUDI, [SITI], f"Subject: {subject}\r\n\r\n{BODY}")
    message = delivered(offices.mailboxes[HOMES[SITI]], SITI, subject)
    assert message.endswith(b"\n\n" + BODY.replace("\r\n", "\n").encode())


@pytest.mark.parametrize("what", COMMANDS)
def test_a_postfix_that_believes_only_the_proxy_refuses_by_itself(what: str, sender: Visitor, offices: Offices) -> None:
    with sender.smtp(SENDING["587"]) as client:
        client.login(SITI, PASSWORD)
        client.ehlo()
        assert not client.has_extn("xclient")
        assert client.docmd(COMMANDS[what])[0] in {502, 503, 550, 554}
    assert FORGED not in "".join(re.findall(r"client=\S+", offices.mtas[HOMES[SITI]].log()))


def disconnected(postfix: Postfix, address: str) -> list[dict[str, int]]:
    """Return how many commands of each kind each session of a client at `address` had."""
    found = re.findall(rf" disconnect from unknown\[{re.escape(address)}\] (.*)", postfix.log())
    counts = (re.findall(r"(\w+)=(?:\d+/)?(\d+)", told) for told in found)
    return [{verb: int(count) for verb, count in count_} for count_ in counts]
