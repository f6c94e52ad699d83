"""`nginx_lookup` in a config file: what is refused with key, value and mend, and what must be said in so many words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zcontrol.config import ConfigError, Role, load

if TYPE_CHECKING:
    from pathlib import Path

    from zcontrol.v1 import config_pb2

HERE = 'address = "127.0.0.1:7072"\n'
BEYOND = 'address = "10.0.0.5:7072"\n'
SECRET = 'secret = "0123456789abcdef"\n'
CALLERS = 'callers = ["10.0.0.0/24"]\n'


def loaded(directory: Path, keys: str) -> config_pb2.NginxLookup:
    (directory / "accounts.toml").touch()
    (directory / "pem").touch()
    file = directory / "zproxy.toml"
    file.write_text(
        f'state_directory = "{directory}/state"\ndirectory.file.path = "{directory}/accounts.toml"\n'
        f"[nginx_lookup]\n{keys.replace('DIR', str(directory))}"
    )
    return load(file, Role.CONTROL).nginx_lookup


@pytest.mark.parametrize(
    "keys",
    [
        HERE,
        'address = "[::1]:0"\n',
        BEYOND + SECRET + "plaintext_ok = true",
        BEYOND + CALLERS + 'certificate_file = "DIR/pem"\nkey_file = "DIR/pem"',
        HERE + SECRET + 'header_name = "X-NGX-Key"\nports = {imap = 143, pop3ssl = 7995}\nwait = "0s"',
    ],
)
def test_takes_what_is_safe_or_said_in_so_many_words(tmp_path: Path, keys: str) -> None:
    assert loaded(tmp_path, keys).wait.ToSeconds() == (0 if "wait" in keys else 3)


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ("", "address", "missing"),
        ('address = "localhost:1"', "address", "not an address of ours"),
        ('address = "10.0.0.5"', "address", "not host:port"),
        (BEYOND + "plaintext_ok = true", "address", "anybody could ask there"),
        (BEYOND + SECRET, "address", "passwords would cross the network in clear"),
        ('address = "0.0.0.0:7072"', "address", "anybody could ask there"),
        (HERE + 'certificate_file = "DIR/pem"', "key_file", "missing; a certificate and its key go together"),
        (HERE + 'certificate_file = "/nowhere"\nkey_file = "DIR/pem"', "certificate_file", "no such file"),
        (HERE + 'callers = ["10.0.0.1/8"]', "callers[0]", "has host bits set"),
        (HERE + 'secret = "short"', "secret", "shorter than 16 octets"),
        (HERE + 'secret = "0123456789abcdef\\n"', "secret", "not what a header can carry"),
        (HERE + SECRET + 'header_name = "a:b"', "header_name", "not a header's name"),
        (HERE + 'header_name = "X-Key"', "header_name", "means nothing without secret"),
        (HERE + "ports = {imaps = 993}", "ports.imaps", "no such Auth-Protocol; one of imap, imapssl"),
        (HERE + "ports = {imap = 0}", "ports.imap", "not a port"),
        (HERE + 'wait = "1.5s"', "wait", "write whole seconds"),
        (HERE + 'wait = "2h"', "wait", 'at most "3600s"'),
    ],
)
def test_names_key_value_and_mend(tmp_path: Path, keys: str, path: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, keys)
    faults = [str(fault) for fault in caught.value.faults if fault.path == f"nginx_lookup.{path}"]
    assert any(told in fault for fault in faults), caught.value
    assert "0123456789abcdef" not in str(caught.value)
