"""curl, as people script it: HTTP/1.1 and HTTP/2, uploads that ask first, ranges, and what it says of the answer."""

from __future__ import annotations

import os
import subprocess
from random import randbytes
from typing import TYPE_CHECKING

import pytest

from servers.fake_web import echoes, in_chunks, says
from servers.site import BUDI, SITI
from zcontrol.demo.accounts import HOSTNAME, PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from servers.site import Site

VERSIONS = {"1.1": "--http1.1", "2": "--http2"}
both = pytest.mark.parametrize("version", VERSIONS)


def curl(site: Site, home: Path, path: str, *options: str, listener: str = "https") -> str:
    """Return what it printed; its failure is the test's."""
    port = site.zproxy.listeners[listener][1]
    command = ["curl", "-sS", "--cacert", str(site.authority.ca_file), "--resolve", f"{HOSTNAME}:{port}:127.0.0.1"]
    done = subprocess.run(
        [*command, *options, f"{'http' if listener == 'http' else 'https'}://{HOSTNAME}:{port}{path}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@both
@pytest.mark.parametrize(("account", "server"), [(SITI, "one"), (BUDI, "two")])
def test_a_page_comes_from_the_users_own_server(
    account: str, server: str, version: str, tmp_path: Path, site: Site
) -> None:
    options = [VERSIONS[version], "--user", f"{account}:{PASSWORD}", "--write-out", " by %{http_version}"]
    assert curl(site, tmp_path, "/", *options) == f"{server} by {version}"


@both
def test_an_upload_asks_first_and_comes_back_whole(version: str, tmp_path: Path, site: Site) -> None:
    film, back = tmp_path / "film", tmp_path / "back"
    film.write_bytes(randbytes(5_000_000))
    with site.answering("/upload", echoes):
        options = [VERSIONS[version], "--upload-file", str(film), "--header", "Expect: 100-continue"]
        curl(site, tmp_path, "/upload", *options, "--expect100-timeout", "30", "--output", str(back))
    assert back.read_bytes() == film.read_bytes()


@both
def test_a_range_a_head_and_chunks(version: str, tmp_path: Path, site: Site) -> None:
    way, path = VERSIONS[version], f"/curl/{version}"
    with site.answering(path, says(206, b"bc", "Content-Range: bytes 1-2/5")):
        assert curl(site, tmp_path, path, way, "--range", "1-2") == "bc"
    assert site.asked(path).value("range") == "bytes=1-2"
    with site.answering("/headed", says(200, b"12345")):
        head = curl(site, tmp_path, "/headed", way, "--head").lower()
    assert "content-length: 5" in head
    with site.answering("/chunks", in_chunks([b"abc", b"de"])):
        assert curl(site, tmp_path, "/chunks", way) == "abcde"


def test_who_comes_in_clear_is_sent_to_https_and_arrives(tmp_path: Path, site: Site) -> None:
    port = site.zproxy.listeners["https"][1]
    options = ["--location", "--resolve", f"{HOSTNAME}:{port}:127.0.0.1", "--write-out", " at %{url_effective}"]
    said = curl(site, tmp_path, "/page?a=b", *options, listener="http")
    assert said in {f"{server} at https://{HOSTNAME}:{port}/page?a=b" for server in ("one", "two")}


def test_many_pages_come_by_one_connection(tmp_path: Path, site: Site) -> None:
    options = ["--http2", "--write-out", " %{num_connects}", "--output", os.devnull]
    connections = curl(site, tmp_path, "/[1-20]", *options)
    assert sum(map(int, connections.split())) == 1
