"""A provider whose control plane proves who clients are: passwords by LDAP binds, tokens by the issuer's keys.

Nobody's password of the directory is known to a mailbox server: whoever gets in by it was proved by control.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from servers.slapd import BASE, Slapd, person, with_password
from servers.tokens import AUDIENCE, ISSUER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from servers.tokens import TokenIssuer
    from servers.zproxy import Config

MASTER: Final = {"name": "all", "user": "zproxy", "password": "only the proxy knows"}
"""For `master_users`."""


def right(account: str) -> str:
    """Return the account's password in the directory."""
    return f"right for {account}"


@contextmanager
def directory(path: Path, homes: Mapping[str, str], *, may_act_as: Mapping[str, str] | None = None) -> Iterator[Slapd]:
    """Run an LDAP server with accounts and their homes; each has the alias `post.NAME`."""
    server = Slapd(path)
    entries = []
    for account, home in homes.items():
        granted = (may_act_as or {}).get(account)
        more = {"mailMayActAs": granted} if granted else {}
        uid = account.partition("@")[0]
        entry = person(uid, mail=account, mailAlternateAddress=f"post.{account}", mailHost=home, **more)
        entries.append(with_password(entry, right(account)))
    server.load(entries)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def config(slapd: Slapd, issuer: TokenIssuer) -> Config:
    """Return what makes control prove clients by them."""
    ldap = {"urls": [slapd.url], "base": BASE, "attributes": {"may_act_as": "mailMayActAs"}}
    oauth = {"jwks_file": str(issuer.jwks_file), "issuer": ISSUER, "audiences": [AUDIENCE]}
    return {
        "directory": {"ldap": ldap},
        "verify": {"ldap": {"bind": True}, "oauth": oauth},
        "master_users": [MASTER],
    }


@contextmanager
def master_lines() -> Iterator[str]:
    """Give the lines by which a Dovecot lets our master user in, also as `user*master`."""
    # Not below pytest's own directory, which nobody but its owner may enter: as root, Dovecot runs as another user.
    path = Path(tempfile.mkdtemp(prefix="zproxy-masters-"))
    path.chmod(0o755)
    (path / "masters").write_text(f"{MASTER['user']}:{{PLAIN}}{MASTER['password']}\n")
    try:
        yield MASTER_PASSDB.format(file=path / "masters")
    finally:
        shutil.rmtree(path)


MASTER_PASSDB: Final = """\
auth_master_user_separator = *
passdb {{
  driver = passwd-file
  args = {file}
  mechanisms = plain login
  master = yes
}}
"""
