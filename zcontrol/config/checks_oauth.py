"""What `[verify.oauth]` must satisfy beyond its types: whoever forges a token that it takes is anybody he likes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zcontrol.address import is_loopback_url
from zcontrol.config.checks_shared import check_ca_file, check_positive, url_problem
from zcontrol.errors import OAuthKeysError
from zcontrol.fault import Fault, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zcontrol.v1 import config_pb2


def check_oauth(oauth: config_pb2.VerifyOAuth) -> Iterator[Fault]:
    """Every fault, with paths below `verify.oauth`."""
    by = oauth.WhichOneof("by")
    if by is None:
        yield Fault(path="", problem="what tells good tokens? set jwks_file, jwks_url or introspection")
    elif by == "introspection":
        yield from (fault.below(by) for fault in _check_introspection(oauth.introspection))
        yield from _check_asked(oauth)
    else:
        yield from _check_signed(oauth)
    for index, name in enumerate(oauth.algorithms):
        if name not in ALGORITHMS:
            problem = f"not a signature that we take; write some of {', '.join(ALGORITHMS)}"
            yield Fault(path=f"algorithms[{index}]", found=shown(name), problem=problem)
    yield from check_ca_file(oauth.ca_file)
    yield from check_positive("timeout", oauth.timeout, example="3s")
    if not 0 <= oauth.leeway.ToMilliseconds() <= LONGEST_LEEWAY_MS:
        found = shown(oauth.leeway.ToJsonString())
        yield Fault(path="leeway", found=found, problem='lets expired tokens in; write at most "5m"')


def _check_signed(oauth: config_pb2.VerifyOAuth) -> Iterator[Fault]:
    if oauth.jwks_file and (problem := _file_problem(Path(oauth.jwks_file))):
        yield Fault(path="jwks_file", found=shown(oauth.jwks_file), problem=problem)
    if oauth.jwks_url and (problem := _url_problem(oauth.jwks_url)):
        yield Fault(path="jwks_url", found=shown(oauth.jwks_url), problem=problem)
    if not oauth.issuer:
        yield Fault(path="issuer", problem="missing; write what the issuer's tokens have in iss")
    if not any(oauth.audiences):
        # A token that he was given for any other service would open his mail.
        yield Fault(path="audiences", problem="missing; write what tokens for your mail service have in aud")


def _file_problem(path: Path) -> str:
    from zcontrol.security.jwks import parse_keys  # noqa: PLC0415 - cryptography is only for who has keys

    if not path.is_file():
        return "no such file; save the issuer's JWKS there"
    try:
        parse_keys(path.read_bytes())
    except (OSError, OAuthKeysError) as error:
        return str(error)
    return ""


def _check_asked(oauth: config_pb2.VerifyOAuth) -> Iterator[Fault]:
    if not any(oauth.audiences) and not any(oauth.scopes):
        problem = "missing, and scopes too: a token for any other service would do; set one of them"
        yield Fault(path="audiences", problem=problem)
    if oauth.algorithms:
        yield Fault(
            path="algorithms", problem="means nothing with introspection, where the issuer checks; leave it out"
        )


def _check_introspection(asked: config_pb2.Introspection) -> Iterator[Fault]:
    if not asked.url:
        yield Fault(path="url", problem="missing; write the issuer's introspection endpoint, https://…")
    elif problem := _url_problem(asked.url):
        yield Fault(path="url", found=shown(asked.url), problem=problem)
    if bool(asked.client_id) == bool(asked.bearer_token):
        what = "both are set; keep one" if asked.client_id else "missing; set it and client_secret, or bearer_token"
        yield Fault(path="client_id", problem=f"who are we there? {what}")
    elif bool(asked.client_id) != bool(asked.client_secret):
        absent = "client_secret" if asked.client_id else "client_id"
        yield Fault(path=absent, problem="missing; client_id and client_secret go together")
    token = asked.bearer_token
    if not (token.isprintable() and token.isascii()) or token.strip() != token:
        yield Fault(path="bearer_token", problem="not what a header can carry; write printable ASCII")


def _url_problem(url: str) -> str:
    if problem := url_problem(url):
        return problem
    if urlsplit(url).scheme != "https" and not is_loopback_url(url):
        return "whoever sits in between could say what he likes; write https://"
    return ""


# Those of zcontrol.security.jwks, which is not loaded for who has no use for it.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LONGEST_LEEWAY_MS = 5 * 60 * 1000
