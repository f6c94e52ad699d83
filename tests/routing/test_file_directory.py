"""The file directory: both formats, faults told with file and line, and a changed file noticed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from zcontrol.directory.base import Change, Found
from zcontrol.directory.file import FileDirectory
from zcontrol.errors import DirectoryFileError
from zcontrol.v1 import route_pb2

if TYPE_CHECKING:
    from pathlib import Path

UUID = "0f1c3d5e-0000-4000-8000-00000000abcd"
TOML = f"""
[[accounts]]
account = "Siti@tgg.net.id"
home = "mbox-1"
id = "{UUID.upper()}"
aliases = ["s@TGG.net.id", "ｓ2@tgg.net.id"]
backend_login = "siti"
may_act_as = ["Info@tgg.net.id"]
status = "locked"
allowed_nets = ["192.0.2.7", "2001:db8::/32"]

[[accounts]]
account = "budi@tgg.net.id"
"""  # noqa: RUF001 - full width is the point
CSV = f"""account,home,id,aliases,backend_login,may_act_as,status,allowed_nets
Siti@tgg.net.id,mbox-1,{UUID.upper()},s@TGG.net.id s2@tgg.net.id,siti,Info@tgg.net.id,locked,192.0.2.7 2001:db8::/32
budi@tgg.net.id,,,,,,,
"""
SITI = Found(
    account="siti@tgg.net.id",
    account_id=UUID,
    home="mbox-1",
    backend_login="siti",
    may_act_as=("info@tgg.net.id",),
    status=route_pb2.ACCOUNT_STATUS_LOCKED,
    allowed_nets=("192.0.2.7/32", "2001:db8::/32"),
)
BUDI = Found(account="budi@tgg.net.id")


@pytest.mark.parametrize(
    ("name", "text"), [("accounts.toml", TOML), ("accounts.csv", CSV), ("bom.csv", "\ufeff" + CSV)]
)
async def test_both_formats_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    directory = FileDirectory(tmp_path / name)
    asked = ["siti@tgg.net.id", "s@tgg.net.id", "s2@tgg.net.id", UUID, "nobody@tgg.net.id", "budi@tgg.net.id"]
    assert await directory.find(asked) == [SITI, SITI, SITI, SITI, None, BUDI]
    await directory.close()


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.toml", "\n[[accounts]]\naccount = ", ":3: "),
        ("a.toml", "[[accounts]]\naccount = 'a@x'\n\n[[accounts]]\naccount = 'A@x.'\n", ":4: a@x is taken by line 1"),
        ("a.toml", "[[accounts]]\naccount = 'a@x'\nhom = 'b'\n", ":1: hom is unknown; known are account, home"),
        ("a.toml", "[[accounts]]\naccount = 'a@x'\nhome = 1\n", ":1: home must be a string"),
        ("a.toml", "[[accounts]]\naccount = 'a@x'\naliases = 'b@x'\n", ":1: aliases must be an array of strings"),
        ("a.toml", "[[accounts]]\nhome = 'b'\n", ":1: account '' must be user@domain"),
        ("a.toml", '[[accounts]]\naccount = "a\\u0000@x"\n', ":1: a name here has a control"),
        ("a.toml", "[[accounts]]\naccount = 'a@x'\nstatus = 'gone'\n", ":1: status 'gone' is none of active, locked"),
        ("a.toml", "[[accounts]]\naccount = 'a@x'\nallowed_nets = ['1.2.3']\n", ":1: '1.2.3' does not appear"),
        ("a.toml", "[[account]]\naccount = 'a@x'\n", ":1: unknown key 'account'"),
        ("a.toml", "accounts = []\n[[x]]", ":1: unknown key 'x'"),
        ("a.toml", "accounts = [{account = 'a@x'}]\n", ":1: write each account below a line [[accounts]]"),
        ("a.csv", "account,hom\na@x,b\n", ":1: column 'hom' is unknown"),
        ("a.csv", "account,home\na@x,b\nb@x\n", ":3: not as many fields"),
        ("a.csv", "account,home\na@x,b,c\n", ":2: not as many fields"),
        ("a.csv", 'account\n"a@x\n', ":2: unexpected end of data"),
        ("a.ldif", "", ":1: call it *.toml or *.csv"),
    ],
)
def test_a_bad_file_is_told_with_its_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DirectoryFileError) as raised:
        FileDirectory(tmp_path / name)
    assert str(raised.value).startswith(f"{tmp_path / name}{told}")


def test_a_file_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"account\na@x\n\xff@x\n")
    with pytest.raises(DirectoryFileError, match=r"a\.csv:3: not UTF-8"):
        FileDirectory(tmp_path / "a.csv")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DirectoryFileError, match=r"a\.csv:1: No such file"):
        FileDirectory(tmp_path / "a.csv")


async def test_a_changed_file_tells_who_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("account,home,aliases\na@x,b1,c@x\nb@x,b1,\nd@x,b1,\n")
    directory = FileDirectory(path)
    changes = directory.changes()
    path.write_text("account,home,aliases\na@x,b2,c@x\nb@x,b1,\ne@x,b1,\n")
    assert await anext(changes) == Change(accounts=frozenset({"a@x", "c@x", "d@x", "e@x"}))
    assert await directory.find(["c@x", "d@x"]) == [Found(account="a@x", home="b2"), None]


async def test_a_file_moved_into_place_is_loaded_although_time_and_size_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("account,home\na@x,b1\n")
    directory = FileDirectory(path)
    new = tmp_path / "new"
    new.write_text("account,home\na@x,b2\n")
    stat = path.stat()
    os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    new.rename(path)
    assert await directory.reload() == Change(accounts=frozenset({"a@x"}))


@pytest.mark.parametrize("bad", ["account,home\na@x,b1\nrubbish\n", None])
async def test_a_bad_file_keeps_the_old_one_in_force_until_it_is_mended(tmp_path: Path, bad: str | None) -> None:
    path = tmp_path / "a.csv"
    path.write_text("account,home\na@x,b1\n")
    directory = FileDirectory(path)
    path.write_text(bad) if bad else path.unlink()
    assert await directory.reload() is None
    assert await directory.find(["a@x"]) == [Found(account="a@x", home="b1")]
    path.write_text("account,home\na@x,b2\n")
    assert await directory.reload() == Change(accounts=frozenset({"a@x"}))


async def test_many_changes_are_told_as_everything(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("account\n")
    directory = FileDirectory(path)
    path.write_text("account\n" + "".join(f"u{number}@x\n" for number in range(1001)))
    assert await directory.reload() == Change(everything=True)


@pytest.mark.parametrize("bad", ["account,home\na@x,b1\nsiti,b1\n", None])
async def test_at_a_reload_a_bad_file_keeps_the_accounts_before(tmp_path: Path, bad: str | None) -> None:
    path = tmp_path / "a.csv"
    path.write_text("account,home\na@x,b1\n")
    before = FileDirectory(path)
    path.write_text(bad) if bad else path.unlink()
    with capture_logs() as logs:
        directory = FileDirectory(path, before)
    assert str(path) + (":3: account 'siti' must be" if bad else ":1: No such file") in logs[0]["reason"]
    assert await directory.find(["a@x"]) == [Found(account="a@x", home="b1")]
    path.write_text("account,home\na@x,b2\n")
    assert await directory.reload() == Change(accounts=frozenset({"a@x"}))


def test_another_bad_file_is_refused_whatever_was_before(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("account,home\na@x,b1\n")
    with pytest.raises(DirectoryFileError):
        FileDirectory(tmp_path / "b.csv", FileDirectory(tmp_path / "a.csv"))


async def test_what_a_reload_saw_first_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("account,home\na@x,b1\n")
    before = FileDirectory(path)
    path.write_text("account,home\na@x,b2\n")
    changes = FileDirectory(path, before).changes()
    assert await anext(changes) == Change(accounts=frozenset({"a@x"}))
