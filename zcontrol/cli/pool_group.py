"""`zproxy pool group` and `defaults`: who serves users together, and who serves those without a home."""

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from zcontrol.cli.call import Call, ExitCode, api_command, fail
from zcontrol.cli.options import word_option
from zcontrol.cli.pool import Change, app, show_change
from zcontrol.pool.rules import DEFAULTS
from zcontrol.v1 import pool_pb2

groups = typer.Typer(no_args_is_help=True, help="Sets of backends any of which may serve a user.")
app.add_typer(groups, name="group")

GroupName = Annotated[str, typer.Argument(help="The group's name.", show_default=False)]
Target = Annotated[str | None, typer.Option(help='A backend or group; "": nobody.')]


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Where users without a home go, each where it is given."""

    mail: Target = None
    submission: Target = None
    mx: Target = None
    http: Target = None


@api_command(groups, "add")
def add(
    call: Call,
    name: GroupName,
    kind: Annotated[int, word_option(pool_pb2.GroupKind.DESCRIPTOR, "Whether members share one mail storage.")],
    change: Change,
) -> None:
    """Add a group without members; `pool add --group` and `pool update --group` give it some."""
    group = pool_pb2.Group(name=name, kind=pool_pb2.GroupKind.ValueType(kind))
    request = pool_pb2.AddGroupRequest(header=change.header(), group=group)
    show_change(call, call.pool.AddGroup(request, timeout=call.seconds))


@api_command(groups, "remove")
def remove(call: Call, name: GroupName, change: Change) -> None:
    """Remove a group that has no members."""
    request = pool_pb2.RemoveGroupRequest(header=change.header(), name=name)
    show_change(call, call.pool.RemoveGroup(request, timeout=call.seconds))


@api_command(app, "defaults")
def defaults(call: Call, targets: Targets, change: Change) -> None:
    """Say where users without a home go, a service; what is not given stays."""
    pool = call.pool.Get(pool_pb2.GetPoolRequest(), timeout=call.seconds)
    given = {service: target for service, target in asdict(targets).items() if target is not None}
    if not given:
        fail(f"give at least one of --{', --'.join(DEFAULTS)}", ExitCode.USAGE)
    for service, target in given.items():
        setattr(pool.defaults, service, target)
    # What is not given was read: a change in between must not be undone.
    request = pool_pb2.SetDefaultsRequest(header=change.header(pool.version), defaults=pool.defaults)
    show_change(call, call.pool.SetDefaults(request, timeout=call.seconds))
