"""Seals: what keeps routes in memcached ours.

Keys are keyed hashes, so that a name cannot steer them; values carry a keyed MAC over cache key, times and route, so
that whoever can write to memcached can at worst cause misses, or replay an unexpired answer to the same question.
"""

import struct
from hashlib import blake2b
from hmac import compare_digest
from typing import Final, final

from zcontrol.routing.cache import Entry

KEY_OCTETS: Final = 24
MAC_OCTETS: Final = 16
# A route with a thousand accounts to act as; what is longer was not written by us, and is not written.
VALUE_OCTETS: Final = 64 * 1024


@final
class Seal:
    """Derives what replicas share from the one secret that they are given."""

    def __init__(self, secret: str) -> None:
        # The format's version is part of what keys are derived for: a new format has new keys.
        self._naming = blake2b(key=_derived(secret, b"zproxy-name-1"), digest_size=KEY_OCTETS)
        self._sealing = blake2b(key=_derived(secret, b"zproxy-seal-1"), digest_size=MAC_OCTETS)

    def key(self, question: str) -> bytes:
        """The cache key of a canonical question: letters and digits only."""
        hashed = self._naming.copy()
        hashed.update(question.encode())
        return hashed.hexdigest().encode()

    def seal(self, key: bytes, entry: Entry) -> bytes | None:
        """The value to store under that key; none: too long to be stored."""
        body = _TIMES.pack(entry.epoch, entry.looked_up, entry.soft, entry.hard) + entry.route
        return self._mac(key, body) + body if len(body) <= VALUE_OCTETS else None

    def unseal(self, key: bytes, value: bytes) -> Entry | None:
        """The entry that was sealed under that key; none: anything else."""
        body = value[MAC_OCTETS:]
        if not _TIMES.size <= len(body) <= VALUE_OCTETS or not compare_digest(value[:MAC_OCTETS], self._mac(key, body)):
            return None
        epoch, looked_up, soft, hard = _TIMES.unpack_from(body)
        return Entry(epoch, looked_up, soft, hard, body[_TIMES.size :])

    def _mac(self, key: bytes, body: bytes) -> bytes:
        hashed = self._sealing.copy()
        # Keys have one length, so that key and body cannot be divided in another way.
        hashed.update(key + body)
        return hashed.digest()


def _derived(secret: str, purpose: bytes) -> bytes:
    return blake2b(secret.encode(), person=purpose, digest_size=32).digest()


_TIMES: Final = struct.Struct(">Qddd")
