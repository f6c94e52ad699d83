"""The page of a run: what it shows, what it compares, and that it is no way in for what servers say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

REPORT = Path(__file__).parents[2] / "loadtests" / "report.py"
FACTS: dict[str, Any] = {
    "profile": "steady_day",
    "about": "A test.",
    "users": {},
    "shape": {},
    "target": "mail.example.org",
    "accounts": 2,
    "begun": "2024-01-01T00:00:00+00:00",
    "seconds": 4.0,
    "workers": 0,
    "sample_seconds": 1.0,
    "passed": True,
    "faults": [],
    "events": [],
    "failures": [],
    "machine": "one",
    "commit": "abc",
    "python": "3.11",
    "locust": "2",
}


def a_run(directory: Path, times: Mapping[str, int], **facts: object) -> Path:
    """Write a run whose one row was taken these times, four times over."""
    directory.mkdir()
    (directory / "run.json").write_text(json.dumps(FACTS | facts))
    row = {"count": sum(times.values()), "failed": 0, "times": times}
    lines = [{"at": at + 1.0, "users": 5, "rows": {"IMAP login": row}} for at in range(4)]
    (directory / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return directory


def page(*arguments: object) -> str:
    command = [sys.executable, REPORT, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return Path(done.stdout.strip()).read_text()


def table(text: str) -> str:
    """Return the row of the one step, without its tags."""
    (row,) = re.findall(r"<tr><td>IMAP login.*?</tr>", text, re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", row).split())


def test_percentiles_are_of_the_whole_run(tmp_path: Path) -> None:
    text = page(a_run(tmp_path / "run", {"2.0": 90, "10.0": 8, "700.0": 2}))
    assert table(text) == "IMAP login 400 0 2 10 700 700"


def test_a_comparison_shows_both_figures_and_names_what_differs(tmp_path: Path) -> None:
    before = a_run(tmp_path / "before", {"2.0": 30}, machine="another")
    text = page(a_run(tmp_path / "run", {"3.0": 30}), "--against", before)
    # 120 steps are too few to compare more than their middle.
    assert table(text) == "IMAP login 120 0 (0) 3 (2, +50%) 3 3 3"
    assert '<small class="worse">' in text
    assert "The two differ in machine: compare with care." in text
    assert "stroke-dasharray" in text


def test_what_servers_say_is_text_and_nothing_is_fetched(tmp_path: Path) -> None:
    said = "<script>alert(1)</script>"
    failures = [{"type": "IMAP", "name": said, "text": said, "count": 3}]
    events = [{"at": 2.0, "text": said}]
    text = page(a_run(tmp_path / "run", {"2.0": 1}, failures=failures, events=events, faults=[said], passed=False))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 4
    assert not re.search(r"(?:src|href)=|url\(|@import", text)


def test_a_directory_without_a_run_is_told(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, REPORT, tmp_path], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"report: {tmp_path} is no finished run: ")
