"""`zproxy pool add` and `update`: a backend described by options."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, NamedTuple

import typer

from zcontrol.cli.call import Call, ExitCode, api_command, fail
from zcontrol.cli.options import word_option, word_parser
from zcontrol.cli.pool import Change, Name, app, show_change
from zcontrol.pool import model
from zcontrol.pool.rules import FORWARD_SERVICES, SERVICES, STYLE_SERVICES
from zcontrol.v1 import pool_pb2
from zcontrol.words import word

NAMES = {
    "submission": "SMTP submission",
    "sieve": "ManageSieve",
    "smtp": "SMTP (mail from other servers)",
    "http": "HTTP (webmail, DAV)",
    "http_admin": "HTTP (administration console)",
}
"""What people call a service, where that is not just its name."""


class Port(NamedTuple):
    """`143`, or `993/implicit` where one endpoint's TLS differs from the others'."""

    number: int
    tls: int | None


def parse_port(text: str) -> Port:
    """Read `143` or `993/implicit`."""
    number, slash, tls = text.partition("/")
    if not (number.isascii() and number.isdigit()):
        raise typer.BadParameter(f"{text!r}: write a port, or PORT/TLS as in 993/implicit")
    return Port(int(number), word_parser(pool_pb2.BackendTls.DESCRIPTOR)(tls) if slash else None)


def port_option(service: str) -> Any:  # noqa: ANN401 - as typer declares it
    """The option of one service's port."""
    about = f"Port of its {NAMES.get(service, service.upper())} service, or PORT/TLS; 0 takes the service away."
    return typer.Option(_option(service), parser=parse_port, metavar="PORT", help=about)


def _option(service: str) -> str:
    return f"--{service.replace('_', '-')}"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The properties of a backend, each where it is given."""

    host: Annotated[str | None, typer.Option(help="Its IP address or DNS name.")] = None
    imap: Annotated[Port | None, port_option("imap")] = None
    pop3: Annotated[Port | None, port_option("pop3")] = None
    submission: Annotated[Port | None, port_option("submission")] = None
    sieve: Annotated[Port | None, port_option("sieve")] = None
    smtp: Annotated[Port | None, port_option("smtp")] = None
    lmtp: Annotated[Port | None, port_option("lmtp")] = None
    http: Annotated[Port | None, port_option("http")] = None
    http_admin: Annotated[Port | None, port_option("http_admin")] = None
    tls: Annotated[int | None, word_option(pool_pb2.BackendTls.DESCRIPTOR, "TLS of its services.")] = None
    verify: Annotated[
        int | None, word_option(pool_pb2.Verify.DESCRIPTOR, "Whether its certificate is checked; unset: full.")
    ] = None
    verify_name: Annotated[str | None, typer.Option(help="The name in its certificate; unset: the host.")] = None
    pin_sha256: Annotated[str | None, typer.Option("--pin-sha256", help="SHA-256 of its public key, in hex.")] = None
    forward: Annotated[
        list[int] | None,
        word_option(pool_pb2.Forward.DESCRIPTOR, "How it is told the client's address; may be given for each service."),
    ] = None
    login_style: Annotated[
        list[int] | None,
        word_option(pool_pb2.LoginStyle.DESCRIPTOR, "How clients are logged in there; may be given for each service."),
    ] = None
    master_user: Annotated[
        str | None, typer.Option(help="Which of the edges' master users logs in, with verify_then_master.")
    ] = None
    group: Annotated[str | None, typer.Option(help='The group it is a member of; "": none.')] = None
    weight: Annotated[int | None, typer.Option(min=0, help="Its share within its group; unset: 100.")] = None
    max_sessions: Annotated[int | None, typer.Option(min=0, help="Sessions an edge may hold to it; 0: any.")] = None
    state: Annotated[int | None, word_option(pool_pb2.BackendState.DESCRIPTOR, "Whom it serves.")] = None

    def apply(self, backend: pool_pb2.Backend) -> None:
        """Change what is given, and leave the rest as it is."""
        _set(backend, host=self.host, group=self.group, weight=self.weight)
        _set(backend, max_sessions=self.max_sessions, state=self.state)
        given = self.ports()
        endpoints = {field.name: endpoint for field, endpoint in backend.endpoints.ListFields()}
        backend.ClearField("endpoints")
        for service, port in given.items():
            if port is not None:
                _set(endpoints.setdefault(service, pool_pb2.Endpoint()), port=port.number)
        for service, endpoint in endpoints.items():
            if endpoint.port:
                self._apply_to_endpoint(service, endpoint, given.get(service))
                getattr(backend.endpoints, service).CopyFrom(endpoint)
        self._refuse_idle(backend.endpoints)

    def ports(self) -> dict[str, Port | None]:
        """What is given of each service."""
        return {service: getattr(self, service) for service in SERVICES}

    def _refuse_idle(self, endpoints: pool_pb2.Endpoints) -> None:
        """Whoever gives an option that none of the services can take would believe that it is in force."""
        there = {field.name: endpoint for field, endpoint in endpoints.ListFields()}
        for option, enum, given, known in (
            ("--forward", pool_pb2.Forward.DESCRIPTOR, self.forward, FORWARD_SERVICES),
            ("--login-style", pool_pb2.LoginStyle.DESCRIPTOR, self.login_style, STYLE_SERVICES),
        ):
            for value in given or ():
                services = known.get(value, tuple(there))
                if there and not set(services) & set(there):
                    told = f"{word(enum, value)!r} is for {' and '.join(services)}, which this backend does not serve"
                    raise typer.BadParameter(f"{told}; leave it out", param_hint=option)
        if self.master_user and not any(endpoint.login_style == MASTER for endpoint in there.values()):
            told = "means nothing with these login styles; give --login-style verify_then_master"
            raise typer.BadParameter(told, param_hint="--master-user")
        for option, wanted in (
            ("--verify", self.verify),
            ("--verify-name", self.verify_name),
            ("--pin-sha256", self.pin_sha256),
        ):
            if wanted and there and all(endpoint.tls in WITHOUT_TLS for endpoint in there.values()):
                raise typer.BadParameter(
                    "means nothing without TLS; give --tls implicit or starttls", param_hint=option
                )

    def _apply_to_endpoint(self, service: str, endpoint: pool_pb2.Endpoint, given: Port | None) -> None:
        _set(endpoint, tls=self.tls if given is None or given.tls is None else given.tls)
        # Beside a service without TLS, e.g. `--imap 993/implicit --pop3 110`, these are the others'.
        if endpoint.tls in WITHOUT_TLS:
            endpoint.verify = pool_pb2.VERIFY_UNSPECIFIED
            endpoint.verify_name = endpoint.pin_sha256 = ""
        else:
            _set(endpoint, verify=self.verify, verify_name=self.verify_name, pin_sha256=self.pin_sha256)
        for forward in self.forward or ():
            if service in FORWARD_SERVICES.get(forward, (service,)):
                _set(endpoint, forward=forward)
        for style in self.login_style or ():
            if service in STYLE_SERVICES.get(style, (service,)):
                _set(endpoint, login_style=style)
        # Beside a service that others log in to, it is theirs.
        if endpoint.login_style == MASTER:
            _set(endpoint, master_user=self.master_user)
        else:
            endpoint.master_user = ""


@api_command(app, "add")
def add(call: Call, name: Name, wish: Wish, change: Change) -> None:
    """Add a backend, e.g. `add mbox-3 --host 10.0.0.3 --imap 143 --pop3 110`; it gets its users at once."""
    if not wish.host:
        fail("--host is missing; give the server's IP address or DNS name", ExitCode.USAGE)
    if not any(wish.ports().values()):
        fail(f"give the port of at least one service: {', '.join(map(_option, SERVICES))}", ExitCode.USAGE)
    backend = pool_pb2.Backend(name=name)
    wish.apply(backend)
    request = pool_pb2.AddBackendRequest(header=change.header(), backend=backend)
    show_change(call, call.pool.AddBackend(request, timeout=call.seconds))


@api_command(app, "update")
def update(call: Call, name: Name, wish: Wish, change: Change) -> None:
    """Change what is given of a backend, and leave the rest as it is."""
    pool = call.pool.Get(pool_pb2.GetPoolRequest(), timeout=call.seconds)
    try:
        backend = model.find_backend(pool, name)
    except model.PoolNotFoundError as error:
        fail(str(error), ExitCode.NOT_FOUND)
    wish.apply(backend)
    # The backend is replaced as it was read: a change in between must not be undone.
    request = pool_pb2.UpdateBackendRequest(header=change.header(pool.version), backend=backend)
    show_change(call, call.pool.UpdateBackend(request, timeout=call.seconds))


def _set(message: Any, **values: object) -> None:  # noqa: ANN401 - any message of ours
    for name, value in values.items():
        if value is not None:
            setattr(message, name, value)


MASTER: Final = pool_pb2.LOGIN_STYLE_VERIFY_THEN_MASTER
WITHOUT_TLS: Final = (pool_pb2.BACKEND_TLS_UNSPECIFIED, pool_pb2.BACKEND_TLS_OFF)
