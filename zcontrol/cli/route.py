"""`zproxy route`: why a login goes where it goes, and forgetting what is cached of it."""

from typing import Annotated

import typer

from zcontrol.cli.call import Call, ExitCode, api_command, fail
from zcontrol.cli.show import show_json, show_table
from zcontrol.v1 import route_pb2

app = typer.Typer(no_args_is_help=True, help="Why a login goes where it goes.")


@api_command(app, "explain")
def explain(  # noqa: PLR0913 - all that qualifies a name
    call: Call,
    user: Annotated[str, typer.Argument(help="The name as the client types it.", show_default=False)],
    virtual_host: Annotated[str, typer.Option(help="The host name the client asks for (SNI).")] = "",
    local_address: Annotated[str, typer.Option(help="The listener's address, without port.")] = "",
    service: Annotated[str, typer.Option(help="imap, pop3, http …")] = "imap",
    *,
    bypass_cache: Annotated[
        bool, typer.Option("--bypass-cache", help="Ask the directory even if a cache knows.")
    ] = False,
) -> None:
    """How a name is normalised, qualified, looked up and cached, and which backend it would reach; exits 1 if none."""
    request = route_pb2.ExplainRequest(
        login=user,
        virtual_host=virtual_host,
        local_address=local_address,
        service=service,
        bypass_cache=bypass_cache,
    )
    told = call.routes.Explain(request, timeout=call.seconds)
    if call.json:
        show_json(told)
        raise typer.Exit(ExitCode.REFUSED if told.failure else ExitCode.OK)
    for step in told.steps:
        typer.echo(f"- {step}")
    if told.failure:
        fail(f"{user}: {told.failure}", ExitCode.REFUSED)
    rows = [["account", told.route.account], ["home", told.route.home]]
    chosen = "said at each login" if told.route.verify else "chosen by the edge"
    rows += [["backend", told.backend or chosen], ["endpoint", told.endpoint or "-"]]
    show_table(["", ""], [*rows, ["known by", f"{told.source}, {told.age_seconds} s ago"]])


@api_command(app, "invalidate")
def invalidate(
    call: Call,
    account: Annotated[str, typer.Option(help="One account, by name or id.")] = "",
    domain: Annotated[str, typer.Option(help="Every account of a domain.")] = "",
    home: Annotated[str, typer.Option(help="Every account that lives on this backend or group.")] = "",
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every route.")] = False,
) -> None:
    """Make cached routes misses, in every cache and every edge; the next login asks the directory."""
    given = {"account": account, "domain": domain, "home": home, "all": everything}
    named = {key: value for key, value in given.items() if value}
    if len(named) != 1:
        fail("give one of --account, --domain, --home and --all", ExitCode.USAGE)
    request = route_pb2.InvalidateRequest(**named)  # type: ignore[arg-type]
    told = call.routes.Invalidate(request, timeout=call.seconds)
    if call.json:
        show_json(told)
    else:
        typer.echo(f"routes from before epoch {told.epoch} that match are misses from now on")
