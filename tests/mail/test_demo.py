"""`zproxy demo`: every command that its text tells people to try does what the text says, and Ctrl-C ends it all."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from servers.waiting import until
from servers.zproxy import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAST_COMMAND = "cat records.jsonl"


@contextmanager
def demo(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the demo; give its process and all of its text."""
    with subprocess.Popen([PROGRAM, "demo", *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            lines: list[str] = []
            while not lines or lines[-1].strip() != LAST_COMMAND:
                line = process.stdout.readline()
                assert line, f"the demo ended with {process.wait()}"
                lines.append(line)
            yield process, "".join(lines)
        finally:
            process.terminate()


def test_each_command_of_the_text_does_what_the_text_says() -> None:
    with demo("--any-ports") as (_, text):
        (directory,) = re.findall(r"^    cd (.*)$", text, re.MULTILINE)
        commands = re.findall(r"^    (?!cd )(.*)$", text, re.MULTILINE)

        def shell(command: str) -> str:
            done = subprocess.run(["sh", "-c", command], cwd=directory, check=False, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            return done.stdout + done.stderr

        siti, sarbini, bare, send, letter, *commands = commands
        browse_siti, browse_budi, starttls, pool, explain, add, move, budi, records = commands
        assert "The account siti@tgg.net.id lives on mbox-1." in shell(siti)
        assert "The account sarbini@gec-course.com lives on mbox-2." in shell(sarbini)
        assert "The account siti@tgg.net.id lives on mbox-1." in shell(bare)
        shell(send)
        assert "From one server to the other." in shell(letter)
        assert "The account siti@tgg.net.id lives on mbox-1." in shell(browse_siti)
        assert "The account budi@tgg.net.id lives on mbox-2." in shell(browse_budi)
        assert "Verification: OK" in shell(starttls)
        assert {"mbox-1", "mbox-2", "mta"} == set(re.findall(r"mbox-\d|mta", shell(pool)))
        assert "mbox-2" in shell(explain)
        shell(add)
        shell(move)
        until(lambda: "The account budi@tgg.net.id lives on mbox-3." in shell(budi))
        until(lambda: "The account budi@tgg.net.id lives on mbox-3." in shell(browse_budi))
        until(lambda: "mbox-3" in shell(records))
        ended = [json.loads(line) for line in shell(records).splitlines()]
        assert {"siti@tgg.net.id", "sarbini@gec-course.com", "budi@tgg.net.id"} <= {one.get("account") for one in ended}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_and_all_that_it_started(number: signal.Signals) -> None:
    with demo("--any-ports") as (process, text):
        addresses = re.findall(r"^  mbox-\d +(127\.\S+)", text, re.MULTILINE)
        assert len(addresses) == 3
        process.send_signal(number)
        assert process.wait(30) == 0
    for address in addresses:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, 10143))


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        offset = taken.getsockname()[1] - 1993
        command = [PROGRAM, "demo", "--port-offset", str(offset)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=30)
    assert done.returncode == 1, shlex.join(map(str, command))
    assert re.search(rf"port {offset + 1993} .* for IMAPS.*--port-offset", done.stderr)
