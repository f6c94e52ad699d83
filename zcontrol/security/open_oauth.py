"""From `[verify.oauth]` to what proves tokens."""

from zcontrol.errors import ZproxyError
from zcontrol.routing.resolver import Resolver
from zcontrol.security.endpoint import Endpoint
from zcontrol.security.introspection import IntrospectedTokens
from zcontrol.security.keys import FileKeys, UrlKeys
from zcontrol.security.oauth import OAuthVerifier, Prover
from zcontrol.security.signed import SignedTokens
from zcontrol.security.verify import Verifier
from zcontrol.v1 import config_pb2


def open_oauth(config: config_pb2.VerifyOAuth, resolver: Resolver, before: Verifier | None = None) -> OAuthVerifier:
    """What proves tokens as configured; raises `ZproxyError` if the config can lead nowhere.

    Where it takes the place of one with the same config, it goes on with what that one knows.
    """
    verifier = OAuthVerifier(config, open_prover(config), resolver)
    if isinstance(before, OAuthVerifier) and before.config == config:
        verifier.go_on_from(before)
    return verifier


def open_prover(config: config_pb2.VerifyOAuth) -> Prover:
    """The issuer's keys, or the way to ask him; connects to nobody yet."""
    match config.WhichOneof("by"):
        case "jwks_file":
            return SignedTokens(FileKeys(config.jwks_file), config.algorithms or DEFAULT_ALGORITHMS)
        case "jwks_url":
            return SignedTokens(UrlKeys(_endpoint(config.jwks_url, config)), config.algorithms or DEFAULT_ALGORITHMS)
        case "introspection":
            return IntrospectedTokens(config.introspection, _endpoint(config.introspection.url, config))
        case _:
            raise ZproxyError("verify.oauth: set jwks_file, jwks_url or introspection")


def _endpoint(url: str, config: config_pb2.VerifyOAuth) -> Endpoint:
    timeout = config.timeout.ToTimedelta().total_seconds() or DEFAULT_TIMEOUT_SECONDS
    return Endpoint(url, ca_file=config.ca_file, timeout_seconds=timeout)


DEFAULT_ALGORITHMS = ("RS256", "ES256", "EdDSA")
DEFAULT_TIMEOUT_SECONDS = 3.0
