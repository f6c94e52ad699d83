"""Each way to say a password, with and without an initial response, is replayed to a Postfix that knows it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from servers.clients import SENDING
from servers.raw_client import plain
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    from servers.clients import Visitor

SITI = "siti@tgg.net.id"
MECHANISMS = {
    "PLAIN with initial response": [b"AUTH PLAIN " + plain(SITI, PASSWORD)],
    "PLAIN": [b"AUTH PLAIN", plain(SITI, PASSWORD)],
    "LOGIN with initial response": [
        b"AUTH LOGIN " + base64.b64encode(SITI.encode()),
        base64.b64encode(PASSWORD.encode()),
    ],
    "LOGIN": [b"AUTH LOGIN", base64.b64encode(SITI.encode()), base64.b64encode(PASSWORD.encode())],
    "LOGIN in small letters": [b"auth login", base64.b64encode(SITI.encode()), base64.b64encode(PASSWORD.encode())],
}


@pytest.mark.parametrize("way", SENDING)
@pytest.mark.parametrize("how", MECHANISMS)
def test_a_user_logs_in_by(how: str, way: str, sender: Visitor) -> None:
    *asked, last = MECHANISMS[how]
    with sender.smtp(SENDING[way]) as client:
        client.ehlo()
        for line in asked:
            assert client.docmd(line.decode())[0] == 334
        assert client.docmd(last.decode())[0] == 235
        assert client.mail(SITI) == (250, b"2.1.0 Ok")
