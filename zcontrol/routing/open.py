"""From the config to a resolver, as `zproxy control` opens it at start and at each reload."""

from collections.abc import Callable
from typing import Final

from zcontrol.directory import open_directory
from zcontrol.routing.cache import DEFAULT_ENTRIES, Cache, InProcessCache
from zcontrol.routing.epochs import Epochs
from zcontrol.routing.memcached import MemcachedCache
from zcontrol.routing.resolver import Resolver, Setting
from zcontrol.routing.seal import Seal
from zcontrol.routing.times import Times
from zcontrol.v1 import config_pb2, pool_pb2


def open_resolver(
    config: config_pb2.Config, pool: Callable[[], pool_pb2.Pool], *, before: Resolver | None = None
) -> Resolver:
    """A resolver for this config, not started; one that takes another's place goes on with its epochs and accounts."""
    epochs = before.epochs if before else Epochs()
    setting = Setting(
        pool=pool, names=config.names, mail_domains=config.mail_domains, times=Times.of(config.cache), epochs=epochs
    )
    directory = open_directory(config.directory, before.directory if before else None, pool=pool)
    return Resolver(directory, open_cache(config.cache), setting)


def open_cache(config: config_pb2.Cache) -> Cache:
    """The cache that the config names; the in-process one unless it lists memcached servers."""
    if not config.memcached:
        return InProcessCache(config.entries or DEFAULT_ENTRIES)
    timeout = config.timeout.ToTimedelta().total_seconds() or DEFAULT_TIMEOUT_SECONDS
    return MemcachedCache(config.memcached, seal=Seal(config.seal_key), timeout_seconds=timeout)


# Longer than a healthy server in the same site ever takes, and short enough to be lost before the directory is asked.
DEFAULT_TIMEOUT_SECONDS: Final = 0.1
