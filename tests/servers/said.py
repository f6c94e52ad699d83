"""The few lines that most conversations are made of, by protocol."""

from __future__ import annotations

from servers.fake_mailbox import PASSWORD
from servers.raw_client import plain

NOOP = {"imap": b"n NOOP\r\n", "pop3": b"NOOP\r\n"}
DONE = {"imap": b"n OK", "pop3": b"+OK"}
AUTHENTICATE = {"imap": b"a AUTHENTICATE PLAIN", "pop3": b"AUTH PLAIN"}
WELCOME = {"imap": b"a OK", "pop3": b"+OK in"}
"""As `fake_mailbox` says it."""
WRONG = {
    "imap": b"a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n",
    "pop3": b"-ERR [AUTH] Authentication failed.\r\n",
}
TEMPORARY = {
    "imap": b"a NO [UNAVAILABLE] Temporary failure, try again later.\r\n",
    "pop3": b"-ERR [SYS/TEMP] Temporary failure, please try again later.\r\n",
}


def log_in(protocol: str, account: str, password: str = PASSWORD, *, authzid: str = "") -> bytes:
    return AUTHENTICATE[protocol] + b" " + plain(account, password, authzid) + b"\r\n"
