"""`[verify]` in the config: what would let nobody in, or the wrong ones, is a fault with its mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zcontrol.config import ConfigError, Role, load
from zcontrol.fault import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from zcontrol.v1 import config_pb2

LDAP = """
[directory.ldap]
urls = ["ldap://127.0.0.1"]
base = "dc=example"
"""
BIND = "[verify.ldap]\nbind = true\n"


def read(path: Path, text: str, role: Role = Role.CONTROL) -> config_pb2.Config:
    file = path / "zproxy.toml"
    file.write_text(f'state_directory = "{path}"\n{text}')
    return load(file, role)


def faults(path: Path, text: str, role: Role = Role.CONTROL) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(path, text, role)
    assert all(isinstance(fault, Fault) for fault in caught.value.faults)
    return [str(fault) for fault in caught.value.faults]


def test_binds_have_their_defaults(tmp_path: Path) -> None:
    binds = read(tmp_path, LDAP + BIND).verify.ldap
    assert (binds.connections, binds.waiting, binds.timeout.ToSeconds()) == (8, 1000, 3)


@pytest.mark.parametrize(
    ("directory", "binds", "told"),
    [
        ('directory.file.path = "{path}/a.csv"\n', BIND, "verify.ldap.bind = true: accounts of this directory are no"),
        (
            LDAP.replace("127.0.0.1", "10.0.0.1") + 'tls = "off"\n',
            BIND,
            "would send passwords to ldap://10.0.0.1 in cl",
        ),
        (LDAP, BIND + "connections = 257\n", "verify.ldap.connections = 257: a thread each; write at most 256"),
        (LDAP, BIND + 'timeout = "0s"\n', 'verify.ldap.timeout = "0s": must be more than nothing'),
        (LDAP, BIND + "bnid = true\n", "verify.ldap.bnid: no such key; did you mean `bind`?"),
        (LDAP, "[verify.ldap]\nconnections = 4\n", "verify.ldap.bind: not set, so that nothing is proved; write bind"),
    ],
)
def test_a_bind_that_cannot_be_is_a_fault(tmp_path: Path, directory: str, binds: str, told: str) -> None:
    (tmp_path / "a.csv").write_text("account\n")
    [fault] = faults(tmp_path, directory.replace("{path}", str(tmp_path)) + binds)
    assert fault.startswith(told) or told in fault


@pytest.mark.parametrize("url", ["ldaps://10.0.0.1", "ldap://10.0.0.1", "ldap://localhost"])
def test_a_bind_over_tls_or_loopback_is_fine(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, LDAP.replace("ldap://127.0.0.1", url) + BIND).verify.ldap.bind


KEYS = """
[verify.oauth]
jwks_url = "https://login.example/keys"
issuer = "https://login.example"
audiences = ["mail"]
"""
ASK = """
[verify.oauth]
audiences = ["mail"]
introspection = { url = "https://login.example/introspect", client_id = "zproxy", client_secret = "${SECRET}" }
"""


def test_oauth_has_its_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oauth = read(tmp_path, LDAP + KEYS).verify.oauth
    assert (oauth.leeway.ToSeconds(), oauth.timeout.ToSeconds()) == (10, 3)
    assert (oauth.account_claim, oauth.cached_tokens) == ("email", 100_000)
    monkeypatch.setenv("SECRET", "from the environment")
    assert read(tmp_path, LDAP + ASK).verify.oauth.introspection.client_secret == "from the environment"


@pytest.mark.parametrize(
    ("oauth", "before", "after", "told"),
    [
        (KEYS, 'jwks_url = "https://login.example/keys"', "", "verify.oauth: what tells good tokens? set jwks_file"),
        (KEYS, "issuer", 'jwks_file = "x"\nissuer', "verify.oauth: jwks_file and jwks_url are both set; keep one"),
        (KEYS, "https://login.example/keys", "http://login.example/keys", "jwks_url = "),
        (KEYS, "https://login.example/keys", "https://a:b@login.example/", "only scheme, host, port, path and query"),
        (KEYS, 'jwks_url = "https://login.example/keys"', 'jwks_file = "/nowhere"', "save the issuer's JWKS there"),
        (KEYS, 'jwks_url = "https://login.example/keys"', 'jwks_file = "{path}/zproxy.toml"', "no JWKS"),
        (KEYS, 'issuer = "https://login.example"', "", "verify.oauth.issuer: missing"),
        (KEYS, '"mail"', "", "verify.oauth.audiences: missing; write what tokens for your mail service have in aud"),
        (KEYS, '"mail"', '""', "verify.oauth.audiences: missing"),
        (KEYS, "issuer", 'algorithms = ["none"]\nissuer', 'algorithms[0] = "none": not a signature that we take'),
        (KEYS, "issuer", 'algorithms = ["HS256"]\nissuer', 'algorithms[0] = "HS256": not a signature'),
        (KEYS, "issuer", 'leeway = "10m"\nissuer', "lets expired tokens in"),
        (KEYS, "issuer", 'timeout = "0s"\nissuer', "verify.oauth.timeout"),
        (KEYS, "issuer", 'ca_file = "/nowhere"\nissuer', "verify.oauth.ca_file"),
        (ASK, "https://login", "http://login", "verify.oauth.introspection.url"),
        (ASK, 'audiences = ["mail"]', "", "and scopes too: a token for any other service would do"),
        (ASK, "audiences", 'algorithms = ["RS256"]\naudiences', "means nothing with introspection"),
        (ASK, ', client_id = "zproxy", client_secret = "${SECRET}"', "", "who are we there?"),
        (ASK, ', client_secret = "${SECRET}"', "", "client_id and client_secret go together"),
        (ASK, "https://login.example/introspect", "https://login.example/in spect", "write them as %20"),
        (ASK, "client_id", 'bearer_token = "x", client_id', "both are set; keep one"),
        (ASK, 'client_id = "zproxy", client_secret = "${SECRET}"', 'bearer_token = "x "', "what a header can carry"),
    ],
)
def test_oauth_that_would_take_any_token_or_none_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oauth: str, before: str, after: str, told: str
) -> None:
    monkeypatch.setenv("SECRET", "s")
    assert before in oauth
    [fault] = faults(tmp_path, LDAP + oauth.replace(before, after.replace("{path}", str(tmp_path))))
    assert told in fault


BACKEND = """
[[backends]]
name = "mbox-1"
host = "127.0.0.2"
endpoints.imap = { port = 143, login_style = "verify_then_master" }
"""


def test_a_style_that_needs_a_verifier_is_refused_without_one(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, LDAP + BACKEND)
    assert fault.startswith('backends[0].endpoints.imap.login_style = "verify_then_master": nothing proves a client')


@pytest.mark.parametrize(
    ("endpoint", "masters", "told"),
    [
        ("", "", "which master user logs in there? add one as [[master_users]]"),
        ('master_user = "al"', "", ' = "al": no such master user; add one as [[master_users]]'),
        ('master_user = "al"', "all", ' = "al": no such master user; write one of all'),
        ("", "all one", "which master user logs in there? write one of all, one"),
    ],
)
def test_a_master_user_that_is_not_there_is_a_fault(tmp_path: Path, endpoint: str, masters: str, told: str) -> None:
    [fault] = faults(tmp_path, with_masters(endpoint, masters), Role.RUN)
    assert fault.startswith("backends[0].endpoints.imap.master_user")
    assert fault.endswith(told)
    # Its edges have files of their own, and say it themselves.
    assert read(tmp_path, with_masters(endpoint, masters))


@pytest.mark.parametrize(("endpoint", "masters"), [("", "all"), ('master_user = "all"', "all one")])
def test_a_master_user_that_is_there_is_none(tmp_path: Path, endpoint: str, masters: str) -> None:
    assert read(tmp_path, with_masters(endpoint, masters), Role.RUN)


def with_masters(endpoint: str, masters: str) -> str:
    users = "".join(f'[[master_users]]\nname = "{name}"\nuser = "x"\npassword = "x"\n' for name in masters.split())
    way = f'port = 143\nlogin_style = "verify_then_master"\n{endpoint}\n'
    return f'{LDAP}{BIND}{users}[[backends]]\nname = "mbox-1"\nhost = "10.0.0.1"\n[backends.endpoints.imap]\n{way}'


def test_zimbra_may_be_searched_from_the_root(tmp_path: Path) -> None:
    assert read(tmp_path, LDAP.replace('base = "dc=example"', 'preset = "zimbra"')).directory.ldap.base == ""
    [fault] = faults(tmp_path, LDAP.replace('base = "dc=example"', ""))
    assert fault.startswith("directory.ldap.base: missing")
