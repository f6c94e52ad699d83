"""The file format of the file directory: TOML with `[[accounts]]`, or CSV with a header line.

Both have the same columns; `account` is required. Lists are arrays in TOML, separated by spaces in CSV.
"""

import csv
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from zcontrol.directory.base import Found
from zcontrol.directory.status import account_status
from zcontrol.errors import DirectoryError, DirectoryFileError, UnusableNameError
from zcontrol.routing.names import canonical

TEXTS: Final = ("account", "home", "id", "status", "backend_login")
LISTS: Final = ("aliases", "may_act_as", "allowed_nets")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    line: int
    texts: dict[str, str]
    lists: dict[str, list[str]]


def read_accounts(path: Path) -> dict[str, Found]:
    """Every name, alias and id to its account; raises `DirectoryFileError`, which says where and what to mend."""
    rows = _FORMATS.get(path.suffix)
    if rows is None:
        raise DirectoryFileError(f"{path}:1: call it *.toml or *.csv, so that its format is known")
    accounts: dict[str, Found] = {}
    lines: dict[str, int] = {}
    try:
        for row in rows(path):
            found, names = _account(row, path)
            for name in names:
                if name in lines:
                    raise DirectoryFileError(f"{path}:{row.line}: {name} is taken by line {lines[name]}")
                accounts[name] = found
                lines[name] = row.line
    except OSError as error:
        mend = "create it, or mend the path" if isinstance(error, FileNotFoundError) else "make it readable for us"
        raise DirectoryFileError(f"{path}:1: {error.strerror}: {mend}") from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DirectoryFileError(f"{path}:{line}: not UTF-8") from error
    return accounts


def _account(row: _Row, path: Path) -> tuple[Found, set[str]]:
    texts = row.texts
    try:
        account = canonical(texts.get("account", ""))
        if "@" not in account:
            raise DirectoryFileError(f"{path}:{row.line}: account {account!r} must be user@domain")
        account_id = texts.get("id", "").lower()
        found = Found(
            account=account,
            account_id=account_id,
            home=texts.get("home", "").strip(),
            backend_login=texts.get("backend_login", ""),
            may_act_as=tuple(map(canonical, row.lists.get("may_act_as", ()))),
            status=account_status(texts.get("status", "")),
            allowed_nets=tuple(str(ip_network(net, strict=False)) for net in row.lists.get("allowed_nets", ())),
        )
        aliases = map(canonical, row.lists.get("aliases", ()))
        return found, {account, *aliases, *filter(None, [account_id])}
    except UnusableNameError as error:
        raise DirectoryFileError(f"{path}:{row.line}: a name here {error}") from error
    except (DirectoryError, ValueError) as error:
        if isinstance(error, DirectoryFileError):
            raise
        raise DirectoryFileError(f"{path}:{row.line}: {error}") from error


def _toml_rows(path: Path) -> Iterator[_Row]:
    text = path.read_text(encoding="utf-8")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        told = re.search(r"at line (\d+)", str(error))
        last = text.count("\n") + 1
        raise DirectoryFileError(f"{path}:{told[1] if told else last}: {error}") from error
    headers = [number for number, line in enumerate(text.splitlines(), 1) if _TOML_HEADER.match(line)]
    for unknown in document.keys() - {"accounts"}:
        raise DirectoryFileError(f"{path}:1: unknown key {unknown!r}; accounts are written below [[accounts]]")
    accounts = document.get("accounts", [])
    if not isinstance(accounts, list) or len(accounts) != len(headers):
        raise DirectoryFileError(f"{path}:1: write each account below a line [[accounts]]")
    for line, table in zip(headers, accounts, strict=True):
        yield _checked(table, line, path)


def _checked(table: dict[str, object], line: int, path: Path) -> _Row:
    """TOML knows types, so that they can be wrong."""
    texts: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for key, value in table.items():
        if key in TEXTS and isinstance(value, str):
            texts[key] = value
        elif key in LISTS and isinstance(value, list) and all(isinstance(item, str) for item in value):
            lists[key] = value
        else:
            raise DirectoryFileError(f"{path}:{line}: {key} {_expected(key)}")
    return _Row(line=line, texts=texts, lists=lists)


def _expected(key: str) -> str:
    if key in TEXTS:
        return "must be a string"
    if key in LISTS:
        return "must be an array of strings"
    return f"is unknown; known are {', '.join(TEXTS + LISTS)}"


def _csv_rows(path: Path) -> Iterator[_Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            for column in reader.fieldnames or ():
                if column not in TEXTS + LISTS:
                    raise DirectoryFileError(f"{path}:1: column {column!r} {_expected(column)}")
            for fields in reader:
                if None in fields or None in fields.values():
                    raise DirectoryFileError(f"{path}:{reader.line_num}: not as many fields as the header has")
                yield _Row(
                    line=reader.line_num,
                    texts={key: fields[key] for key in TEXTS if key in fields},
                    lists={key: fields[key].split() for key in LISTS if key in fields},
                )
        except csv.Error as error:
            raise DirectoryFileError(f"{path}:{reader.reader.line_num}: {error}") from error


_FORMATS: Final[dict[str, Callable[[Path], Iterator[_Row]]]] = {".toml": _toml_rows, ".csv": _csv_rows}
_TOML_HEADER: Final = re.compile(r"\s*\[\[\s*accounts\s*\]\]")
