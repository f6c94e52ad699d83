"""`zproxy sessions`: who is connected, over all edges, and ending them."""

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from zcontrol.cli.call import Call, ExitCode, api_command, fail
from zcontrol.cli.show import local_time, show_json, show_table
from zcontrol.config.values import parse_duration
from zcontrol.v1 import session_pb2

app = typer.Typer(no_args_is_help=True, help="Who is connected, and ending them.")


def address(text: str) -> str:
    """An IP address, without port; an edge takes nothing else."""
    try:
        return text and str(ipaddress.ip_address(text))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no IP address; write e.g. 192.0.2.7, without a port") from error


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which sessions; all that are given must match."""

    account: Annotated[str, typer.Option("--user", "--account", help="Of this account.")] = ""
    backend: Annotated[str, typer.Option(help="To this backend.")] = ""
    client_address: Annotated[
        str, typer.Option("--address", parser=address, metavar="IP", help="From this client address, without port.")
    ] = ""
    id: Annotated[str, typer.Option("--id", help="This one.")] = ""

    def message(self) -> session_pb2.SessionFilter:
        """The same for control."""
        return session_pb2.SessionFilter(
            account=self.account, backend=self.backend, client_address=self.client_address, id=self.id
        )


def milliseconds(text: str) -> int:
    """A duration such as `5s`."""
    try:
        return int(parse_duration(text).ToMilliseconds())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@api_command(app, "list")
def list_(
    call: Call, matching: Filter, limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 1000
) -> None:
    """Live sessions, oldest first."""
    request = session_pb2.ListSessionsRequest(filter=matching.message(), limit=limit)
    listed = call.sessions.List(request, timeout=call.seconds)
    if call.json:
        show_json(listed)
        return
    more = "; there are more, --limit shows them" if listed.truncated else ""
    show_table(COLUMNS, map(_row, listed.sessions), caption=f"{len(listed.sessions)} sessions{more}")


@api_command(app, "count")
def count(call: Call, matching: Filter) -> None:
    """How many sessions, by backend and by service."""
    counted = call.sessions.Count(session_pb2.CountSessionsRequest(filter=matching.message()), timeout=call.seconds)
    if call.json:
        show_json(counted)
        return
    rows = [*sorted(counted.by_backend.items()), *sorted(counted.by_service.items()), ("in all", counted.sessions)]
    show_table(["BACKEND OR SERVICE", "SESSIONS"], rows)


@api_command(app, "kick", seconds=60.0)
def kick(
    call: Call,
    matching: Filter,
    text: Annotated[str, typer.Option(help="Told to the client where its protocol can; printable ASCII.")] = "",
    patience: Annotated[
        int | None, typer.Option(parser=milliseconds, metavar="5s", help="Wait so long for a moment between commands.")
    ] = None,
    *,
    everybody: Annotated[
        bool, typer.Option("--all", help="Every session; needed where nothing else is given.")
    ] = False,
) -> None:
    """End sessions; returns when they are gone on every edge, or exits 6 and says how many are left."""
    wanted = matching.message()
    if not wanted.ByteSize() and not everybody:
        fail("this would end every session: give --user, --backend, --address or --id, or say --all", ExitCode.USAGE)
    request = session_pb2.KickRequest(filter=wanted, all=everybody, text=text, patience_ms=patience or 0)
    told = call.sessions.Kick(request, timeout=call.seconds)
    if call.json:
        show_json(told)
    else:
        typer.echo(f"{told.sessions} sessions ended")


def _row(session: session_pb2.Session) -> list[object]:
    times = (local_time(session.started), session.bytes_from_client, session.bytes_from_backend)
    return [session.id, session.account, session.backend, session.client, session.service, session.tls, *times]


COLUMNS: Final = ("ID", "ACCOUNT", "BACKEND", "CLIENT", "SERVICE", "TLS", "SINCE", "FROM CLIENT", "FROM BACKEND")
