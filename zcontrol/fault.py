"""One thing wrong with what somebody asked of us: where, what was found, how to mend it.

Shared by the config reader and the pool's rules, so that a seed in the file and a call of the API are told the same.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault at a key; `found` is None where nothing was there or it must not be shown."""

    path: str
    problem: str
    found: str | None = None

    def below(self, parent: str) -> Fault:
        """The same fault, seen from one level up."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return dataclasses.replace(self, path=f"{parent}{joint}{self.path}")

    def __str__(self) -> str:
        """One line for people: the key, what was found, what to do."""
        if self.found is None:
            return f"{self.path}: {self.problem}"
        return f"{self.path} = {self.found}: {self.problem}"


def shown(value: object) -> str:
    """A value as TOML would spell it, cut short: faults are read by people."""
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    text = text.encode("unicode_escape").decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


# Longer values only push the mend off the screen.
_SHOWN = 80
