"""What the manual shows is true: its TOML passes `zproxy check`, what it says that errors and logs say is said."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from servers.zproxy import PROGRAM, toml

if TYPE_CHECKING:
    from servers.certificates import Authority

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs" / "operating.md", *sorted((ROOT / "docs" / "operating").glob("*.md")))
SNIPPETS = [
    pytest.param(snippet, id=f"{page.name}-{number}")
    for page in MANUAL
    for number, snippet in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL), 1)
]
TABLE = re.compile(r"^\| `(error|event)` begins .*\n(?:\|.*\n)+", re.MULTILINE)
BEGINNINGS = [
    (table[1], beginning)
    for page in MANUAL
    for table in TABLE.finditer(page.read_text())
    for row in table[0].splitlines()[2:]
    for beginning in re.findall(r"`([^`]+)`", row.split(" | ")[0])
]
# What the sections of a snippet are added to, where they do not say it themselves.
REST: dict[str, Any] = {
    "hostname": "mail.tgg.net.id",
    "directory": {"ldap": {"urls": ["ldaps://ldap1.tgg.net.id"], "base": "dc=tgg,dc=net,dc=id"}},
    "listeners": [{"name": "imap", "protocol": "imap", "address": "127.0.0.1:143"}],
}
SECRET = "k" * 32


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_sections_that_are_shown_have_no_fault(snippet: str, tmp_path: Path, authority: Authority) -> None:
    given = tomllib.loads(snippet.replace("/etc/zproxy", str(tmp_path)))
    certificate = authority.issue("mail.tgg.net.id")
    usual = {"state_directory": str(tmp_path), "certificates": [certificate.config]}
    config = REST | usual | given
    config["listeners"] = REST["listeners"] + given.get("listeners", [])
    (tmp_path / "names").mkdir()
    (tmp_path / "acme").mkdir()
    (tmp_path / "unavailable.html").write_text("<p>Back soon")
    (tmp_path / "mail.tgg.net.id.pem").write_bytes(certificate.certificate_file.read_bytes())
    (tmp_path / "mail.tgg.net.id.key").write_bytes(certificate.key_file.read_bytes())
    (tmp_path / "clients-ca.pem").write_bytes(authority.ca_file.read_bytes())
    (tmp_path / "control.pem").write_bytes(certificate.certificate_file.read_bytes())
    (tmp_path / "control.key").write_bytes(certificate.key_file.read_bytes())
    (tmp_path / "control-ca.pem").write_bytes(authority.ca_file.read_bytes())
    (tmp_path / "edge-2.token").write_text("zproxy_4f2c91d8_")
    (tmp_path / "clients.crl").write_bytes(authority.revoke(authority.issue("lost.tgg.net.id")))
    file = tmp_path / "zproxy.toml"
    file.write_text("".join(f"{key} = {toml(value)}\n" for key, value in config.items()))
    secrets = dict.fromkeys(re.findall(r"\$\{(\w+)\}", snippet), SECRET)
    done = subprocess.run(
        [PROGRAM, "check", file], env=os.environ | secrets, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("where", "beginning"), BEGINNINGS)
def test_what_is_said_that_errors_and_logs_say_is_said(where: str, beginning: str) -> None:
    if where == "error":
        assert any(error.startswith(beginning.rstrip(" …")) for error in errors()), beginning
    else:
        assert all(part.strip(" :") in sources() for part in beginning.split("…")), beginning


def errors() -> list[str]:
    """Return what errors say, `…` for what differs."""
    files = [ROOT / "core" / crate / "src" / "error.rs" for crate in ("proxy", "protocol")]
    texts = [text for file in files for text in re.findall(r'#\[error\(\s*"(.*?)"\s*\)\]', file.read_text(), re.DOTALL)]
    return [re.sub(r"\{\w*\}", "…", text) for text in texts]


def sources() -> str:
    files = [*(ROOT / "core" / "proxy" / "src").rglob("*.rs"), *(ROOT / "zcontrol").rglob("*.py")]
    return "".join(file.read_text() for file in files)
