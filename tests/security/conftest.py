"""Servers that only tests of security need."""

from __future__ import annotations

from servers.slapd import start_slapd

__all__ = ["start_slapd"]
