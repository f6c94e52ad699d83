"""h2spec, which breaks each rule of HTTP/2 and of HPACK one by one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from servers.fake_web import says
from servers.site import Site
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority

H2SPEC = Path(sys.executable).with_name("h2spec")
KNOWN: dict[str, str] = {}
"""Cases that fail, and why that is as it should be."""


@pytest.fixture
def site(tmp_path: Path, authority: Authority) -> Iterator[Site]:
    """It serves whoever asks by address, as h2spec does."""
    with Site(tmp_path, authority, http={"default_host": HOSTNAME}) as running:
        yield running


def test_every_rule_of_http2_is_kept(tmp_path: Path, site: Site) -> None:
    host, port = site.zproxy.listeners["https"]
    report = tmp_path / "report.xml"
    command = [H2SPEC, "--strict", "--tls", "--insecure", "--host", host, "--port", str(port), "--path", "/h2spec"]
    command += ["--timeout", "5", "--junit-report", report]
    with site.answering("/h2spec", says(200, b"some octets")):
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=110)
    cases = list(ET.parse(report).iter("testcase"))
    failed = {name(case): case for case in cases if case.find("failure") is not None or case.find("error") is not None}
    assert len(cases) > 100, done.stdout
    assert set(failed) == set(KNOWN), done.stdout[-8000:]


def name(case: ET.Element) -> str:
    return f"{case.get('package')}: {case.get('classname')}"
