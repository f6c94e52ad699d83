"""The program that people keep filters with at a command line: sieve-connect, as it comes with Debian."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from servers.place import BUDI, SITI
from servers.zproxy import HOMES
from zcontrol.demo.accounts import HOSTNAME, PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certificates import Authority
    from servers.pigeonhole import ScriptServers
    from servers.zproxy import Zproxy


@pytest.mark.parametrize("account", [SITI, BUDI])
def test_sieve_connect_puts_lists_and_activates_a_script(
    account: str, tmp_path: Path, sieve: Zproxy, authority: Authority, servers: ScriptServers
) -> None:
    script = tmp_path / "holiday.sieve"
    script.write_text('require "fileinto";\nfileinto "Archive";\n')
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    host, port = sieve.listeners["sieve"]
    command = ["sieve-connect", "--server", host, "--port", str(port), "--user", account, "--authmech", "PLAIN"]
    command += ["--tlscafile", str(authority.ca_file), "--tlshostname", HOSTNAME, "--passwordfd", "0"]

    def run(*what: str) -> str:
        with password.open() as said:
            done = subprocess.run(
                [*command, *what],
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
                stdin=said,
                env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C"},
            )
        assert done.returncode == 0, f"{what} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    run("--localsieve", str(script), "--remotesieve", "holiday", "--upload")
    run("--remotesieve", "holiday", "--activate")
    assert '"holiday" ACTIVE' in run("--list")
    kept = servers.scripts(HOMES[account], account)
    assert (kept / "holiday.sieve").read_bytes().split() == script.read_bytes().split()
    assert (kept.parent / ".dovecot.sieve").resolve() == (kept / "holiday.sieve").resolve()
