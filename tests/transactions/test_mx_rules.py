"""What an operator may ask of an mx listener: by home, unknown recipients refused, a greeting that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.post import BUDI, SATRIO, SITI, Post
from servers.raw_client import RawClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNKNOWN = b"550 5.1.1 There is no such mailbox.\r\n"
TOO_OFTEN = b"450 4.7.1 Your server has asked for too many mailboxes that there are not, please try again later.\r\n"
LATER = b"451 4.3.0 Nobody can say now who that is, please try again later.\r\n"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    rules = {"by_home": True, "refuse_unknown": ["tgg.net.id"], "unknown_recipients": 2, "greeting_delay": "200ms"}
    with Post(tmp_path_factory.mktemp("rules"), mx={"mx": rules}) as running:
        yield running


def test_mail_goes_to_the_home_of_the_first_and_others_come_again(strict: Post) -> None:
    client, answers = strict.begun("mx", SITI, SATRIO, BUDI)
    with client:
        assert [answer[:10] for answer in answers] == [b"250 2.1.0 ", b"452 4.5.3 ", b"250 2.1.0 "]
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        assert client.ask(b"Hi.\r\n.\r\n") == b"250 2.0.0 taken\r\n"
    assert strict.taken("one smtp").recipients == (SITI.encode(), BUDI.encode())
    assert not strict.receivers["two smtp"].messages


def test_unknown_recipients_are_refused_and_who_tries_names_learns_no_more(strict: Post) -> None:
    recipients = ("x@tgg.net.id", "nobody@gec-course.com", "postmaster@tgg.net.id", "y@tgg.net.id")
    client, answers = strict.begun("mx", *recipients)
    with client:
        assert answers == [UNKNOWN, b"250 2.1.0 Ok\r\n", b"250 2.1.0 Ok\r\n", UNKNOWN]
    # Whoever they are, from any connection; other domains have no such secret.
    with strict.client("mx", address=client.address) as again:
        assert again.ask(b"MAIL FROM:<>\r\n") == b"250 2.1.0 Ok.\r\n"
        assert again.ask(b"RCPT TO:<z@tgg.net.id>\r\n") == TOO_OFTEN
        assert again.ask(b"RCPT TO:<siti@tgg.net.id>\r\n") == TOO_OFTEN
        assert again.ask(b"RCPT TO:<satrio@gec-course.com>\r\n") == b"250 2.1.0 Ok\r\n"


def test_who_speaks_before_the_greeting_is_turned_away(strict: Post) -> None:
    with RawClient(strict.zproxy.listeners["mx"]) as client:
        client.send(b"EHLO client.example\r\nMAIL FROM:<>\r\n")
        assert client.rest() == b"554 5.7.1 mail.tgg.net.id You spoke before your turn.\r\n"


def test_a_directory_that_is_down_refuses_nobody(tmp_path: Path) -> None:
    nowhere = {"ldap": {"urls": ["ldap://127.0.0.1:1"], "base": "dc=tgg", "timeout": "1s"}}
    rules = {"refuse_unknown": ["*"]}
    with Post(tmp_path, mx={"mx": rules}, directory=nowhere) as post:
        for service in ("mx", "lmtp"):
            client, answers = post.begun(service, SITI, "world@example.org", "nobody@tgg.net.id")
            with client:
                assert answers == [LATER] * 3
