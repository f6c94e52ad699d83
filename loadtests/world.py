"""A world to load on this machine: zproxy, three mailbox servers with one storage, a webmail beside each, submission.

`mbox-1` and `mbox-2` are the group `mailboxes`; a third of the accounts live on each and a third on the group. `mbox-3`
waits to be added. SIGUSR1 kills `mbox-2` and its webmail, SIGUSR2 brings them back: the target says so to locust.

    python loadtests/world.py [--accounts 60]

prints where the target is and serves until Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

# The suite's servers.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.zproxy import Zproxy, listener, toml
from zcontrol.demo.accounts import HOSTNAME, PASSWORD, welcome
from zcontrol.demo.certificate import self_signed
from zcontrol.demo.dovecot import PORTS, MailboxServer, Setting
from zcontrol.demo.loopback import own_address
from zcontrol.demo.submission import PORT as SUBMISSION_PORT
from zcontrol.demo.submission import Submission
from zcontrol.demo.webmail import PORT as WEB_PORT
from zcontrol.demo.webmail import TOKEN, USER, Sessions, Webmail

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP: Final = "mailboxes"
MEMBERS: Final = ("mbox-1", "mbox-2")
MORTAL: Final = "mbox-2"
SPARE: Final = "mbox-3"
LISTENERS: Final = (
    ("imap", "imap", "starttls_required"),
    ("imaps", "imap", "implicit"),
    ("pop3", "pop3", "starttls_required"),
    ("pop3s", "pop3", "implicit"),
    ("submission", "submission", "starttls_required"),
    ("submissions", "submission", "implicit"),
    ("https", "http", "implicit"),
)


class Mailbox:
    """One mailbox server and its webmail: they live and die together."""

    def __init__(self, setting: Setting, sessions: Sessions) -> None:
        self.server = MailboxServer(setting)
        self._sessions = sessions
        self._webmail: Webmail | None = None

    def __enter__(self) -> Self:
        """Start both."""
        self.server.start()
        self._webmail = Webmail(self.server.name, self.server.address, PORTS["imap"], self._sessions)
        self._webmail.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """End both, unless they have ended."""
        if self._webmail:
            self._webmail.__exit__(None, None, None)
            self._webmail = None
        self.server.stop()


class World:
    """All of it, in a directory that is gone at the end; a context manager."""

    def __init__(self, accounts: int) -> None:
        homes = (*MEMBERS, GROUP)
        self.homes = {f"user{number:04}@load.example": homes[number % len(homes)] for number in range(accounts)}
        self.directory = Path(tempfile.mkdtemp(prefix="zproxy-load-"))
        self.target_file = self.directory / "target.toml"
        self._certificate = self.directory / "certificate.pem"
        self._key = self.directory / "key.pem"
        self._running = ExitStack()
        self._orders: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        """Start it all."""
        with ExitStack() as starting:
            starting.callback(shutil.rmtree, self.directory, ignore_errors=True)
            # Root's Dovecot runs as another user, who must be able to pass through.
            self.directory.chmod(0o711)
            self_signed(self._certificate, self._key, HOSTNAME)
            passwords = dict.fromkeys(self.homes, PASSWORD)
            # A user of the group whose server changes stays logged in.
            sessions = Sessions()
            mailboxes = {
                name: starting.enter_context(Mailbox(self._setting(name, passwords), sessions))
                for name in (*MEMBERS, SPARE)
            }
            for account, home in self.homes.items():
                mailboxes[SPARE].server.deliver(account, welcome(account, home))
            submission = Submission(own_address(), passwords, mailboxes[SPARE].server.deliver)
            starting.enter_context(submission)
            zproxy = starting.enter_context(Zproxy(self.directory, self._config(mailboxes, submission.address)))
            self._write_target(zproxy, mailboxes[SPARE])
            self._listen(mailboxes[MORTAL])
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End it all."""
        self._running.close()

    def _setting(self, name: str, passwords: Mapping[str, str]) -> Setting:
        return Setting(
            name=name,
            directory=self.directory / name,
            storage=self.directory / "mail",
            passwords=passwords,
            certificate_file=self._certificate,
            key_file=self._key,
        )

    def _config(self, mailboxes: Mapping[str, Mailbox], submission: str) -> dict[str, Any]:
        accounts = self.directory / "accounts.csv"
        accounts.write_text("account,home\n" + "".join(f"{name},{home}\n" for name, home in self.homes.items()))
        mta = {"name": "mta", "host": submission, "endpoints": {"submission": {"port": SUBMISSION_PORT}}}
        return {
            "listeners": [listener(name, protocol, tls) for name, protocol, tls in LISTENERS],
            "certificates": [{"certificate_file": str(self._certificate), "key_file": str(self._key)}],
            # All clients have one address.
            "limits": {"trusted": ["127.0.0.0/8"]},
            "directory": {"file": {"path": str(accounts)}},
            "http": {"hosts": [{"login_forms": [{"path": "/", "field": USER, "hidden": [TOKEN]}]}]},
            "defaults": {"http": GROUP, "submission": "mta"},
            "groups": [{"name": GROUP, "kind": "shared"}],
            "backends": [*(_backend(mailboxes[name]) for name in MEMBERS), mta],
        }

    def _write_target(self, zproxy: Zproxy, spare: Mailbox) -> None:
        def at(*listeners: str) -> list[str]:
            tls = {name: "implicit" if tls == "implicit" else "starttls" for name, _, tls in LISTENERS}
            return [f"{zproxy.listeners[name][1]}/{tls[name]}" for name in listeners]

        target = {
            "host": "127.0.0.1",
            "server_name": HOSTNAME,
            "ca_file": self._certificate.name,
            "password": PASSWORD,
            "services": {
                "imap": at("imaps", "imap"),
                "pop3": at("pop3s", "pop3"),
                "submission": at("submissions", "submission"),
                "web": at("https"),
            },
            "site": {"user_field": USER, "shows": "inbox of {account}", "upload": "/upload"},
            "api": zproxy.api,
            "spare": _backend(spare),
            "dies": [f"kill -USR1 {os.getpid()}"],
            "returns": [f"kill -USR2 {os.getpid()}"],
            "homes": [MORTAL, GROUP],
        }
        self.target_file.write_text("".join(f"{key} = {toml(value)}\n" for key, value in target.items()))

    def _listen(self, mortal: Mailbox) -> None:
        """Obey the signals, in a thread: what a handler interrupts may be a start or an end."""
        signal.signal(signal.SIGUSR1, lambda *_: self._orders.put(item=False))
        signal.signal(signal.SIGUSR2, lambda *_: self._orders.put(item=True))

        def obey() -> None:
            while True:
                if self._orders.get():
                    mortal.__enter__()
                else:
                    mortal.__exit__()

        threading.Thread(target=obey, daemon=True).start()


def _backend(mailbox: Mailbox) -> dict[str, Any]:
    endpoints = {
        "imap": {"port": PORTS["imap"], "forward": "id"},
        "pop3": {"port": PORTS["pop3"], "forward": "xclient"},
        "http": {"port": WEB_PORT},
    }
    return {"name": mailbox.server.name, "host": mailbox.server.address, "group": GROUP, "endpoints": endpoints}


def main() -> int:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--accounts", type=int, default=ACCOUNTS, help="how many there are")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with World(options.accounts) as world:
        sys.stdout.write(f"{json.dumps({'target': str(world.target_file)})}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


ACCOUNTS: Final = 60

if __name__ == "__main__":
    sys.exit(main())
