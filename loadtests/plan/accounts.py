"""The accounts that log in: a CSV file with a header line, `account` and what else is known of each.

`password` may be left out where all have the target's; `home` names the server or group where the account lives, and
then each failure says at whose home it was. It may be the directory's own file; further columns are not looked at.
"""

from __future__ import annotations

import csv
import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plan.fields import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who logs in."""

    name: str
    password: str
    home: str = ""


def read_accounts(file: Path, password: str) -> list[dict[str, str]]:
    """Return the rows, as workers get them."""
    try:
        with file.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PlanError(f"accounts: {file} cannot be read: {error}") from error
    accounts = [_row(row, password, f"{file}, account {number + 1}") for number, row in enumerate(rows)]
    if not accounts:
        raise PlanError(f"accounts: {file} has no account; a header line `account,password,home` comes first")
    return accounts


def in_turn(rows: list[dict[str, str]], worker: int) -> Iterator[Account]:
    """Give all accounts over and over, in an order of this worker's own: two seldom are one person at a time."""
    accounts = [Account(**row) for row in rows]
    random.Random(worker).shuffle(accounts)  # noqa: S311 - a run is to be repeated
    return itertools.cycle(accounts)


def _row(row: dict[str, str | None], password: str, where: str) -> dict[str, str]:
    name, word = row.get("account") or "", row.get("password") or password
    if not name or not word:
        raise PlanError(f"{where} has no {'password, nor has the target' if name else 'name; is the header missing?'}")
    # As IMAP's quoted strings and POP3's lines have it; real users with more need SASL.
    if not (name + word).isascii() or not (name + word).isprintable() or " " in name:
        raise PlanError(f"{where}: names and passwords are of printable ASCII, names without blanks")
    return {"name": name, "password": word, "home": row.get("home") or ""}
