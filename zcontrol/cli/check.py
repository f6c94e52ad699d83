"""`zproxy check`: every fault of a config file, before it is put in force."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from zcontrol.cli.call import ExitCode, fail
from zcontrol.config import ConfigError, ConfigUnreadableError, Role, load
from zcontrol.fault import Fault
from zcontrol.v1 import config_pb2


def check(
    file: Annotated[Path, typer.Argument(help="The config file.")],
    *,
    role: Annotated[
        Role, typer.Option("--for", help="The process that shall read it: which keys it needs.")
    ] = Role.RUN,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Name the key, the value and the mend of every fault at once. Exits 0 without faults, 1 with, 2 if unreadable."""
    faults: tuple[Fault, ...] = ()
    try:
        load(file, role, edge_check=_edge_check(role), directory_check=_directory_check)
    except ConfigUnreadableError as error:
        fail(str(error), ExitCode.USAGE)
    except ConfigError as error:
        faults = error.faults
    if as_json:
        typer.echo(json.dumps({"file": str(file), "faults": [_told(fault) for fault in faults]}))
    else:
        for fault in faults:
            typer.echo(f"{file}: {fault}", err=True)
        typer.echo(f"{file}: {_count(len(faults))}")
    raise typer.Exit(ExitCode.REFUSED if faults else ExitCode.OK)


def _edge_check(role: Role) -> Any:  # noqa: ANN401 - EdgeCheck or None; its module loads the data plane
    from zcontrol.process import edge_check  # noqa: PLC0415 - what only calls control starts faster without

    return edge_check(role)


def _directory_check(directory: config_pb2.Directory) -> Iterable[Fault]:
    from zcontrol.directory.check import check_directory  # noqa: PLC0415 - as above

    return check_directory(directory)


def _told(fault: Fault) -> dict[str, str | None]:
    return {"key": fault.path, "found": fault.found, "problem": fault.problem}


def _count(faults: int) -> str:
    return {0: "no faults", 1: "1 fault"}.get(faults, f"{faults} faults")
