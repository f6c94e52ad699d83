"""The config file: TOML in, a checked `zcontrol.v1.Config` out, or every fault at once.

Keys are documented at the fields of protos/zcontrol/v1/config.proto. Control's part is checked here; the edge's part is
checked by the data plane itself, whose checker the caller passes in.
"""

from __future__ import annotations

import enum
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from zcontrol.config.checks import check_control, check_presence
from zcontrol.config.checks_together import check_together
from zcontrol.config.defaults import fill_defaults
from zcontrol.config.reader import read_message
from zcontrol.errors import ZproxyError
from zcontrol.fault import Fault
from zcontrol.v1 import config_pb2

if TYPE_CHECKING:
    from pathlib import Path

# Takes a serialized Config, gives (key path, what is wrong and the mend).
EdgeCheck = Callable[[bytes], Sequence[tuple[str, str]]]
# How closely to look at what a directory's source holds; what is needed to find faults differs at start and reload.
DirectoryCheck = Callable[[config_pb2.Directory], Iterable[Fault]]


class Role(enum.StrEnum):
    """What a process does with its config: which fields it reads."""

    RUN = "run"
    CONTROL = "control"
    EDGE = "edge"


class ConfigError(ZproxyError):
    """A config that cannot be used; the text lists every fault, one a line."""

    def __init__(self, file: Path, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(f"{file}: {fault}" for fault in faults))
        self.faults = tuple(faults)


class ConfigUnreadableError(ZproxyError):
    """There is no config to find faults in."""


def load(
    file: Path,
    role: Role,
    *,
    edge_check: EdgeCheck | None = None,
    directory_check: DirectoryCheck = check_presence,
    environ: Mapping[str, str] = os.environ,
) -> config_pb2.Config:
    """The config of a file, secrets and control's defaults filled in; ConfigError names every fault."""
    table = _parse(file)
    config = config_pb2.Config()
    faults = read_message(table, config, environ)
    fill_defaults(config)
    if role is not Role.EDGE:
        faults = _with(faults, check_control(config))
        # A directory is opened to see what it holds, and its own checks know better what a bad config lacks.
        if not any(_related(fault.path, "directory") for fault in faults):
            faults = _with(faults, directory_check(config.directory))
    if role is Role.RUN:
        faults = _with(faults, check_together(config))
    if role is not Role.CONTROL and edge_check is not None:
        told = edge_check(config.SerializeToString())
        faults = _with(faults, [Fault(path=path, problem=problem) for path, problem in told])
    if faults:
        raise ConfigError(file, faults)
    return config


def api_address(file: Path) -> str:
    """Where the control plane of a config listens, whatever else is in the file: callers lack its secrets."""
    table = {key: value for key, value in _parse(file).items() if key in ("api", "state_directory")}
    config = config_pb2.Config()
    faults = read_message(table, config, {})
    fill_defaults(config)
    if not faults and not config.api.address:
        faults = [Fault(path="api.address", problem="missing, and no state_directory to find api.sock in; set one")]
    if faults:
        raise ConfigError(file, faults)
    return config.api.address


def _parse(file: Path) -> dict[str, object]:
    try:
        text = file.read_bytes().decode()
    except OSError as error:
        raise ConfigUnreadableError(f"{file}: cannot be read: {error.strerror}; name a readable file") from error
    except UnicodeDecodeError as error:
        raise ConfigUnreadableError(f"{file}: not UTF-8 at octet {error.start}; save it as UTF-8") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, [Fault(path="TOML", problem=f"{error}; mend the syntax there")]) from error


def _with(faults: list[Fault], more: Iterable[Fault]) -> list[Fault]:
    """Both, less what only follows from a fault already known at that key, above or below it."""
    known = [fault.path for fault in faults]
    return faults + [fault for fault in more if not any(_related(fault.path, path) for path in known)]


def _related(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return long == short or long.startswith((f"{short}.", f"{short}["))
