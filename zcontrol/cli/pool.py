"""`zproxy pool`: look at the pool and change it while sessions stay up."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated

import typer
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from zcontrol.cli.call import Call, ExitCode, api_command, author, fail
from zcontrol.cli.options import word_option
from zcontrol.cli.show import as_json, local_time, show_json, show_table
from zcontrol.pool.delta import delta
from zcontrol.pool.explicit import explicit
from zcontrol.pool.model import PoolNotFoundError, find_backend
from zcontrol.pool.rules import DEFAULTS
from zcontrol.v1 import pool_pb2
from zcontrol.words import word

app = typer.Typer(no_args_is_help=True, help="Look at the pool of servers, and change it while sessions stay up.")

Name = Annotated[str, typer.Argument(help="The backend's name.", show_default=False)]
Expected = Annotated[int, typer.Option("--expect", min=0, help="Refuse unless the pool is at this version; 0: any.")]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What every change carries besides itself."""

    reason: Annotated[str, typer.Option(help="Why, for history.")] = ""
    expect: Expected = 0

    def header(self, read: int = 0) -> pool_pb2.ChangeHeader:
        """The same for control; `read` is the version that the change was made from, if it was made from one."""
        return pool_pb2.ChangeHeader(expected_version=self.expect or read, author=author(), reason=self.reason)


@api_command(app, "list")
def list_(
    call: Call,
    group: Annotated[str, typer.Option(help="Only members of this group.")] = "",
    state: Annotated[int | None, word_option(pool_pb2.BackendState.DESCRIPTOR, "Only in this state.")] = None,
) -> None:
    """The backends, what each serves, and what edges say of its health."""
    request = pool_pb2.ListBackendsRequest(group=group, state=pool_pb2.BackendState.ValueType(state or 0))
    listed = call.pool.ListBackends(request, timeout=call.seconds)
    _make_explicit(listed.backends)
    if call.json:
        show_json(listed)
    else:
        _show_backends(listed.backends, listed.version, health=_health(listed))


@api_command(app, "get")
def get(
    call: Call,
    name: Annotated[str, typer.Argument(help="Only this backend, whole.")] = "",
    version: Annotated[int, typer.Option(min=0, help="As this version had it; 0: the current one.")] = 0,
) -> None:
    """The whole pool: backends, groups and defaults; or everything about one backend."""
    pool = call.pool.Get(pool_pb2.GetPoolRequest(version=version), timeout=call.seconds)
    _make_explicit(pool.backends)
    if name:
        _show_backend(call, pool, name)
        return
    if call.json:
        show_json(pool)
        return
    _show_backends(pool.backends, pool.version)
    if pool.groups:
        kinds = pool_pb2.GroupKind.DESCRIPTOR
        show_table(["GROUP", "KIND"], ([group.name, word(kinds, group.kind)] for group in pool.groups))
    defaults = [[service, target] for service in DEFAULTS if (target := getattr(pool.defaults, service))]
    if defaults:
        show_table(["DEFAULT FOR", "GOES TO"], defaults)


@api_command(app, "drain")
def drain(call: Call, name: Name, change: Change) -> None:
    """Send a backend no one new; users whose home it is are still served until their route moves."""
    request = pool_pb2.DrainRequest(header=change.header(), name=name)
    show_change(call, call.pool.Drain(request, timeout=call.seconds), sessions=True)


@api_command(app, "undrain")
def undrain(call: Call, name: Name, change: Change) -> None:
    """Make a backend active again."""
    request = pool_pb2.UndrainRequest(header=change.header(), name=name)
    show_change(call, call.pool.Undrain(request, timeout=call.seconds))


@api_command(app, "remove")
def remove(call: Call, name: Name, change: Change) -> None:
    """Remove a backend; live sessions to it go on."""
    request = pool_pb2.RemoveBackendRequest(header=change.header(), name=name)
    show_change(call, call.pool.RemoveBackend(request, timeout=call.seconds), sessions=True)


@api_command(app, "set-weight")
def set_weight(
    call: Call,
    name: Name,
    weight: Annotated[int, typer.Argument(min=0, help="Its share within its group; 0 sends no one new.")],
    change: Change,
) -> None:
    """Change a backend's share of its group."""
    request = pool_pb2.SetWeightRequest(header=change.header(), name=name, weight=weight)
    show_change(call, call.pool.SetWeight(request, timeout=call.seconds))


@api_command(app, "history")
def history(call: Call, limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50) -> None:
    """Who changed what, when and why; newest first."""
    told = call.pool.History(pool_pb2.HistoryRequest(limit=limit), timeout=call.seconds)
    if call.json:
        show_json(told)
        return
    rows = ([made.version, local_time(made.time), made.author, made.action, made.reason] for made in told.changes)
    show_table(["VERSION", "TIME", "AUTHOR", "ACTION", "REASON"], rows)


@api_command(app, "rollback")
def rollback(
    call: Call,
    version: Annotated[int, typer.Argument(min=1, help="The version whose pool comes back.")],
    change: Change,
) -> None:
    """Make a new version whose pool equals that of an older one."""
    request = pool_pb2.RollbackRequest(header=change.header(), version=version)
    show_change(call, call.pool.Rollback(request, timeout=call.seconds))


@api_command(app, "watch")
def watch(call: Call) -> None:
    """Tell of every change as it happens, until Ctrl-C; with --json each version's whole pool on a line."""
    before = pool_pb2.Pool()
    for pool in call.pool.Watch(pool_pb2.GetPoolRequest()):
        _make_explicit(pool.backends)
        if call.json:
            show_json(pool)
        else:
            typer.echo(f"version {pool.version}: {_difference(before, pool)}")
        before = pool


def show_change(call: Call, made: pool_pb2.PoolChange, *, sessions: bool = False) -> None:
    """Say what was done, and how many sessions the backend still holds where that matters."""
    if call.json:
        show_json(made)
    else:
        live = f"; {made.sessions} live sessions there" if sessions else ""
        kept = ": it was so already, no new version" if made.unchanged else ""
        typer.echo(f"version {made.version}: {made.action}{kept}{live}")


def _show_backend(call: Call, pool: pool_pb2.Pool, name: str) -> None:
    try:
        backend = find_backend(pool, name)
    except PoolNotFoundError as error:
        fail(str(error), ExitCode.NOT_FOUND)
    if call.json:
        show_json(backend)
        return
    rows = [[field.name, value] for field, value in _set_fields(backend) if field.name != "endpoints"]
    for service, endpoint in backend.endpoints.ListFields():
        rows += [[f"{service.name}.{field.name}", value] for field, value in _set_fields(endpoint)]
    show_table(["", ""], rows, caption=f"version {pool.version}")


def _make_explicit(backends: Iterable[pool_pb2.Backend]) -> None:
    """Tables and JSON say the same, also of what is unset."""
    for backend in backends:
        backend.CopyFrom(explicit(backend))


def _set_fields(message: Message) -> list[tuple[FieldDescriptor, object]]:
    fields = message.ListFields()
    return [(field, word(field.enum_type, value) if field.enum_type else value) for field, value in fields]


def _show_backends(
    backends: Iterable[pool_pb2.Backend], version: int, health: Callable[[str], str] | None = None
) -> None:
    columns = ["NAME", "GROUP", "STATE", "WEIGHT", "HOST", "SERVES"]
    rows = [[*_row(backend), *([health(backend.name)] if health else [])] for backend in backends]
    show_table([*columns, *(["HEALTH"] if health else [])], rows, caption=f"version {version}")


def _health(listed: pool_pb2.ListBackendsResponse) -> Callable[[str], str]:
    """What edges say of a backend, by its name."""
    down: dict[str, list[str]] = {}
    for endpoint in listed.down:
        told = f"{endpoint.service} down ({endpoint.edges} of {endpoint.of} edges): {endpoint.reason}"
        down.setdefault(endpoint.backend, []).append(told)
    otherwise = "up" if listed.edges else "unknown: no edge is attached"
    return lambda name: "; ".join(down.get(name, [otherwise]))


def _row(backend: pool_pb2.Backend) -> list[object]:
    state = word(pool_pb2.BackendState.DESCRIPTOR, backend.state)
    serves = " ".join(_endpoint(field.name, endpoint) for field, endpoint in backend.endpoints.ListFields())
    return [backend.name, backend.group, state, backend.weight, backend.host, serves]


def _endpoint(service: str, endpoint: pool_pb2.Endpoint) -> str:
    tls = word(pool_pb2.BackendTls.DESCRIPTOR, endpoint.tls)
    return f"{service}:{endpoint.port}" + (f"/{tls}" if tls != "off" else "")


def _difference(before: pool_pb2.Pool, after: pool_pb2.Pool) -> str:
    change = as_json(delta(before, after))
    told = [f"{entry['name']} set" for entry in change["backends"] + change["groups"]]
    told += [f"{name} removed" for name in change["removed_backends"] + change["removed_groups"]]
    told += ["defaults set"] if "defaults" in change else []
    return ", ".join(told) or "no difference"
