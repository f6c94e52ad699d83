"""`zproxy demo`: the product as an operator runs it, before real mailbox servers, with a text that says what to try."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from zcontrol.demo.guide import guide
from zcontrol.demo.stage import Ports, set_up
from zcontrol.errors import ZproxyError

if TYPE_CHECKING:
    from collections.abc import Iterator


def demo(
    port_offset: Annotated[
        int, typer.Option(help="Added to the ports 1143, 1993, 1110, 1995, 1587, 1465, 1443 and 1080.")
    ] = 0,
    *,
    any_ports: Annotated[bool, typer.Option("--any-ports", help="Take any free ports instead.")] = False,
) -> None:
    """Start the proxy before two real mailbox servers, on loopback, and say what to try. Ctrl-C ends all of it."""
    # SIGINT too: whoever starts us in the background leaves it ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        _perform(Ports(offset=port_offset, any_free=any_ports))
    except KeyboardInterrupt:
        typer.echo("The demo has ended.")
    except ZproxyError as error:
        typer.echo(f"zproxy demo: {error}", err=True)
        raise typer.Exit(1) from error


def _perform(ports: Ports) -> NoReturn:
    with set_up(ports) as stage, _proxy(stage.config_file) as proxy:
        typer.echo(guide(stage, _addresses(proxy), _program()))
        # Nothing more is said; the end of the pipe is the end of the proxy.
        proxy.communicate()
        raise ZproxyError(f"the proxy ended by itself, with status {proxy.returncode}")


@contextmanager
def _proxy(config_file: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", "from zcontrol.cli import main; main()", "run", "--config", str(config_file)]
    # In a session of its own: Ctrl-C in a terminal must reach it by us alone, after which it may say goodbye.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as proxy:  # noqa: S603
        try:
            yield proxy
        finally:
            proxy.terminate()
            try:
                proxy.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                proxy.kill()


def _addresses(proxy: subprocess.Popen[str]) -> dict[str, str]:
    """Wait until all listeners accept; return where each does."""
    line = proxy.stdout.readline() if proxy.stdout else ""
    if not line:
        raise ZproxyError(f"the proxy did not start, status {proxy.wait()}; it says above why")
    return {listener["name"]: listener["address"] for listener in json.loads(line)["listeners"]}


def _program() -> str:
    """Return the command as the reader can type it."""
    called = Path(sys.argv[0])
    return str(called.absolute()) if called.name == "zproxy" and called.is_file() else "zproxy"


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


STOP_SECONDS: Final = 20
"""Beyond the time that sessions may go on after SIGTERM."""
