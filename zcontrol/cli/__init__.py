"""The command `zproxy`: a file a group of commands; what those that talk to control share is in `call.py`."""

import importlib.metadata
from typing import Annotated

import typer

# The modules of the pool's commands add theirs to `pool.app` when they are imported.
from zcontrol.cli import audit, pool, pool_backend, pool_group, route, sessions, token
from zcontrol.cli.call import EXIT_CODES, Api, ConfigFile, Where
from zcontrol.cli.check import check
from zcontrol.cli.connection import CaFile, CertificateFile, KeyFile, Proof, TokenFile
from zcontrol.cli.demo import demo
from zcontrol.cli.serve import control, edge, run

__all__ = ["app", "main", "pool_backend", "pool_group"]

app = typer.Typer(
    name="zproxy",
    no_args_is_help=True,
    epilog=EXIT_CODES,
    # A traceback with local variables would show what is in them.
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, control, edge, check, demo):
    app.command()(command)
app.add_typer(pool.app, name="pool")
app.add_typer(route.app, name="route")
app.add_typer(sessions.app, name="sessions")
app.add_typer(token.app, name="token")
audit.add_to(app)


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if wanted:
        typer.echo(importlib.metadata.version("zproxy"))
        raise typer.Exit


@app.callback()
def program(  # noqa: PLR0913, PLR0917 - all that leads to control
    ctx: typer.Context,
    api: Api = None,
    config: ConfigFile = None,
    ca_file: CaFile = None,
    certificate_file: CertificateFile = None,
    key_file: KeyFile = None,
    token_file: TokenFile = None,
    *,
    # Answered before a command is missed.
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """The front door of a mail provider: one host name, every mailbox server."""
    del version
    ctx.obj = Where(api, config, Proof(ca_file, certificate_file, key_file, token_file))


def main() -> None:
    """The entry point of the command."""
    app()
