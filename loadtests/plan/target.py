"""The system that is loaded: where its listeners are, whom to trust, who may log in; a TOML file.

Files it names are sought beside it. It is read where locust was started; workers get what was read.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from plan.accounts import read_accounts
from plan.fields import PlanError, read

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = ("imap", "pop3", "submission", "web")
ENDPOINT = re.compile(r"(?P<port>\d{1,5})/(?P<tls>implicit|starttls|off)")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One listener."""

    port: int
    tls: str
    """implicit, starttls (POP3: STLS) or off."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What there is to see by HTTP; the demo's webmail, unless the target's `site` says otherwise."""

    form: str = "/"
    """Where the login form is; empty: there is none, each request carries Basic."""
    user_field: str = "user"
    password_field: str = "password"  # noqa: S105 - the name of a field
    pages: tuple[str, ...] = ("/",)
    """What is looked at, in turn; `{account}` stands for who looks."""
    shows: str = "{account}"
    """What each page shows to whom it is meant for: so that the wrong user's page is a failure."""
    upload: str = ""
    """Where files are posted; empty: nowhere."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The system, as the file tells it; each key stands there by this name."""

    host: str
    """What is connected to, a name or an address."""
    server_name: str = ""
    """What the certificate must say; empty: `host`."""
    ca_file: str = ""
    """A PEM bundle to check it against; empty: the system's."""
    accounts: str = "accounts.csv"
    password: str = ""
    """Of accounts that have none of their own in the file."""
    services: dict[str, Any] = field(default_factory=dict)
    """By imap, pop3, submission and web a list, e.g. ["993/implicit", "143/starttls"], of which each visit draws."""
    site: Site = field(default_factory=Site)
    api: str = ""
    """Where the gRPC API is, for shapes that change the pool: unix:/run/zproxy/api.sock or 127.0.0.1:7410."""
    spare: dict[str, Any] = field(default_factory=dict)
    """A backend as the config file's [[backends]] has it: what `server_added` adds."""
    dies: tuple[str, ...] = ()
    """Shell commands after which a server is dead, for `backend_dies`."""
    returns: tuple[str, ...] = ()
    """Shell commands after which it is back."""
    homes: tuple[str, ...] = ()
    """Homes whose users may notice that."""

    def endpoints(self, service: str) -> list[Endpoint]:
        """Return where a service is; none: the system has no such service."""
        found = []
        for text in self.services.get(service, []):
            match = ENDPOINT.fullmatch(str(text))
            if match is None:
                raise PlanError(f'services.{service}: {text!r}; write "993/implicit", "143/starttls" or "143/off"')
            found.append(Endpoint(port=int(match["port"]), tls=match["tls"]))
        return found


def read_target(file: Path) -> dict[str, Any]:
    """Return the target as workers get it: its table, the accounts' rows and the text of the CA bundle."""
    table = toml(file)
    target = read(Target, table, "target")
    for service in target.services:
        if service not in SERVICES:
            raise PlanError(f"services.{service}: no such service; known: {', '.join(SERVICES)}")
        target.endpoints(service)
    rows = read_accounts(file.parent / target.accounts, target.password)
    try:
        trusted = (file.parent / target.ca_file).read_text() if target.ca_file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"ca_file: {error}") from error
    return {"table": table, "accounts": rows, "trusted": trusted}


def toml(file: Path) -> dict[str, Any]:
    """Read a TOML file; what is wrong is told with its name."""
    try:
        return tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlanError(f"{file}: {error}") from error
