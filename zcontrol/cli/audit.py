"""`zproxy audit`: who changed or tried what."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from zcontrol.cli.call import Call, api_command
from zcontrol.cli.options import word_option
from zcontrol.cli.sessions import address
from zcontrol.cli.show import local_time, show_json, show_table
from zcontrol.config.values import parse_duration
from zcontrol.v1 import audit_pb2
from zcontrol.words import word


def past(text: str) -> datetime:
    """A moment ago, such as `24h`."""
    try:
        return datetime.now(UTC) - parse_duration(text).ToTimedelta()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Matching:
    """Which lines; all that are given must match."""

    who: Annotated[str, typer.Option(help="Part of the caller's name, or of as whom he spoke.")] = ""
    method: Annotated[str, typer.Option(help="Part of the method, e.g. PoolService or Drain.")] = ""
    caller_address: Annotated[
        str, typer.Option("--from", parser=address, metavar="IP", help="From this address, without port.")
    ] = ""
    since: Annotated[str, typer.Option(metavar="24h", help="Not older than that.")] = ""
    outcome: Annotated[int | None, word_option(audit_pb2.AuditOutcome.DESCRIPTOR, "Only what ended so.")] = None
    before: Annotated[int, typer.Option(min=0, help="Only lines of lower ids, to go on with a long list.")] = 0

    def message(self) -> audit_pb2.ListAuditRequest:
        """The same for control."""
        request = audit_pb2.ListAuditRequest(
            who=self.who,
            method=self.method,
            address=self.caller_address,
            outcome=audit_pb2.AuditOutcome.ValueType(self.outcome or 0),
            before_id=self.before,
        )
        if self.since:
            request.since.FromDatetime(past(self.since))
        return request


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    api_command(app, "audit")(audit)


def audit(
    call: Call, matching: Matching, limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 100
) -> None:
    """Changes and refused calls, newest first: who, from where, what, and what is different since."""
    request = matching.message()
    request.limit = limit
    listed = call.audit.List(request, timeout=call.seconds)
    if call.json:
        show_json(listed)
        return
    more = "; there are more, --before goes on" if listed.truncated else ""
    show_table(COLUMNS, map(_row, listed.lines), caption=f"{len(listed.lines)} lines{more}")


def _row(line: audit_pb2.AuditLine) -> list[object]:
    who = f"{line.caller} for {line.author}" if line.author else line.caller
    outcome = word(audit_pb2.AuditOutcome.DESCRIPTOR, line.outcome) or "unknown"
    method = line.method.removeprefix("zcontrol.v1.")
    return [line.id, local_time(line.time), who, line.address or "-", method, outcome, _told(line)]


def _told(line: audit_pb2.AuditLine) -> str:
    """What is different since, or why nothing is, or at least what was asked for."""
    if line.status:
        unlisted = f" (and {line.unlisted} more)" if line.unlisted else ""
        return f"{line.status}: {line.reason}{unlisted}"
    versions = f"version {line.version_before} to {line.version_after}: " if line.version_after else ""
    return f"{versions}{line.changes or line.request}"


COLUMNS: Final = ("ID", "TIME", "WHO", "FROM", "METHOD", "OUTCOME", "WHAT")
