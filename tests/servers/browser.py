"""A person's browser: Debian's Chromium, driven by Playwright, that trusts the tests' authority and nobody else.

It believes that one name is at one address, as DNS would tell it, and keeps pictures of what it has shown.
"""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Browser, Page

    from servers.certificates import Authority

CHROMIUM: Final = Path("/usr/bin/chromium")
PICTURES: Final = Path(__file__).parent.parent / "web" / "pictures"
PATIENCE_MS = 30_000
HTTPS = 443


@contextmanager
def browser(directory: Path, authority: Authority, names: Mapping[str, tuple[str, int]]) -> Iterator[Browser]:
    """Start one that finds each name where it is told, by the port that people need not type; it has no other DNS."""
    rules = [f"MAP {name}:{HTTPS} {host}:{port}" for name, (host, port) in names.items()]
    # As root it cannot make the sandbox that is to contain it; nothing strange is shown here.
    arguments = ["--no-sandbox", f"--host-resolver-rules={', '.join(rules)}"]
    _trust(directory, authority)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM, args=arguments, env={**os.environ, "HOME": str(directory)}
        )
        try:
            yield running
        finally:
            running.close()


@contextmanager
def page(running: Browser) -> Iterator[Page]:
    """Open a page in a profile of its own, with no cookies; pytest shows what went wrong there where a test fails."""
    with running.new_context() as profile:
        profile.set_default_timeout(PATIENCE_MS)
        shown = profile.new_page()
        shown.on("requestfailed", lambda request: print(request.method, request.url, request.failure))  # noqa: T201
        shown.on("response", lambda answer: answer.ok or print(answer.status, answer.url))  # noqa: T201
        shown.on("pageerror", lambda error: print(error))  # noqa: T201 PLW0108 - Playwright takes no built-in
        try:
            yield shown
        except BaseException:
            picture(shown, "failed")
            raise


def picture(shown: Page, name: str) -> None:
    """Keep what the page shows."""
    shown.screenshot(path=PICTURES / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.png")


def _trust(directory: Path, authority: Authority) -> None:
    """Make the store of authorities that Chromium reads at its user's home."""
    store = directory / ".pki" / "nssdb"
    store.mkdir(parents=True)
    for arguments in (
        ["-N", "--empty-password"],
        ["-A", "-n", "authority of the tests", "-t", "C,,", "-i", str(authority.ca_file)],
    ):
        done = subprocess.run(
            ["certutil", "-d", f"sql:{store}", *arguments], check=False, capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()
