"""A run's plan: profile and target, read and checked once, and sent as plain values to locust's workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from generator.crowd import Crowd, read_crowds
from plan.fields import PlanError, read
from plan.profile import Expect, Profile
from plan.target import Target, read_target, toml

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a process of locust needs to know."""

    name: str
    profile: Profile
    expect: Expect
    target: Target
    crowds: dict[str, Crowd]
    accounts: list[dict[str, str]]
    trusted: str
    """PEM; empty: the system's."""


def read_document(profile: Path, target: Path) -> dict[str, Any]:
    """Read both files into what workers get."""
    return {"name": profile.stem, "profile": toml(profile), "target": read_target(target)}


def from_document(document: dict[str, Any]) -> Plan:
    """Check it all."""
    profile = read(Profile, document["profile"], "profile")
    if not profile.users:
        raise PlanError("profile.users: nobody comes; write [users.ImapUser] or another class")
    given = document["target"]
    target = read(Target, given["table"], "target")
    return Plan(
        name=document["name"],
        profile=profile,
        expect=read(Expect, profile.expect, "expect"),
        target=target,
        crowds=read_crowds(profile.crowds, target),
        accounts=given["accounts"],
        trusted=given["trusted"],
    )
