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


def read(path: Path, text: str) -> config_pb2.Config:
    file = path / "zproxy.toml"
    file.write_text(f'state_directory = "{path}"\n{text}')
    return load(file, Role.CONTROL)


def faults(path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(path, text)
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
    ],
)
def test_a_bind_that_cannot_be_is_a_fault(tmp_path: Path, directory: str, binds: str, told: str) -> None:
    (tmp_path / "a.csv").write_text("account\n")
    [fault] = faults(tmp_path, directory.replace("{path}", str(tmp_path)) + binds)
    assert fault.startswith(told) or told in fault


@pytest.mark.parametrize("url", ["ldaps://10.0.0.1", "ldap://10.0.0.1", "ldap://localhost"])
def test_a_bind_over_tls_or_loopback_is_fine(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, LDAP.replace("ldap://127.0.0.1", url) + BIND).verify.ldap.bind


BACKEND = """
[[backends]]
name = "mbox-1"
host = "127.0.0.2"
endpoints.imap = { port = 143, login_style = "verify_then_master" }
"""


def test_a_style_that_needs_a_verifier_is_refused_without_one(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, LDAP + BACKEND)
    assert fault.startswith('backends[0].endpoints.imap.login_style = "verify_then_master": nothing proves a client')
