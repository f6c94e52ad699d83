"""What the page on access shows is done: its commands, in their order, before a control with its config."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from servers.waiting import until
from servers.zproxy import PROGRAM, Zproxy, directory_file, listener

if TYPE_CHECKING:
    from servers.certificates import Authority

PAGE = (Path(__file__).parents[2] / "docs" / "operating" / "access.md").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
TOML = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
WEB = {
    "groups": [{"name": "web", "kind": "stateless"}],
    "backends": [{"name": "web-1", "group": "web", "host": "127.0.0.9", "endpoints": {"http": {"port": 80}}}],
}


class Machine:
    """A directory that stands for /etc/zproxy, and `localhost` for control's machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.replaced = {"/etc/zproxy": str(directory), "control.tgg.net.id": "localhost", "0.0.0.0:": "127.0.0.1:"}
        self.environment = os.environ | {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}

    def said(self, text: str) -> str:
        for what, by in self.replaced.items():
            text = text.replace(what, by)
        return text

    def does(self, commands: str) -> str:
        done = subprocess.run(
            ["sh", "-e", "-c", self.said(commands)], env=self.environment, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_commands_of_the_page_do_what_it_says(machine: Machine, tmp_path: Path, authority: Authority) -> None:
    issuing, *calling = SHELL
    machine.does(issuing)
    control_toml, edge_toml = TOML
    # Ports of the page may be somebody's.
    api = tomllib.loads(re.sub(r":74\d\d", ":0", machine.said(control_toml)))
    directory = directory_file(tmp_path / "accounts.csv", {})
    (tmp_path / "control").mkdir()
    with Zproxy(tmp_path / "control", {**api, **WEB, "directory": directory}, role="control") as control:
        machine.environment["ZPROXY_API"] = control.api
        for key, port in (("api_certificates", ":7411"), ("api_tokens", ":7412")):
            machine.replaced[f"localhost{port}"] = control.ready[key].replace("127.0.0.1", "localhost")
        told = [machine.does(commands) for commands in calling]
        by_certificate, by_token, audited = told
        assert "web-1" in by_certificate
        assert by_token.endswith("version 2: update web-1: weight 100 to 50\n")
        assert "(deploy pipeline) for " in audited
        assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.glob("*.token"))
        lines = json.loads(machine.does("zproxy audit --json"))["lines"]
        assert [line["method"].rpartition("/")[2] for line in lines] == ["SetWeight", "Create", "Create"]
        edge = {
            **tomllib.loads(machine.said(edge_toml)),
            "listeners": [listener("imap", "imap", "off")],
            "certificates": [authority.issue("mail.tgg.net.id").config],
        }
        (tmp_path / "edge").mkdir()
        with Zproxy(tmp_path / "edge", edge, role="edge"):
            until(lambda: json.loads(machine.does("zproxy pool list --json"))["edges"] == 1)
