"""What comes by a connection, and has not been looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Incoming(ABC):
    """One side of a connection as far as it listens."""

    def __init__(self) -> None:
        self._unread = b""

    def octets(self, count: int) -> bytes:
        """Return so many octets; less at the end of the connection."""
        parts = [self._unread]
        missing = count - len(self._unread)
        while missing > 0 and (got := self._receive()):
            parts.append(got)
            missing -= len(got)
        whole = b"".join(parts)
        self._unread = whole[count:]
        return whole[:count]

    def _read(self) -> bool:
        got = self._receive()
        self._unread += got
        return bool(got)

    @abstractmethod
    def _receive(self) -> bytes:
        """Wait for more; nothing at the end of the connection."""
