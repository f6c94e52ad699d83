"""What README.md shows is true: its config passes `zproxy check`, its commands exist."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from servers.zproxy import PROGRAM

if TYPE_CHECKING:
    from servers.certificates import Authority

README = (Path(__file__).parents[2] / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"(?:^ {4}|, )zproxy (\w+ \w+)", README, re.MULTILINE)))


def test_the_config_that_is_walked_through_has_no_fault(tmp_path: Path, authority: Authority) -> None:
    (config,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    certificate = authority.issue("mail.tgg.net.id")
    (tmp_path / "mail.tgg.net.id.pem").write_bytes(certificate.certificate_file.read_bytes())
    (tmp_path / "mail.tgg.net.id.key").write_bytes(certificate.key_file.read_bytes())
    file = tmp_path / "zproxy.toml"
    file.write_text(re.sub(r"/(etc|var/lib|var/log)/zproxy", str(tmp_path), config))
    secrets = {"LDAP_PASSWORD": "only for this test", "ZPROXY_SEAL_KEY": "k" * 32}
    done = subprocess.run(
        [PROGRAM, "check", file], env=os.environ | secrets, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_that_is_named_exists(command: str) -> None:
    done = subprocess.run([PROGRAM, *command.split(), "--help"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
