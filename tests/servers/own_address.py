"""A loopback address of one's own: servers that cannot report a port get fixed ones on it."""

from __future__ import annotations

import random


def own_address() -> str:
    """Draw an address in 127/8; two of them meet once in sixteen million."""
    # Not from a seeded generator: several runs on one machine must differ.
    draw = random.SystemRandom().randint
    return f"127.{draw(1, 254)}.{draw(1, 254)}.{draw(1, 254)}"
