"""Profiles and targets: what is shipped can be used, and what is wrong is told with its place and its mend."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

LOADTESTS = Path(__file__).parents[2] / "loadtests"
README = (LOADTESTS / "README.md").read_text()
PROFILES = sorted((LOADTESTS / "profiles").glob("*.toml"))
TARGET = """\
host = "127.0.0.1"
password = "secret"
api = "127.0.0.1:7410"
spare = {name = "mbox-3", host = "127.0.0.1", endpoints = {imap = {port = 143}}}
dies = ["true"]
returns = ["true"]
[services]
imap = ["993/implicit"]
pop3 = ["110/off"]
submission = ["587/starttls"]
web = ["443/implicit"]
"""
PROFILE = """\
about = "A test."
[shape]
kind = "steady_day"
users = 1
seconds = 1
[users.ImapUser]
"""
# A process of its own: whoever imports locust gets other sockets.
READ = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import locustfile
for profile in sys.argv[3:]:
    plan = locustfile.from_document(locustfile.read_document(Path(profile), Path(sys.argv[2])))
    locustfile.adopt(plan, 0, locustfile.PEOPLE)
    locustfile.shape_of(plan, print)
"""


def read(directory: Path, target: str, *profiles: Path, accounts: str = "account\nsiti@load.example\n") -> str:
    """Read profiles as locust does, and return what is said of them."""
    (directory / "target.toml").write_text(target)
    (directory / "accounts.csv").write_text(accounts)
    command = [sys.executable, "-c", READ, LOADTESTS, directory / "target.toml", *profiles]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60).stderr


def test_each_profile_that_is_shipped_can_be_used(tmp_path: Path) -> None:
    assert PROFILES
    assert read(tmp_path, TARGET, *PROFILES) == ""


def test_the_target_and_the_accounts_of_the_readme_can_be_used(tmp_path: Path) -> None:
    indented = [
        re.sub(r"^ {7}", "", block, flags=re.MULTILINE)
        for block in re.findall(r"(?:\n|^ {7}.*\n)+", README, re.MULTILINE)
    ]
    (accounts,) = (block.strip() for block in indented if block.strip().startswith("account,"))
    (target,) = (block for block in indented if block.strip().startswith("host ="))
    (tmp_path / "ca.pem").write_text("")
    assert read(tmp_path, target, LOADTESTS / "profiles" / "two_minutes.toml", accounts=accounts) == ""


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("weigth = 2\n", "", "users.ImapUser.weigth: no such key; do you mean weight?"),
        ("pause = [5, 1]\n", "", "users.ImapUser.pause: [5, 1]; write least and most, [5, 30]"),
        ("weight = true\n", "", "users.ImapUser.weight: True; write a whole number"),
        ("[users.PopUsr]\n", "", "profile.users.PopUsr: no such key; do you mean PopUser?"),
        ("[expect]\nfailures = 'none'\n", "", "expect.failures: 'none'; write a number, 0 or more"),
        ("", "seconds = 1\n", "shape.seconds is missing"),
        ("[crowds.a]\ncommand = 'http'\n", "", "crowds.a.service: http is of web"),
        ("[crowds.a]\ncommand = 'mixed'\n", "", "crowds.a.command: 'mixed'; write one of churn, http, idle"),
        ("[crowds.a]\noptions = {target = 'b'}\n", "", "crowds.a.options.target: the target says that"),
        (
            "[crowds.a]\ntls = 'starttls'\n",
            "",
            'crowds.a has nowhere to go: give the target services.imap = ["PORT/starttls"]',
        ),
    ],
)
def test_a_fault_of_a_profile_is_told_with_its_place(wrong: str, right: str, told: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile.toml"
    profile.write_text(PROFILE.replace(right, "") + wrong)
    assert read(tmp_path, TARGET, profile).endswith(f"PlanError: {told}\n")


@pytest.mark.parametrize(
    ("old", "new", "accounts", "told"),
    [
        ("993/implicit", "993/tls", "account\na\n", "services.imap: '993/tls'; write \"993/implicit\", "),
        ("imap = [", "imaps = [", "account\na\n", "services.imaps: no such service; known: imap, pop3, "),
        ('password = "secret"\n', "", "account\na\n", "accounts.csv, account 1 has no password, nor has the target"),
        ("secret", "secret", "name\na\n", "accounts.csv, account 1 has no name; is the header missing?"),
        ("secret", "secret", "account\n", "accounts.csv has no account; a header line "),
        ("secret", "s\u00e9cret", "account\na\n", "names and passwords are of printable ASCII"),
    ],
)
def test_a_fault_of_a_target_is_told_with_its_place(
    old: str, new: str, accounts: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "profile.toml").write_text(PROFILE)
    said = read(tmp_path, TARGET.replace(old, new), tmp_path / "profile.toml", accounts=accounts)
    assert told in said.splitlines()[-1]


def test_locust_says_what_is_missing_instead_of_starting(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "locust", "-f", LOADTESTS / "locustfile.py", "--headless"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    assert "locust: give --load and --target: a profile, and the system that is loaded" in done.stderr
