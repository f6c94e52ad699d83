"""A mailbox server to put behind the proxy: Debian's Dovecot 2.3 in a directory of its own, never as root.

Each server has a loopback address of its own, drawn for the run, and fixed ports on it: Dovecot cannot be asked which
port it was given. It believes what proxies on loopback tell of clients. `zproxy demo` and the tests both start these.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from zcontrol.demo.loopback import own_address
from zcontrol.errors import ZproxyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

PORTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "imap": 10143,
        "imaps": 10993,
        "pop3": 10110,
        "pop3s": 10995,
        # These expect a PROXY protocol header.
        "imap_proxy": 11143,
        "imaps_proxy": 11993,
        "pop3_proxy": 11110,
        "pop3s_proxy": 11995,
    }
)


class MailboxServerError(ZproxyError):
    """Dovecot is not installed, or did not start."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a mailbox server is made of."""

    name: str
    directory: Path
    """Made for it, and emptied when it stops; where root starts it, others must be able to pass through its parents."""
    passwords: Mapping[str, str]
    """The password of each account."""
    certificate_file: Path
    key_file: Path
    lines: str = ""
    """Configuration lines behind ours, so that they win."""
    address: str = field(default_factory=own_address)
    storage: Path | None = None
    """Where mail lies that several servers share, made like `directory` and left when it stops; None: its own."""

    @property
    def mail(self) -> Path:
        """Where mail lies."""
        return self.storage or self.directory / "mail"


class MailboxServer:
    """One running Dovecot; a context manager that stops it."""

    def __init__(self, setting: Setting) -> None:
        self.setting: Final = setting
        self.name: Final = setting.name
        self.address: Final = setting.address
        self.log_file: Final = setting.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it and return when all its ports answer."""
        program = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise MailboxServerError("dovecot is not installed: apt-get install dovecot-imapd dovecot-pop3d")
        config = self._prepare()
        command = [*as_owner(), program, "-F", "-c", str(config)]
        # In a session of its own, so that Ctrl-C in a terminal reaches it by us alone.
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            for port in PORTS.values():
                self._wait_until_open(port)
        except MailboxServerError:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop it and remove its directory."""
        if self._process is not None:
            # Its children too: the master alone takes a second to see that all are gone.
            self._signal_all(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._signal_all(signal.SIGKILL)
                self._process.wait()
            self._process = None
        shutil.rmtree(self.setting.directory, ignore_errors=True)

    def deliver(self, account: str, message: bytes) -> None:
        """Put a message into the account's INBOX, as a delivery agent would."""
        new = self.setting.mail / account / "Maildir" / "new"
        unique = f"{time.time_ns()}.{os.getpid()}_{random.getrandbits(32)}.{self.name}"
        draft = new.parent / "tmp" / unique
        draft.write_bytes(message)
        give(draft)
        draft.rename(new / unique)

    def _signal_all(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._process is not None:
                os.killpg(self._process.pid, number)

    def _prepare(self) -> Path:
        """Write configuration, accounts and empty mailboxes; everything belongs to the user that Dovecot runs as."""
        directory = self.setting.directory
        directory.mkdir(parents=True, mode=0o700)
        for account in self.setting.passwords:
            self._prepare_mailbox(self.setting.mail / account)
        users = "".join(f"{account}:{{PLAIN}}{password}\n" for account, password in self.setting.passwords.items())
        (directory / "users").write_text(users)
        for name, source in (("cert.pem", self.setting.certificate_file), ("key.pem", self.setting.key_file)):
            (directory / name).write_bytes(source.read_bytes())
        user = owner()
        config = directory / "dovecot.conf"
        text = CONFIG.format(
            directory=directory,
            mail=self.setting.mail,
            name=self.name,
            address=self.address,
            user=user.pw_name,
            uid=user.pw_uid,
            gid=user.pw_gid,
            imap_listeners=_listeners("imap"),
            pop3_listeners=_listeners("pop3"),
        )
        config.write_text(text + self.setting.lines)
        self.log_file.touch()
        for path in (directory, *directory.rglob("*")):
            give(path)
        return config

    def _prepare_mailbox(self, home: Path) -> None:
        """Make it, unless the storage has it: then it may be in use."""
        if not home.exists():
            for folder in ("cur", "new", "tmp"):
                (home / "Maildir" / folder).mkdir(parents=True)
            for path in (home.parent, home, *home.rglob("*")):
                give(path)

    def _wait_until_open(self, port: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection((self.address, port), timeout=1):
                return
            if self._process is None or self._ended_within(POLL_SECONDS) or time.monotonic() > deadline:
                log = self.log_file.read_text(errors="replace")
                raise MailboxServerError(f"{self.name} does not listen on {self.address}:{port}; its log:\n{log}")

    def _ended_within(self, seconds: float) -> bool:
        try:
            return self._process is not None and self._process.wait(seconds) is not None
        except subprocess.TimeoutExpired:
            return False

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()


def owner() -> pwd.struct_passwd:
    """Return the user that Dovecot runs as and mail belongs to: us, but never root, whom Dovecot serves no mail."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def as_owner() -> list[str]:
    """Return what makes a command run as the owner: not Popen's `user`, with which it forks, and gRPC must not fork."""
    if os.geteuid() != 0:
        return []
    user = owner()
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def give(path: Path) -> None:
    """Make a file or directory the owner's."""
    if os.geteuid() == 0:
        user = owner()
        os.chown(path, user.pw_uid, user.pw_gid)


def _listeners(protocol: str) -> str:
    """Return the listeners of one login service, as configuration lines."""
    lines = ""
    for name, port in PORTS.items():
        service, _, proxied = name.partition("_")
        if service.startswith(protocol):
            lines += f"  inet_listener {name} {{\n    port = {port}\n"
            lines += "    ssl = yes\n" if service == protocol + "s" else ""
            lines += "    haproxy = yes\n" if proxied else ""
            lines += "  }\n"
    return lines


START_SECONDS: Final = 20
"""A start takes a third of a second; a loaded machine may take long."""
STOP_SECONDS: Final = 10
"""Dovecot ends its children before itself."""
POLL_SECONDS: Final = 0.02

CONFIG: Final = """\
protocols = imap pop3
listen = {address}
instance_name = {name}
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
default_internal_user = {user}
default_login_user = {user}
default_internal_group =
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
first_valid_gid = 1
mail_home = {mail}/%u
mail_location = maildir:~/Maildir
mail_max_userip_connections = 1000
ssl = yes
ssl_cert = <{directory}/cert.pem
ssl_key = <{directory}/key.pem
# Whom to believe about the client's address: IMAP ID, POP3 XCLIENT; and PROXY headers on the ports that expect one.
login_trusted_networks = 127.0.0.0/8
haproxy_trusted_networks = 127.0.0.0/8
passdb {{
  driver = passwd-file
  # Whoever adds a mechanism for tokens does not want a password to do as one; `none` is the look-up of a recipient.
  mechanisms = plain login none
  args = {directory}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid}
}}
service anvil {{
  chroot =
  # Its growing delay for a wrong password, but not for a name that never gets here, would tell the two apart.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  service_count = 0
{imap_listeners}}}
service pop3-login {{
  chroot =
  service_count = 0
{pop3_listeners}}}
"""
