"""What the section `api` may say, and how its faults are told."""

# ruff: noqa: ANN401 - a config is of whatever it holds

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from access.conftest import ROLES, write_api
from zcontrol.access.listening import ControlError
from zcontrol.config import ConfigError, Role, load
from zcontrol.config.fixed import changed_until_restart
from zcontrol.server import Control

if TYPE_CHECKING:
    from access.authorities import Office

GROUP = grp.getgrgid(os.getgid()).gr_name


def faults(config_file: Path, api: dict[str, Any]) -> dict[str, str]:
    write_api(config_file, api)
    try:
        load(config_file, Role.CONTROL)
    except ConfigError as error:
        return {fault.path: str(fault) for fault in error.faults}
    return {}


def with_listener(api: dict[str, Any], key: str, **changes: Any) -> dict[str, Any]:
    return api | {key: {name: value for name, value in (api[key] | changes).items() if value is not None}}


def test_a_good_section_has_no_fault(config_file: Path, api: dict[str, Any]) -> None:
    assert faults(config_file, api | {"group": GROUP, "limits": {"message": "2MiB"}}) == {}


@pytest.mark.parametrize(
    ("key", "change", "path", "told"),
    [
        ("tokens", {"address": None}, "address", "missing; write e.g. 0.0.0.0:7411"),
        ("tokens", {"address": "localhost:7411"}, "address", "not an address of ours"),
        ("tokens", {"address": "0.0.0.0"}, "address", "not host:port"),
        ("tokens", {"certificate_file": None}, "certificate_file", "missing; name a PEM file, leaf first"),
        ("tokens", {"key_file": None}, "key_file", "missing; name the key of certificate_file"),
        ("tokens", {"key_file": "/nonexistent"}, "key_file", "No such file or directory; name a PEM file"),
        ("tokens", {"certificate_file": __file__}, "certificate_file", "no certificates in PEM"),
        ("tokens", {"key_file": __file__}, "key_file", "no private key in PEM, without a password"),
        ("certificates", {"client_ca_file": None}, "client_ca_file", "missing; name a PEM bundle"),
        ("certificates", {"client_ca_file": __file__}, "client_ca_file", "no certificates in PEM"),
        ("certificates", {"crl_files": [__file__]}, "crl_files[0]", "no revocation lists in PEM"),
        ("certificates", {"crl_files": ["/nonexistent"]}, "crl_files[0]", "No such file or directory"),
        ("certificates", {"roles": None}, "roles", "missing; say who may do what"),
        ("certificates", {"roles": [{"role": "edge"}]}, "roles[0].names", "missing; write e.g. dns:edge-"),
        ("certificates", {"roles": [{"names": ["cn:a"]}]}, "roles[0].role", 'missing; one of "edge", "viewer"'),
        ("certificates", {"roles": [{"names": ["a"], "role": "edge"}]}, "roles[0].names[0]", '"a": not a kind and'),
        (
            "certificates",
            {"roles": [{"names": ["cn:a"], "role": "root"}]},
            "roles[0].role",
            '"root": not one of "edge"',
        ),
    ],
)
def test_a_fault_of_a_listener_is_told_with_its_mend(
    config_file: Path, api: dict[str, Any], key: str, change: dict[str, Any], path: str, told: str
) -> None:
    found = faults(config_file, with_listener(api, key, **change))
    assert list(found) == [f"api.{key}.{path}"]
    assert told in found[f"api.{key}.{path}"]


def test_a_key_of_another_certificate_is_told(config_file: Path, api: dict[str, Any], office: Office) -> None:
    other = office.issue("dns:other")
    found = faults(config_file, with_listener(api, "tokens", key_file=str(other.key_file)))
    assert "not the key of certificate_file; name its own" in found["api.tokens.key_file"]


@pytest.mark.parametrize(
    "key",
    [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        # Of an algorithm that nobody has.
        """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2V/BCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB
-----END PRIVATE KEY-----
""",
    ],
    ids=["encrypted", "unknown"],
)
def test_a_key_that_cannot_be_used_is_told(config_file: Path, api: dict[str, Any], tmp_path: Path, key: str) -> None:
    file = tmp_path / "bad.key"
    file.write_text(key)
    found = faults(config_file, with_listener(api, "tokens", key_file=str(file)))
    assert "without a password" in found["api.tokens.key_file"]


@pytest.mark.parametrize(
    ("more", "path", "told"),
    [
        ({"group": "no-such-group"}, "api.group", "no such group; make it, or name another"),
        ({"group": GROUP, "address": "127.0.0.1:0"}, "api.group", "is for a Unix socket; leave it out"),
        ({"limits": {"message": "1KiB"}}, "api.limits.message", "not from 64KiB to 16MiB"),
        ({"limits": {"message": "17MiB"}}, "api.limits.message", "not from 64KiB to 16MiB"),
        ({"address": "0.0.0.0:0"}, "api.address", "whoever could reach it could do everything"),
    ],
)
def test_other_faults_are_told_with_their_mend(
    config_file: Path, api: dict[str, Any], more: dict[str, Any], path: str, told: str
) -> None:
    found = faults(config_file, api | more)
    assert (list(found), told in found[path]) == ([path], True), found


async def test_everybody_is_let_in_only_where_the_config_says_so_in_so_many_words(config_file: Path) -> None:
    section = {"address": "0.0.0.0:0", "open_to_anybody": True}
    assert faults(config_file, section) == {}
    control = await Control.start(load(config_file, Role.CONTROL))
    assert control.address.startswith("0.0.0.0:")
    await control.stop(grace=0)


async def test_the_socket_is_of_the_group_that_is_named(config_file: Path) -> None:
    group = "daemon" if os.geteuid() == 0 else GROUP
    write_api(config_file, {"group": group})
    control = await Control.start(load(config_file, Role.CONTROL))
    path = Path(control.address.removeprefix("unix:"))
    assert (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (grp.getgrnam(group).gr_gid, 0o660)
    await control.stop(grace=0)


async def test_a_port_that_is_taken_is_told_by_its_key(config_file: Path, api: dict[str, Any]) -> None:
    write_api(config_file, api)
    first = await Control.start(load(config_file, Role.CONTROL))
    other = config_file.with_name("other.toml")
    taken = with_listener(api, "tokens", address=first.listens.tokens)
    other.write_text(config_file.read_text().replace('/state"', '/other"').replace("api.sock", "other.sock"))
    write_api(other, taken | {"address": f"unix:{config_file.parent}/other.sock"})
    with pytest.raises(ControlError, match=r"api\.tokens\.address: cannot listen on .*; free it, or choose another"):
        await Control.start(load(other, Role.CONTROL))
    await first.stop(grace=0)


def test_what_a_reload_cannot_change_is_told(config_file: Path, api: dict[str, Any]) -> None:
    write_api(config_file, api)
    before = load(config_file, Role.CONTROL)
    changed = with_listener(api, "certificates", address="127.0.0.2:0", roles=ROLES[:1])
    write_api(config_file, changed | {"group": GROUP, "limits": {"streams": 7, "calls": 9, "message": "2MiB"}})
    after = load(config_file, Role.CONTROL)
    told = changed_until_restart(before, after, Role.CONTROL)
    assert told == ["api.group", "api.certificates.address", "api.limits.streams"]
    assert changed_until_restart(before, after, Role.EDGE) == []
