"""A crowd as the profile has it, and what it says to `zproxy-load`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plan.fields import PlanError, read

if TYPE_CHECKING:
    from plan.target import Endpoint, Target

PROGRAM = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[2] / "target")) / "release" / "zproxy-load"
MAIL = ("imap", "pop3", "submission")
COMMANDS = {"churn": MAIL, "http": ("web",), "idle": MAIL}
"""By what of zproxy-load's a crowd may do, the services where it can."""
OURS = ("account", "accounts", "account_file", "ca_file", "every", "host", "password", "protocol", "target", "tls")
"""Options that the target knows better."""


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """One; each key stands in the profile's `[crowds.NAME]` by this name."""

    command: str = "churn"
    """churn: they log in, leave and come back; idle: `sessions` rest; http: they ask for `path`."""
    service: str = "imap"
    """Of the target's."""
    tls: str = ""
    """They go where the service has this, implicit, starttls or off; empty: to its first endpoint."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of zproxy-load, e.g. {rate = 500, resume = true, sources = "127.9.0.0/24"}."""


def read_crowds(crowds: dict[str, Any], target: Target) -> dict[str, Crowd]:
    """Read those of a profile, which must find what they look for."""
    read_ = {name: read(Crowd, table, f"crowds.{name}") for name, table in crowds.items()}
    for name, crowd in read_.items():
        where = f"crowds.{name}"
        if " " in name:
            raise PlanError(f"{where}: a name of one word, which begins its rows")
        if crowd.command not in COMMANDS:
            raise PlanError(f"{where}.command: {crowd.command!r}; write one of {', '.join(COMMANDS)}")
        if crowd.service not in COMMANDS[crowd.command]:
            raise PlanError(f"{where}.service: {crowd.command} is of {', '.join(COMMANDS[crowd.command])}")
        for option in crowd.options:
            if option in OURS:
                raise PlanError(f"{where}.options.{option}: the target says that")
        _endpoint(crowd, target, where)
    return read_


@dataclass(frozen=True, kw_only=True)
class Known:
    """What every crowd is told, and how often it is to say what is new."""

    account_file: Path
    ca_file: Path
    every: float


def arguments(crowd: Crowd, target: Target, known: Known) -> list[str]:
    """Return what zproxy-load is told."""
    place = _endpoint(crowd, target, crowd.command)
    options: dict[str, Any] = {"target": f"{target.host}:{place.port}"}
    options |= {"account_file": known.account_file, "every": known.every}
    name = target.server_name or target.host
    if place.tls != "off":
        options |= {"tls": place.tls, "tls_name": name, "ca_file": known.ca_file}
    options |= {"host": name} if crowd.service == "web" else {"protocol": crowd.service}
    told = [
        part
        for option, value in (options | crowd.options).items()
        for part in (f"--{option.replace('_', '-')}", str(value).lower() if isinstance(value, bool) else str(value))
    ]
    return [crowd.command, *told]


def _endpoint(crowd: Crowd, target: Target, where: str) -> Endpoint:
    """Return where it goes."""
    for one in target.endpoints(crowd.service):
        if crowd.tls in ("", one.tls):
            return one
    wanted = f'services.{crowd.service} = ["PORT/{crowd.tls or "TLS"}"]'
    raise PlanError(f"{where} has nowhere to go: give the target {wanted}")
