"""What every command that talks to control shares: the API's address, the stubs, `--json`, and how failures are told.

A command is a plain function whose first argument is a `Call`; `api_command` gives it the common options. An argument
that is a dataclass stands for options that several commands share: each field is one.
"""

import dataclasses
import enum
import functools
import getpass
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, NamedTuple, NoReturn, ParamSpec, cast, final

import grpc
import typer

from zcontrol.cli.connection import CaFile, CertificateFile, KeyFile, Proof, TokenFile, UnusableProofError, connect
from zcontrol.cli.show import printable
from zcontrol.config import api_address
from zcontrol.errors import ZproxyError
from zcontrol.v1 import audit_pb2_grpc, pool_pb2_grpc, route_pb2_grpc, session_pb2_grpc, token_pb2_grpc

P = ParamSpec("P")


class ExitCode(enum.IntEnum):
    """What a program learns from how a command ended; the numbers stay."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNREACHABLE = 5
    TOO_LATE = 6


EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 refused or failed; 2 usage; 3 no such backend, group or version; 4 the pool has moved on "
    "since it was read; 5 control cannot be reached or cannot write; 6 not done in time."
)


class Where(NamedTuple):
    """How the program was told where control is and what to show it, before the command's own options."""

    api: str | None = None
    config: Path | None = None
    proof: Proof = Proof()


Api = Annotated[
    str | None,
    typer.Option(
        "--api", help="Where control is: unix:/run/zproxy/api.sock, control.example.net:7411; or by ZPROXY_API."
    ),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A config file that says where control listens.")]


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One command's way to control."""

    address: str
    channel: grpc.Channel
    # Print JSON for programs instead of tables for people.
    json: bool
    seconds: float

    @property
    def audit(self) -> audit_pb2_grpc.AuditServiceStub:
        """AuditService."""
        return audit_pb2_grpc.AuditServiceStub(self.channel)

    @property
    def pool(self) -> pool_pb2_grpc.PoolServiceStub:
        """PoolService."""
        return pool_pb2_grpc.PoolServiceStub(self.channel)

    @property
    def routes(self) -> route_pb2_grpc.RouteServiceStub:
        """RouteService."""
        return route_pb2_grpc.RouteServiceStub(self.channel)

    @property
    def sessions(self) -> session_pb2_grpc.SessionServiceStub:
        """SessionService."""
        return session_pb2_grpc.SessionServiceStub(self.channel)

    @property
    def tokens(self) -> token_pb2_grpc.TokenServiceStub:
        """TokenService."""
        return token_pb2_grpc.TokenServiceStub(self.channel)


def api_command(
    app: typer.Typer, name: str, *, seconds: float = 10.0
) -> Callable[[Callable[Concatenate[Call, P], None]], Callable[Concatenate[Call, P], None]]:
    """Register a function as a command that calls control and gives it at most so many seconds."""

    def register(function: Callable[Concatenate[Call, P], None]) -> Callable[Concatenate[Call, P], None]:
        app.command(name)(_with_common_options(function, seconds))
        return function

    return register


def fail(message: str, code: ExitCode) -> NoReturn:
    """Say on stderr what happened and what to do, and end."""
    typer.echo(f"zproxy: {message}", err=True)
    raise typer.Exit(code)


def author() -> str:
    """As whom we speak, for history and the audit log: a Unix socket does not tell who calls by it."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        # A container may run us under a user that nobody has named.
        return f"uid {os.getuid()}"


def _with_common_options(function: Callable[..., None], seconds: float) -> Callable[..., None]:
    @functools.wraps(function)
    def command(ctx: typer.Context, **options: Any) -> None:  # noqa: ANN401 - the options are the function's own
        proof = Proof(**{name: options.pop(name) for name in PROOF_OPTIONS})
        where = Where(options.pop("api"), options.pop("config"), proof)
        json, timeout = options.pop("json"), options.pop("timeout")
        for name, group in groups.items():
            options[name] = group(**{field.name: options.pop(field.name) for field in dataclasses.fields(group)})
        program = ctx.obj or Where()
        proof = proof.or_else(program.proof).or_else(Proof.of_environment())
        _run(_address(where, program), proof, lambda call: function(call, **options), json=json, seconds=timeout)

    own, groups = _parameters(function)
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, annotation, default in (
            ("api", Api, None),
            ("config", ConfigFile, None),
            *((name, annotation, None) for name, annotation in PROOF_OPTIONS.items()),
            ("json", Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")], False),
            ("timeout", Annotated[float, typer.Option(help="Seconds to wait for control's answer.")], seconds),
        )
    ]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [context, *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own), *common]
    # Typer reads the options from here.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _parameters(function: Callable[..., None]) -> tuple[list[inspect.Parameter], dict[str, type[Any]]]:
    """The function's parameters behind the call, a dataclass among them replaced by its fields; and the dataclasses."""
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    for parameter in list(inspect.signature(function, eval_str=True).parameters.values())[1:]:
        if dataclasses.is_dataclass(parameter.annotation):
            group = groups[parameter.name] = cast("type[Any]", parameter.annotation)
            parameters += inspect.signature(group, eval_str=True).parameters.values()
        else:
            parameters.append(parameter)
    return parameters, groups


def _address(command: Where, program: Where) -> str:
    """What is said at the command outranks what is said before it, that the environment, that the usual file."""
    for where in (command, program, Where(api=os.environ.get("ZPROXY_API")), Where(config=_usual_config())):
        if where.api:
            return where.api
        if where.config:
            try:
                return api_address(where.config)
            except ZproxyError as error:
                fail(str(error), ExitCode.USAGE)
    fail(f"where is control? Give --api, ZPROXY_API or --config; there is no {USUAL_CONFIG}", ExitCode.USAGE)


def _usual_config() -> Path | None:
    return USUAL_CONFIG if USUAL_CONFIG.exists() else None


def _run(address: str, proof: Proof, command: Callable[[Call], None], *, json: bool, seconds: float) -> None:
    try:
        with connect(address, proof, author()) as channel:
            command(Call(address=address, channel=channel, json=json, seconds=seconds))
    except UnusableProofError as error:
        fail(str(error), ExitCode.USAGE)
    except grpc.RpcError as error:
        status, details = error.code(), printable(error.details() or "no reason given")
        if status is grpc.StatusCode.UNAVAILABLE and "failed to connect" in details.lower():
            # Of a handshake that failed gRPC says at last that this was seen: OK.
            reason = details.removesuffix(": OK").rpartition(": ")[2]
            if "CERTIFICATE_VERIFY_FAILED" in details:
                told = f"the certificate of control at {address} is not believed: {reason}; --ca-file says whose are"
                fail(told, ExitCode.UNREACHABLE)
            fail(
                f"no control at {address}: {reason}; is it running? --api, --config name another", ExitCode.UNREACHABLE
            )
        if status is grpc.StatusCode.DEADLINE_EXCEEDED and details == "Deadline Exceeded":
            details = f"control at {address} has not answered in {seconds:g} s; --timeout gives it longer"
        fail(details, EXITS.get(status, ExitCode.REFUSED))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


PROOF_OPTIONS: Final = {
    "ca_file": CaFile,
    "certificate_file": CertificateFile,
    "key_file": KeyFile,
    "token_file": TokenFile,
}
EXITS: Final = {
    grpc.StatusCode.ABORTED: ExitCode.CONFLICT,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.TOO_LATE,
    grpc.StatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNREACHABLE,
}
USUAL_CONFIG: Final = Path("/etc/zproxy/zproxy.toml")
# 128 + SIGINT, as shells have it.
INTERRUPTED: Final = 130
