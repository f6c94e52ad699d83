"""The accounts of the demo, by the mailbox server on which each lives."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

HOSTNAME: Final = "mail.tgg.net.id"
"""The one name that every client connects to."""

PASSWORD: Final = "demo"  # noqa: S105 - it opens a mailbox with one message, on loopback

ACCOUNTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "mbox-1": ("siti@tgg.net.id", "gesang@gec-course.com"),
        "mbox-2": ("sarbini@gec-course.com", "satrio@gec-course.com", "budi@tgg.net.id"),
    }
)


def welcome(account: str, server: str) -> bytes:
    """Return a message that tells its reader on which server it lies."""
    return (
        f"From: zproxy demo <demo@{HOSTNAME}>\r\n"
        f"To: {account}\r\n"
        f"Subject: You are on {server}\r\n"
        "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
        f"Message-ID: <{account}.{server}>\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "\r\n"
        f"The account {account} lives on {server}.\r\n"
    ).encode("ascii")
