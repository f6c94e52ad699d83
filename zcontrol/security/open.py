"""From the config to what verifies, as `zproxy control` opens it at start and at each reload."""

from zcontrol.directory.ldap_binds import Binds
from zcontrol.routing.resolver import Resolver
from zcontrol.security.auth_http import AuthHttpVerifier
from zcontrol.security.ldap_bind import LdapBindVerifier
from zcontrol.security.verify import Verifier, Verifiers
from zcontrol.v1 import config_pb2


def open_verifiers(config: config_pb2.Config, resolver: Resolver, *, before: Verifiers | None = None) -> Verifiers:
    """What this config lets verify, by the names and the directory of its resolver; to take another's place."""
    tokens = _tokens(config, resolver, before.tokens if before else None)
    return Verifiers(passwords=_passwords(config, resolver), tokens=tokens)


def _passwords(config: config_pb2.Config, resolver: Resolver) -> Verifier | None:
    if config.directory.auth_http.mode == config_pb2.AUTH_HTTP_MODE_VERIFY:
        return AuthHttpVerifier.of(resolver.directory)
    if config.verify.ldap.bind:
        return LdapBindVerifier(resolver, Binds(config.directory.ldap, config.verify.ldap))
    return None


def _tokens(config: config_pb2.Config, resolver: Resolver, before: Verifier | None) -> Verifier | None:
    if config.verify.HasField("oauth"):
        from zcontrol.security.open_oauth import open_oauth  # noqa: PLC0415 - HTTP and JWT only for who uses them

        return open_oauth(config.verify.oauth, resolver, before)
    return None
