"""Servers that only tests of routing need."""

from __future__ import annotations

from servers.memcached import start_memcached
from servers.slapd import start_slapd

__all__ = ["start_memcached", "start_slapd"]
