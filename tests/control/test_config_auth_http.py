"""`directory.auth_http` in a config file: what is filled in, and what is refused with key, value and mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zcontrol.config import ConfigError, Role, load
from zcontrol.directory.check import check_directory
from zcontrol.v1 import config_pb2

if TYPE_CHECKING:
    from pathlib import Path

URL = 'urls = ["http://127.0.0.1:9000/auth"]\n'
VERIFY = 'mode = "verify"\n'


def loaded(directory: Path, keys: str) -> config_pb2.AuthHttpDirectory:
    file = directory / "zproxy.toml"
    file.write_text(f'state_directory = "{directory}/state"\n[directory.auth_http]\n{keys}')
    return load(file, Role.CONTROL).directory.auth_http


def test_what_is_silent_is_filled_in(tmp_path: Path) -> None:
    source = loaded(tmp_path, URL)
    assert (source.timeout.ToSeconds(), source.connections, source.protocol) == (2, 16, "imap")
    assert source.mode == config_pb2.AUTH_HTTP_MODE_LOOKUP


def test_reads_headers_homes_and_texts(tmp_path: Path) -> None:
    source = loaded(
        tmp_path,
        URL
        + 'headers = [{name = "X-Auth-Key", value = "rahasia"}]\n'
        + 'homes = {"10.1.0.0/16" = "old-site", "2001:db8::7" = "six", "a.example" = "a"}\n'
        + 'unknown_statuses = ["Mailbox unavailable"]\n',
    )
    assert (source.headers[0].name, source.headers[0].value) == ("X-Auth-Key", "rahasia")
    assert dict(source.homes) == {"10.1.0.0/16": "old-site", "2001:db8::7": "six", "a.example": "a"}


def test_passwords_go_in_clear_only_where_the_config_says_so(tmp_path: Path) -> None:
    beyond = VERIFY + 'urls = ["http://10.0.0.5/auth"]\n'
    assert loaded(tmp_path, beyond + "plaintext_ok = true\n").plaintext_ok
    assert loaded(tmp_path, VERIFY + 'urls = ["https://10.0.0.5/auth"]\n').urls
    with pytest.raises(ConfigError, match="passwords would cross the network in clear; write https://"):
        loaded(tmp_path, beyond)


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ("", "urls", "missing; write at least one"),
        ('urls = ["ldap://h/"]', "urls[0]", "not an HTTP URL"),
        ('urls = ["http://h:0/"]', "urls[0]", "not a port"),
        ('urls = ["http://h:99999/"]', "urls[0]", "out of range"),
        ('urls = ["http:///x"]', "urls[0]", "not an IP address or DNS name"),
        ('urls = ["http://h/a b"]', "urls[0]", "write them as %20"),
        ('urls = ["http://h/masuk\u00e9"]', "urls[0]", "write them as %20"),
        ('urls = ["http://me:secret@h/"]', "urls[0]", "a secret goes into headers"),
        (URL + 'ca_file = "/nowhere.pem"', "ca_file", "no such file"),
        (URL + 'timeout = "0s"', "timeout", "must be more than nothing"),
        (URL + 'headers = [{value = "x"}]', "headers[0].name", "not a header's name"),
        (URL + 'headers = [{name = "A:b", value = "x"}]', "headers[0].name", "not a header's name"),
        (URL + 'headers = [{name = "Auth-Pass", value = "x"}]', "headers[0].name", "is said by zproxy itself"),
        (URL + 'headers = [{name = "X-Key"}]', "headers[0].value", "missing"),
        (
            URL + 'headers = [{name = "X-Key", value = "a\\r\\nb"}]',
            "headers[0].value",
            "not what a header can carry",
        ),
        (URL + 'homes = {"10.1.0.1/16" = "x"}', 'homes."10.1.0.1/16"', "has host bits set"),
        (URL + 'homes = {"a b" = "x"}', 'homes."a b"', "no address, network or host name"),
        (URL + 'homes = {"10.1.0.1" = ""}', 'homes."10.1.0.1"', "missing; write the name of a backend"),
        (URL + 'unknown_statuses = [" "]', "unknown_statuses[0]", "would be found in every answer"),
        (URL + 'temporary_statuses = ["x"]', "temporary_statuses", 'means nothing in mode "lookup"'),
        (URL + "plaintext_ok = true", "plaintext_ok", 'means nothing in mode "lookup"'),
        (URL + VERIFY + 'unknown_statuses = ["x"]', "unknown_statuses", 'means nothing in mode "verify"'),
        (URL + VERIFY + 'protocol = "pop3"', "protocol", 'means nothing in mode "verify"'),
        (URL + 'protocol = "i map"', "protocol", "not an Auth-Protocol"),
    ],
)
def test_names_key_value_and_mend(tmp_path: Path, keys: str, path: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, keys)
    faults = {fault.path: str(fault) for fault in caught.value.faults}
    assert told in faults[f"directory.auth_http.{path}"]


def test_a_style_that_needs_a_proof_has_none_in_lookup_mode(tmp_path: Path) -> None:
    backend = (
        '[[backends]]\nname = "mbox-1"\nhost = "10.0.0.1"\n'
        'endpoints.imap = {port = 143, login_style = "verify_then_master"}\n'
    )
    assert loaded(tmp_path, URL + VERIFY + backend)
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, URL + backend)
    [fault] = caught.value.faults
    assert fault.path == "backends[0].endpoints.imap.login_style"


def test_a_secret_header_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, URL + 'headers = [{name = "X-Key", value = "tiga\\trahasia"}]')
    assert "rahasia" not in str(caught.value)


def test_what_is_a_fault_is_not_opened_to_see_what_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "zproxy.toml"
    homes = 'homes = {"10.0.0.0/33" = "old-site"}\n'
    file.write_text(f'state_directory = "{tmp_path}/state"\n[directory.auth_http]\n{URL}{homes}')
    with pytest.raises(ConfigError) as caught:
        load(file, Role.CONTROL, directory_check=check_directory)
    [fault] = caught.value.faults
    assert fault.path == 'directory.auth_http.homes."10.0.0.0/33"'


@pytest.mark.parametrize("protocol", ["mx", "lmtp"])
def test_mail_needs_a_directory_that_knows_who_does_not_log_in(tmp_path: Path, protocol: str) -> None:
    file = tmp_path / "zproxy.toml"
    listener = f'listeners = [{{ protocol = "{protocol}" }}]\n'
    file.write_text(f'state_directory = "{tmp_path}/state"\n{listener}[directory.auth_http]\n{URL}{VERIFY}')
    with pytest.raises(ConfigError) as caught:
        load(file, Role.RUN)
    [fault] = caught.value.faults
    assert str(fault).startswith(f'listeners[0].protocol = "{protocol}": directory.auth_http in mode verify ')
