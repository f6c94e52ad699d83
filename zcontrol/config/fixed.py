"""The keys that a running process keeps from its start, whatever a reload brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zcontrol.config.defaults import usual_api_address

if TYPE_CHECKING:
    from zcontrol.config import Role
    from zcontrol.v1 import config_pb2


def changed_until_restart(started: config_pb2.Config, config: config_pb2.Config, role: Role) -> list[str]:
    """The keys that this process reads and that differ from those it was started with."""
    before, after = _fixed(started), _fixed(config)
    return [key for key, value in after.items() if value != before[key] and role.value in _READERS[key]]


def _fixed(config: config_pb2.Config) -> dict[str, object]:
    # An address that only follows from the state directory was not changed by anybody.
    usual = config.api.address == usual_api_address(config.state_directory)
    return {
        "state_directory": config.state_directory,
        "api.address": "" if usual else config.api.address,
        "api.reflection": config.api.reflection,
        "api.group": config.api.group,
        "api.certificates.address": config.api.certificates.address,
        "api.tokens.address": config.api.tokens.address,
        "api.limits.streams": config.api.limits.streams,
        "threads": config.threads,
    }


_READERS = {
    "state_directory": ("run", "control", "edge"),
    "api.address": ("run", "control", "edge"),
    "api.reflection": ("run", "control"),
    "api.group": ("run", "control"),
    "api.certificates.address": ("run", "control"),
    "api.tokens.address": ("run", "control"),
    "api.limits.streams": ("run", "control"),
    "threads": ("run", "edge"),
}
