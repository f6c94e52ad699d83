"""What people do in Roundcube, as they do it: by what the page shows them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from playwright.sync_api import TimeoutError as Timeout

from servers.browser import picture
from servers.waiting import until
from zcontrol.demo.accounts import HOSTNAME, PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

URL: Final = f"https://{HOSTNAME}/"
UPLOAD_MS = 60_000
LIST_MS = 2_000
ARRIVAL_SECONDS = 30


class Webmail:
    """A tab with the webmail in it; its pictures are called `name`."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self._name = name

    def open(self) -> str:
        """Go there without being logged in, and return whose form it is."""
        answer = self.page.goto(URL)
        assert answer, URL
        assert answer.status == 200, answer.status
        self.page.locator("#rcmloginuser").wait_for()
        self.keep("form")
        return self.title()

    def log_in(self, account: str, password: str = PASSWORD) -> str:
        """Fill the form in that is shown, and return whose mailbox it opens; empty: none."""
        self.page.locator("#rcmloginuser").fill(account)
        self.page.locator("#rcmloginpwd").fill(password)
        with self.page.expect_navigation():
            self.page.locator("#rcmloginsubmit").click()
        if self.page.locator("#rcmloginuser").is_visible():
            self.keep("refused")
            return ""
        self._await_scripts("logout")
        return self.title()

    def title(self) -> str:
        """Return the name of the server, which is in each page's title."""
        (server,) = re.findall(r"Webmail of (\S+)", self.page.title())[:1]
        return str(server)

    def refusal(self) -> str:
        return self.page.locator("#messagestack .error, #messagestack .warning").first.inner_text()

    def read(self, subject: str) -> str:
        """Open a message, as soon as the mailbox has it, and return its text."""
        until(lambda: self._lists(subject), seconds=ARRIVAL_SECONDS)
        self._subject(subject).dblclick()
        body = self.page.locator("#messagebody")
        body.wait_for()
        self.keep(subject)
        return body.inner_text()

    def attachment(self, into: Path) -> bytes:
        """Download the attachment of the message that is open."""
        with self.page.expect_download(timeout=UPLOAD_MS) as download:
            self.page.locator("#attachment-list a.filename").click()
        download.value.save_as(into)
        return into.read_bytes()

    def send(self, to: str, subject: str, attachment: Path) -> None:
        """Write a message, attach a file, and see it sent."""
        self.page.goto(f"{URL}?_task=mail&_action=compose")
        self._await_scripts("send")
        self.page.locator("#compose_to input").fill(f"{to},")
        self.page.locator("#compose-subject").fill(subject)
        self.page.locator("#composebody").fill("See you.")
        self.page.locator("#uploadform input[type=file]").set_input_files(attachment)
        # It has a name to be removed by as soon as the server has it all.
        self.page.locator("#attachment-list li:not(.uploading) a.delete").wait_for(timeout=UPLOAD_MS)
        self.keep(f"{subject} written")
        # The form is sent from a frame, whose answer leads back to the mailbox.
        with self.page.expect_navigation(url=lambda url: "_action=compose" not in url, timeout=UPLOAD_MS):
            self.page.locator(".formbuttons button.send").click()

    def log_out(self) -> None:
        self._await_scripts("logout")
        self.page.locator("#taskmenu a.logout").click()
        self.page.locator("#rcmloginuser").wait_for()

    def _await_scripts(self, command: str) -> None:
        """Wait until a command does something: before, its button is there and does not."""
        self.page.wait_for_function(f"window.rcmail?.commands?.['{command}'] && !rcmail.busy")

    def _lists(self, subject: str) -> bool:
        """Tell whether the mailbox shows it, and if not look anew.

        At a first login it asks Dovecot twice at once, and one of the two may be told of no mail.
        """
        try:
            self._subject(subject).wait_for(timeout=LIST_MS)
        except Timeout:
            self.page.goto(f"{URL}?_task=mail")
            return False
        return True

    def _subject(self, subject: str) -> Locator:
        return self.page.locator("#messagelist span.subject a", has_text=subject).first

    def keep(self, what: str) -> None:
        picture(self.page, f"{self._name} {what}")
