"""What the Python side writes to its log."""

from __future__ import annotations

import logging
import sys

import pytest
import structlog

from zcontrol.logs import configure_logging


@pytest.mark.parametrize("watched", [True, False], ids=["terminal", "file"])
def test_a_traceback_tells_no_local_variable(
    watched: bool,  # noqa: FBT001 - pytest's way
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    configured = structlog.get_config()
    configure_logging()
    bind_password = "open" + " sesame"
    try:
        [][len(bind_password)]
    except IndexError:
        structlog.get_logger(__name__).exception("a search failed")
    structlog.configure(**configured)
    told = capsys.readouterr().err
    assert "IndexError" in told
    assert bind_password not in told
