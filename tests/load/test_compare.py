"""`make compare` for seconds: every peer serves every login, and its figures are kept. Speed is not asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMPARE = Path(__file__).parents[2] / "loadtests" / "compare"
MAIL = {"zproxy", "nginx", "HAProxy", "Dovecot"}
PEERS = {
    "smtps": MAIL,
    "idle-tls": MAIL | {"direct"},
    "fetch": MAIL | {"nginx 64k", "HAProxy splice"},
    "get": MAIL - {"Dovecot"},
}


def compared(*arguments: str | Path) -> str:
    command = [sys.executable, COMPARE, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout


@pytest.mark.parametrize("row", PEERS)
def test_every_peer_leaves_its_figure_and_no_error(row: str, tmp_path: Path) -> None:
    said = compared(row, "--rounds", "1", "--scale", "0.02", "--report", tmp_path)
    samples = json.loads((tmp_path / "figures.json").read_text())[row]["samples"]
    assert samples.keys() == PEERS[row]
    assert [name for name, (one,) in samples.items() if one["errors"]] == [], said
    # The kernel alone knows what backends without a proxy cost.
    assert all(one["value"] > 0 for name, (one,) in samples.items() if name != "direct"), said
    report = (tmp_path / "REPORT.md").read_text()
    assert all(f"| {row} | {name} |" in report for name in PEERS[row])


def test_a_row_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(subprocess.CalledProcessError) as raised:
        compared("imapz")
    assert "no row is called imapz; there are " in raised.value.stderr
