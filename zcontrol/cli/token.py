"""`zproxy token`: tokens for callers elsewhere, made and taken back."""

from collections.abc import Iterable
from typing import Annotated, Final

import typer
from google.protobuf.duration_pb2 import Duration

from zcontrol.cli.call import Call, api_command
from zcontrol.cli.options import word_option
from zcontrol.cli.show import local_time, show_json, show_table
from zcontrol.config.values import parse_duration
from zcontrol.v1 import token_pb2
from zcontrol.words import word

app = typer.Typer(no_args_is_help=True, help="Tokens by which others call control: api.tokens in the config.")


def lifetime(text: str) -> Duration | None:
    """A duration such as `2160h`, or `never`."""
    if text == NEVER:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, or {NEVER}") from error


@api_command(app, "create")
def create(
    call: Call,
    role: Annotated[int, word_option(token_pb2.AccessRole.DESCRIPTOR, "What its bearer may do.")],
    note: Annotated[str, typer.Option(help="What it is for, as lists and the audit log show.")] = "",
    expires: Annotated[str, typer.Option(metavar="2160h|never", help="How long it lives.")] = "2160h",
) -> None:
    """Make a token and print it: the only time that it is shown."""
    living = lifetime(expires)
    request = token_pb2.CreateTokenRequest(
        role=token_pb2.AccessRole.ValueType(role), note=note, lifetime=living, forever=living is None
    )
    made = call.tokens.Create(request, timeout=call.seconds)
    if call.json:
        show_json(made)
        return
    # By itself on stdout, so that a script can put it into a file.
    typer.echo(made.secret)
    token = made.token
    until = f"runs out at {local_time(token.expires)}" if token.HasField("expires") else "never runs out"
    typer.echo(f"token {token.id} has the role {_role(token)} and {until}; it is not shown again", err=True)


@api_command(app, "list")
def list_(call: Call) -> None:
    """All tokens, without what would open anything."""
    listed = call.tokens.List(token_pb2.ListTokensRequest(), timeout=call.seconds)
    if call.json:
        show_json(listed)
    else:
        show_table(COLUMNS, _rows(listed.tokens))


@api_command(app, "revoke")
def revoke(call: Call, token: Annotated[str, typer.Argument(help="Its id.", show_default=False)]) -> None:
    """Let a token open nothing any more; calls that it opened end within two seconds."""
    told = call.tokens.Revoke(token_pb2.RevokeTokenRequest(id=token), timeout=call.seconds)
    if call.json:
        show_json(told)
    else:
        typer.echo(f"token {told.token.id} ({_role(told.token)}) is revoked")


def _rows(tokens: Iterable[token_pb2.Token]) -> Iterable[list[object]]:
    for token in tokens:
        expires = local_time(token.expires) if token.HasField("expires") else NEVER
        used = local_time(token.last_used) if token.HasField("last_used") else "-"
        yield [token.id, _role(token), token.note, local_time(token.created), token.author, expires, used]


def _role(token: token_pb2.Token) -> str:
    return word(token_pb2.AccessRole.DESCRIPTOR, token.role)


NEVER: Final = "never"
COLUMNS: Final = ("ID", "ROLE", "NOTE", "CREATED", "BY", "EXPIRES", "LAST USED")
