"""What control assumes where the config is silent, in one place; the edge fills its own part in itself.

The values are documented at the fields of config.proto.
"""

from __future__ import annotations

from datetime import timedelta

from zcontrol.address import is_loopback_url
from zcontrol.v1 import config_pb2


def fill_defaults(config: config_pb2.Config) -> None:
    """Set every unset field that control reads and that has a default."""
    if not config.api.address and config.state_directory:
        config.api.address = usual_api_address(config.state_directory)
    _fill_api(config.api)
    _fill_cache(config.cache)
    if config.HasField("nginx_lookup") and not config.nginx_lookup.HasField("wait"):
        config.nginx_lookup.wait.FromTimedelta(timedelta(seconds=3))
    if not config.ticket_keys.HasField("rotation"):
        config.ticket_keys.rotation.FromTimedelta(timedelta(hours=12))
    if not config.cookie_keys.HasField("rotation"):
        config.cookie_keys.rotation.FromTimedelta(timedelta(weeks=1))
    if config.directory.WhichOneof("source") == "ldap":
        _fill_ldap(config.directory.ldap)
    elif config.directory.WhichOneof("source") == "auth_http":
        _fill_auth_http(config.directory.auth_http)
    if config.verify.ldap.bind:
        _fill_binds(config.verify.ldap)
    if config.verify.HasField("oauth"):
        _fill_oauth(config.verify.oauth)


def usual_api_address(state_directory: str) -> str:
    """Where the API is if nothing else is said."""
    return f"unix:{state_directory.rstrip('/')}/api.sock"


def _fill_api(api: config_pb2.Api) -> None:
    api.limits.message = api.limits.message or 2**20
    api.limits.streams = api.limits.streams or 100
    api.limits.calls = api.limits.calls or 50
    api.audit.changes = api.audit.changes or 100_000
    api.audit.refusals = api.audit.refusals or 10_000


def _fill_cache(cache: config_pb2.Cache) -> None:
    given = {field.name for field, _ in cache.ListFields()}
    for name, default in _CACHE_TIMES.items():
        if name not in given:
            getattr(cache, name).FromTimedelta(default)
    cache.entries = cache.entries or 1_000_000


def _fill_ldap(ldap: config_pb2.LdapDirectory) -> None:
    if not ldap.HasField("timeout"):
        ldap.timeout.FromTimedelta(timedelta(seconds=2))
    ldap.connections = ldap.connections or 4
    ldap.preset = ldap.preset or config_pb2.LDAP_PRESET_GENERIC
    ldap.domain_base = ldap.domain_base or ldap.base
    if not ldap.tls and any(not is_loopback_url(url) for url in ldap.urls if url.startswith("ldap://")):
        ldap.tls = config_pb2.LDAP_TLS_STARTTLS


def _fill_auth_http(source: config_pb2.AuthHttpDirectory) -> None:
    if not source.HasField("timeout"):
        source.timeout.FromTimedelta(timedelta(seconds=2))
    source.connections = source.connections or 16
    source.mode = source.mode or config_pb2.AUTH_HTTP_MODE_LOOKUP
    if source.mode == config_pb2.AUTH_HTTP_MODE_LOOKUP:
        source.protocol = source.protocol or "imap"


def _fill_binds(binds: config_pb2.VerifyLdap) -> None:
    if not binds.HasField("timeout"):
        binds.timeout.FromTimedelta(timedelta(seconds=3))
    binds.connections = binds.connections or 8
    binds.waiting = binds.waiting or 1000


def _fill_oauth(oauth: config_pb2.VerifyOAuth) -> None:
    if not oauth.HasField("leeway"):
        oauth.leeway.FromTimedelta(timedelta(seconds=10))
    if not oauth.HasField("timeout"):
        oauth.timeout.FromTimedelta(timedelta(seconds=3))
    oauth.account_claim = oauth.account_claim or "email"
    oauth.cached_tokens = oauth.cached_tokens or 100_000


_CACHE_TIMES: dict[str, timedelta] = {
    "timeout": timedelta(milliseconds=100),
    "soft_ttl": timedelta(minutes=10),
    "hard_ttl": timedelta(hours=24),
    "negative_ttl": timedelta(seconds=30),
}
