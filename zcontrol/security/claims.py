"""What a token says of itself, however it came to be believed: signed claims (RFC 7519) or introspected (RFC 7662)."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from zcontrol.errors import TokenRefusedError
from zcontrol.fault import shown
from zcontrol.v1 import config_pb2

Claims = Mapping[str, Any]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A good token: whose it is, as its issuer names him, and until when, in seconds since 1970."""

    name: str
    expires: float


@final
class Rules:
    """What claims must say."""

    def __init__(self, config: config_pb2.VerifyOAuth, *, expiry_required: bool) -> None:
        self._issuer: Final = config.issuer
        self._audiences: Final = frozenset(config.audiences)
        self._scopes: Final = frozenset(config.scopes)
        self._account_claim: Final = config.account_claim or DEFAULT_ACCOUNT_CLAIM
        unset = not config.HasField("leeway")
        self._leeway: Final = DEFAULT_LEEWAY_SECONDS if unset else config.leeway.ToTimedelta().total_seconds()
        self._expiry_required: Final = expiry_required

    def judge(self, claims: Claims, now: float) -> Told:
        """Whose token it is; raises `TokenRefusedError`."""
        expires = self._check_times(claims, now)
        if self._issuer and claims.get("iss") != self._issuer:
            raise TokenRefusedError(f"issued by {shown(claims.get('iss'))}, not by {self._issuer}")
        if self._audiences and not self._audiences & _texts(claims.get("aud")):
            raise TokenRefusedError(f"for the audience {shown(claims.get('aud'))}, not for us")
        if missing := self._scopes - _scopes(claims):
            raise TokenRefusedError(f"without the scope {min(missing)}")
        if claims.get("cnf") is not None:
            # RFC 7800: whoever shows it must also prove to hold a key, which SASL's mechanisms for tokens cannot do.
            raise TokenRefusedError("bound to a key (cnf): no bearer token")
        return Told(name=self._name(claims), expires=expires)

    def _check_times(self, claims: Claims, now: float) -> float:
        expires = _moment(claims, "exp")
        if expires is None:
            if self._expiry_required:
                raise TokenRefusedError("without exp: it would never expire")
            expires = math.inf
        if now >= expires + self._leeway:
            raise TokenRefusedError(f"expired {now - expires:.0f} s ago")
        for claim in ("nbf", "iat"):
            begins = _moment(claims, claim)
            if begins is not None and begins > now + self._leeway:
                raise TokenRefusedError(f"not valid before {begins - now:.0f} s from now ({claim})")
        return expires

    def _name(self, claims: Claims) -> str:
        name = claims.get(self._account_claim)
        if not isinstance(name, str) or not name or not name.isprintable():
            raise TokenRefusedError(f"names nobody: {self._account_claim} is {shown(name)}")
        if self._account_claim == "email" and claims.get("email_verified", True) not in (True, "true"):
            # Many an issuer lets its users write any address there.
            raise TokenRefusedError("names somebody by an email address that its issuer has not verified")
        return name


def _moment(claims: Claims, claim: str) -> float | None:
    """A NumericDate; none: absent. Neither `true` nor `NaN` is one, which would compare as what is convenient."""
    value = claims.get(claim)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LATEST_MOMENT:
        raise TokenRefusedError(f"{claim} is no time: {shown(value)}")
    return float(value)


def _scopes(claims: Claims) -> frozenset[str]:
    """As RFC 8693, 4.2, has them, or as Microsoft and Okta do."""
    return _words(claims.get("scope")) | _words(claims.get("scp"))


def _words(value: object) -> frozenset[str]:
    return frozenset(value.split()) if isinstance(value, str) else _texts(value)


def _texts(value: object) -> frozenset[str]:
    """One string, or those in a list."""
    values = value if isinstance(value, list) else [value]
    return frozenset(text for text in values if isinstance(text, str))


# RFC 6750, 2.1; nothing else is a bearer token.
BEARER: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
DEFAULT_ACCOUNT_CLAIM: Final = "email"
# Clocks kept by NTP differ by less.
DEFAULT_LEEWAY_SECONDS: Final = 10.0
# The year 33658; a double still counts seconds there.
LATEST_MOMENT: Final = 1e12
