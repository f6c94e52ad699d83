"""Before the login nobody knows which MTA it will be: offered is what all of them can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers.fake_mta import offering
from servers.relays import Relays
from servers.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

OURS = ["AUTH PLAIN LOGIN"]


def offered(directory: Path, *, to_wait_for: list[str], mta: tuple[str, ...], farm: tuple[str, ...]) -> None:
    """Wait for these: a probe is heard a moment before it is known."""
    with Relays(directory, mta=offering(*mta), farm_1=offering(*farm), farm_2=offering(*mta)) as relays:

        def found() -> bool:
            with relays.greeted() as client:
                return sorted(relays.offered(client)) == sorted(to_wait_for + OURS)

        until(found)


def test_the_smallest_size_is_offered(tmp_path: Path) -> None:
    mta, farm = ("PIPELINING", "SIZE 1000"), ("SIZE 999", "PIPELINING")
    offered(tmp_path, mta=mta, farm=farm, to_wait_for=["PIPELINING", "SIZE 999"])


def test_a_size_without_a_number_is_no_limit(tmp_path: Path) -> None:
    offered(tmp_path, mta=("SIZE", "DSN"), farm=("SIZE 1000", "DSN"), to_wait_for=["SIZE 1000", "DSN"])


def test_what_one_of_them_lacks_is_not_offered(tmp_path: Path) -> None:
    mta = ("PIPELINING", "SIZE 1000", "8BITMIME", "CHUNKING", "SMTPUTF8")
    offered(tmp_path, mta=mta, farm=("8BITMIME",), to_wait_for=["8BITMIME"])


def test_what_is_not_for_clients_is_not_offered(tmp_path: Path) -> None:
    mta = ("8BITMIME", "XCLIENT ADDR NAME", "XFORWARD ADDR", "STARTTLS", "ETRN", "VRFY", "AUTH=LOGIN")
    offered(tmp_path, mta=mta, farm=mta, to_wait_for=["8BITMIME"])
