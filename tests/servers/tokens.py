"""An authorization server's tokens: JWTs (RFC 7519) signed by a key of the run, and what makes others trust it."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from jwt.algorithms import RSAAlgorithm

if TYPE_CHECKING:
    from collections.abc import Iterator

MECHANISMS: Final = ("XOAUTH2", "OAUTHBEARER")
ISSUER: Final = "https://login.example"
AUDIENCE: Final = "mail"
LIFETIME_SECONDS: Final = 3600


class TokenIssuer:
    """Signs whatever it is asked to; `dovecot_lines` make a mailbox server check its tokens, `jwks_file` a verifier."""

    def __init__(self, directory: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        keys = directory / "keys" / "default" / "RS256"
        keys.mkdir(parents=True)
        (keys / "default").write_bytes(
            self._key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        setting = directory / "oauth2.conf"
        setting.write_text(PASSDB.format(keys=directory / "keys", issuer=ISSUER))
        self.dovecot_lines = LINES.format(setting=setting)
        self.jwks_file = directory / "jwks.json"
        key = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self.jwks_file.write_text(json.dumps({"keys": [key]}))

    def token(self, account: str, *, valid_for: float = LIFETIME_SECONDS) -> str:
        """Sign a token for an account; with a negative time it has run out."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": account, "email": account, "iat": now - 7200}
        claims["exp"] = int(now + valid_for)
        signed = f"{_encoded({'alg': 'RS256', 'typ': 'JWT'})}.{_encoded(claims)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64url(signature)}"


def message(mechanism: str, account: str, token: str) -> bytes:
    """Return what a client says by the mechanism, before base64."""
    if mechanism == "XOAUTH2":
        return f"user={account}\x01auth=Bearer {token}\x01\x01".encode()
    escaped = account.replace("=", "=3D").replace(",", "=2C")
    return f"n,a={escaped},\x01host=mail.example\x01port=993\x01auth=Bearer {token}\x01\x01".encode()


def dismissal(mechanism: str) -> bytes:
    """Return what a client answers to an error object, before base64."""
    return b"" if mechanism == "XOAUTH2" else b"\x01"


@pytest.fixture(scope="session")
def issuer() -> Iterator[TokenIssuer]:
    # Not below pytest's own directory, which nobody but its owner may enter: as root, Dovecot runs as another user.
    directory = Path(tempfile.mkdtemp(prefix="zproxy-tokens-"))
    directory.chmod(0o755)
    yield TokenIssuer(directory)
    shutil.rmtree(directory)


def _encoded(part: dict[str, object]) -> str:
    return _base64url(json.dumps(part).encode())


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


PASSDB: Final = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={keys}/
issuers = {issuer}
username_attribute = email
openid_configuration_url = {issuer}/.well-known/openid-configuration
"""
LINES: Final = """\
# Its own delay of a second refusal is not what a test waits for.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
auth_mechanisms = plain login xoauth2 oauthbearer
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {setting}
}}
"""
