"""Loopback addresses for servers that cannot report which port they were given.

Such a server gets an address of its own and fixed ports on it; 127.0.0.0/8 has room for a random draw never to collide.
"""

import random


def own_address() -> str:
    """Draw an address of 127.0.0.0/8, not of 127.0.0.0/16, where people put theirs."""
    # Not from a generator that somebody seeds: several runs on one machine must differ.
    draw = random.SystemRandom().randint
    return f"127.{draw(1, 254)}.{draw(0, 255)}.{draw(1, 254)}"
