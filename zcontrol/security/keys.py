"""Where an issuer's keys come from: a file, read again when it changes, or a URL, fetched again in time."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import structlog

from zcontrol.errors import OAuthKeysError, OAuthUnavailableError
from zcontrol.file_state import file_state
from zcontrol.security.endpoint import Endpoint
from zcontrol.security.jwks import Key, choose, parse_keys

log = structlog.get_logger(__name__)

# Keys that nobody could fetch again for so long may have been withdrawn long ago; as routes' hard TTL.
FORGET_SECONDS: Final = 24 * 3600.0


class Keys(ABC):
    """The keys of one issuer."""

    @abstractmethod
    def generation(self) -> int:
        """Another one whenever the keys are others, so that what those before proved is proved again; cheap to ask."""

    @abstractmethod
    async def find(self, kid: str, algorithm: str) -> Key | None:
        """The key of a token's header; none: the issuer has no such key. Raises `OAuthUnavailableError`."""

    @abstractmethod
    def go_on_from(self, before: "Keys") -> None:
        """Take the place of another that has the same source; what those keys proved stays proved."""

    async def probe(self) -> None:  # noqa: B027 - a file is there
        """Fetch what is to be fetched."""

    async def close(self) -> None:  # noqa: B027 - a file holds nothing
        """Stop fetching."""


@final
class FileKeys(Keys):
    """Keys in a file; a bad one keeps those before in force."""

    def __init__(self, path: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read the file; raises `OAuthKeysError` if it cannot be used."""
        self._path: Final = Path(path)
        self._monotonic = monotonic
        self._looked = monotonic()
        self._seen = file_state(self._path)
        self._keys = _read(self._path)
        self._generation = 0

    def generation(self) -> int:
        """One more for each changed file that could be used."""
        if self._monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = self._monotonic()
            self._look()
        return self._generation

    def go_on_from(self, before: Keys) -> None:
        """Another generation only if the file is another."""
        if isinstance(before, FileKeys):
            self._generation = before.generation() + (self._keys != before.keys)

    @property
    def keys(self) -> tuple[Key, ...]:
        """Those in force."""
        return self._keys

    async def find(self, kid: str, algorithm: str) -> Key | None:
        """The file is all there is."""
        return choose(self._keys, kid, algorithm)

    def _look(self) -> None:
        state = file_state(self._path)
        if state == self._seen:
            return
        # Also when it turns out bad: it is told once, and read again when it changes again.
        self._seen = state
        try:
            self._keys = _read(self._path)
        except OAuthKeysError as error:
            log.warning("the JWKS file is bad, the keys before stay in force: mend it", reason=str(error))
        else:
            self._generation += 1
            log.info("JWKS file loaded", path=str(self._path), keys=len(self._keys))


@final
class UrlKeys(Keys):
    """Keys at a URL: fetched ahead of need, and at once for a name that is not among them, but not again and again."""

    def __init__(self, endpoint: Endpoint, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._endpoint: Final = endpoint
        self._monotonic = monotonic
        self.known = _Known()
        # When keys were to be fetched last, and why there are none from then.
        self._tried = -FORGET_SECONDS
        self._failure = ""
        self._fetching: asyncio.Task[None] | None = None

    def generation(self) -> int:
        """One more for each answer that differs; what is old is fetched again in the background."""
        if self.known.keys and self._monotonic() - self.known.fetched >= REFRESH_SECONDS:
            self._fetch()
        return self.known.generation

    def go_on_from(self, before: Keys) -> None:
        """Take its keys: the issuer's server may be down just now."""
        if isinstance(before, UrlKeys):
            self.known = before.known

    async def probe(self) -> None:
        """Fetch the keys before the first login asks for them."""
        if not self.known.keys and (fetching := self._fetch()):
            await asyncio.wait([fetching])

    async def find(self, kid: str, algorithm: str) -> Key | None:
        """Look among the keys that are known, then ask the issuer for new ones."""
        fresh = self._monotonic() - self.known.fetched < FORGET_SECONDS
        if fresh and (key := choose(self.known.keys, kid, algorithm)):
            return key
        if fetching := self._fetch():
            # Several wait for the same, and one who leaves must not take it from the others.
            await asyncio.wait([fetching])
        if self._failure:
            raise OAuthUnavailableError(f"cannot fetch the issuer's keys: {self._failure}")
        return choose(self.known.keys, kid, algorithm)

    async def close(self) -> None:
        """Stop fetching."""
        if self._fetching:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        await self._endpoint.close()

    def _fetch(self) -> asyncio.Task[None] | None:
        """The fetch that is under way, or a new one; none: the last one was a moment ago."""
        if self._fetching is None and self._monotonic() - self._tried >= AGAIN_SECONDS:
            self._tried = self._monotonic()
            self._fetching = asyncio.create_task(self._fetch_now(), name="fetch JWKS")
        return self._fetching

    async def _fetch_now(self) -> None:
        try:
            keys = parse_keys(await self._endpoint.ask())
            if keys != self.known.keys:
                log.info("JWKS fetched", endpoint=self._endpoint.name, keys=len(keys))
            generation = self.known.generation + (keys != self.known.keys)
            self.known, self._failure = _Known(keys, generation, self._monotonic()), ""
        except OAuthKeysError as error:
            self._failure = f"{self._endpoint.name}: {error}"
            log.warning("the issuer's JWKS is bad, the keys before stay in force", reason=self._failure)
        except OAuthUnavailableError as error:
            self._failure = str(error)
        finally:
            self._fetching = None


@final
@dataclass(frozen=True, slots=True)
class _Known:
    """The keys that were fetched last, and when."""

    keys: tuple[Key, ...] = ()
    generation: int = 0
    fetched: float = -FORGET_SECONDS


def _read(path: Path) -> tuple[Key, ...]:
    try:
        return parse_keys(path.read_bytes())
    except OSError as error:
        mend = "create it, or mend the path" if isinstance(error, FileNotFoundError) else "make it readable for us"
        raise OAuthKeysError(f"{path}: {error.strerror}: {mend}") from error
    except OAuthKeysError as error:
        raise OAuthKeysError(f"{path}: {error}") from error


# A file is looked at once in so long, not at each login.
LOOK_SECONDS: Final = 1.0
REFRESH_SECONDS: Final = 600.0
# Between two fetches: whoever invents names of keys causes no more.
AGAIN_SECONDS: Final = 10.0
