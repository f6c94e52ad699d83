"""What only tests of reading mail need."""

from __future__ import annotations

from servers.auth_script import visit_by_script

__all__ = ["visit_by_script"]
