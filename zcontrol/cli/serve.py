"""`zproxy run`, `control` and `edge`: the processes that serve."""

from pathlib import Path
from typing import Annotated

import typer

from zcontrol.cli.call import USUAL_CONFIG, ExitCode, Where, fail
from zcontrol.config import ConfigError, ConfigUnreadableError, Role
from zcontrol.errors import ZproxyError
from zcontrol.logs import configure_logging

ConfigFile = Annotated[Path | None, typer.Option("--config", help=f"The config file; unset: {USUAL_CONFIG}.")]


def run(ctx: typer.Context, config: ConfigFile = None) -> None:
    """Serve clients and control in one process. SIGHUP reloads the config; SIGTERM ends, sessions first."""
    _serve(ctx, config, Role.RUN)


def control(ctx: typer.Context, config: ConfigFile = None) -> None:
    """Serve control alone: routes, the pool and sessions, for edges in other processes."""
    _serve(ctx, config, Role.CONTROL)


def edge(ctx: typer.Context, config: ConfigFile = None) -> None:
    """Serve clients alone, attached to the control that `api.address` names."""
    _serve(ctx, config, Role.EDGE)


def _serve(ctx: typer.Context, config: Path | None, role: Role) -> None:
    from zcontrol.process import serve  # noqa: PLC0415 - what only calls control starts faster without

    program = ctx.obj or Where()
    configure_logging()
    try:
        serve(config or program.config or USUAL_CONFIG, role)
    except ConfigUnreadableError as error:
        fail(str(error), ExitCode.USAGE)
    except ConfigError as error:
        fail(f"the config has faults:\n{error}", ExitCode.REFUSED)
    except ZproxyError as error:
        fail(str(error), ExitCode.REFUSED)
