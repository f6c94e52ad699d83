"""The generic LDAP preset on a real server: what is found, what is refused, and what a bad entry or name costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.ldap import ldap
from servers.slapd import BASE, ROOT_DN, ROOT_PASSWORD, person
from zcontrol.directory import open_directory
from zcontrol.directory.base import BATCH, Found
from zcontrol.directory.ldap_connection import wants_starttls
from zcontrol.errors import DirectoryError, DirectoryUnavailableError
from zcontrol.v1 import config_pb2, route_pb2

if TYPE_CHECKING:
    from servers.certificates import Authority
    from servers.slapd import StartSlapd

SITI = person("siti", mail="Siti@tgg.net.id", mailHost="mbox-1", mailAlternateAddress=["s@tgg.net.id", "S2@TGG.net.id"])
BUDI = person("budi", mail="budi@tgg.net.id", mailHost="mbox-2")
FULL = config_pb2.LdapAttributes(status="mailStatus", backend_login="mailLogin", may_act_as="mailMayActAs")


def said(outcome: object) -> str:
    assert isinstance(outcome, DirectoryError), outcome
    return str(outcome)


async def test_an_account_is_found_by_its_name_and_its_aliases_in_any_case(start_slapd: StartSlapd) -> None:
    async with ldap(start_slapd(SITI, BUDI).url) as directory:
        names = ["siti@tgg.net.id", "s@tgg.net.id", "s2@tgg.net.id", "nobody@tgg.net.id", "budi@tgg.net.id"]
        siti, *_ = found = await directory.find(names)
        assert isinstance(siti, Found)
        assert (siti.account, siti.home, siti.status) == ("siti@tgg.net.id", "mbox-1", route_pb2.ACCOUNT_STATUS_ACTIVE)
        assert len(siti.account_id) == 36
        assert found[:4] == [siti, siti, siti, None]
        assert isinstance(found[4], Found)
        assert found[4].home == "mbox-2"


async def test_configured_attributes_are_read(start_slapd: StartSlapd) -> None:
    full = person(
        "x",
        mail="x@tgg.net.id",
        mailStatus="Locked",
        mailLogin="x at home",
        mailMayActAs=["Info@tgg.net.id", "budi@tgg.net.id"],
    )
    async with ldap(start_slapd(full).url, attributes=FULL) as directory:
        [found] = await directory.find(["x@tgg.net.id"])
        assert isinstance(found, Found)
        assert (found.home, found.status, found.backend_login) == ("", route_pb2.ACCOUNT_STATUS_LOCKED, "x at home")
        assert sorted(found.may_act_as) == ["budi@tgg.net.id", "info@tgg.net.id"]


@pytest.mark.parametrize(
    "name",
    [
        "*",
        "*@tgg.net.id",
        "s*@tgg.net.id",
        "*)(mail=*",
        "x)(|(mail=*@tgg.net.id",
        "\\2a",
        "()\\@tgg.net.id",
        "siti@tgg.net.id\\00",
        "élise@tgg.net.id",
        "x" * 255 + "@tgg.net.id",
        "x" * 1024,
        " ",
        "",
    ],
)
async def test_no_name_means_anything_to_a_filter_or_harms_its_neighbour(start_slapd: StartSlapd, name: str) -> None:
    async with ldap(start_slapd(SITI).url) as directory:
        hostile, siti = await directory.find([name, "siti@tgg.net.id"])
        assert hostile is None
        assert isinstance(siti, Found)


async def test_a_name_of_special_characters_is_found_by_exactly_these(start_slapd: StartSlapd) -> None:
    odd = person("odd", mail="*()\\@tgg.net.id")
    async with ldap(start_slapd(odd, SITI).url) as directory:
        exact, other = await directory.find(["*()\\@tgg.net.id", "*()@tgg.net.id"])
        assert isinstance(exact, Found)
        assert exact.account == "*()\\@tgg.net.id"
        assert other is None


async def test_two_entries_for_a_name_refuse_that_name_only(start_slapd: StartSlapd) -> None:
    twin = person("twin", mail="twin@tgg.net.id", mailAlternateAddress="s@tgg.net.id")
    async with ldap(start_slapd(SITI, twin).url) as directory:
        siti, both, other = await directory.find(["siti@tgg.net.id", "s@tgg.net.id", "twin@tgg.net.id"])
        assert isinstance(siti, Found)
        assert isinstance(other, Found)
        assert "two entries for s@tgg.net.id" in said(both)
        assert f"uid=siti,{BASE}" in said(both)
        assert f"uid=twin,{BASE}" in said(both)
        assert not isinstance(both, DirectoryUnavailableError)


async def test_an_entry_that_says_nonsense_is_refused_alone(start_slapd: StartSlapd) -> None:
    two = person("two", mail=["one@tgg.net.id", "two@tgg.net.id"])
    gone = person("gone", mail="gone@tgg.net.id", mailStatus="gone fishing")
    async with ldap(start_slapd(SITI, two, gone).url, attributes=FULL) as directory:
        names = ["siti@tgg.net.id", "one@tgg.net.id", "two@tgg.net.id", "gone@tgg.net.id"]
        siti, one, other, lost = await directory.find(names)
        assert isinstance(siti, Found)
        assert "mail has 2 values" in said(one)
        assert "mail has 2 values" in said(other)
        assert "status 'gone fishing' is none of active" in said(lost)


@pytest.mark.parametrize("limit", [1, 3, 20])
async def test_a_batch_that_a_server_cuts_short_is_split_and_asked_again(start_slapd: StartSlapd, limit: int) -> None:
    people = [person(f"u{number}", mail=f"u{number}@tgg.net.id") for number in range(BATCH)]
    server = start_slapd(*people, settings=f"sizelimit {limit}")
    async with ldap(server.url) as directory:
        names = [f"u{number}@tgg.net.id" for number in range(BATCH)]
        found = await directory.find(names)
        assert [outcome.account for outcome in found if isinstance(outcome, Found)] == names
        assert await directory.find(["nobody@tgg.net.id"]) == [None]


async def test_a_name_that_cannot_be_answered_even_alone_fails_alone(start_slapd: StartSlapd) -> None:
    twin = person("twin", mail="siti@tgg.net.id")
    async with ldap(start_slapd(SITI, twin, BUDI, settings="sizelimit 1").url) as directory:
        both, budi, nobody = await directory.find(["siti@tgg.net.id", "budi@tgg.net.id", "nobody@tgg.net.id"])
        assert "sizeLimitExceeded" in said(both)
        assert isinstance(budi, Found)
        assert nobody is None


async def test_a_filter_restricts_accounts(start_slapd: StartSlapd) -> None:
    async with ldap(start_slapd(SITI, BUDI).url, filter="(&(uid=b*)(!(uid=x)))") as directory:
        siti, budi = await directory.find(["siti@tgg.net.id", "budi@tgg.net.id"])
        assert siti is None
        assert isinstance(budi, Found)


async def test_continuation_references_are_not_followed(start_slapd: StartSlapd) -> None:
    elsewhere = start_slapd(person("x", mail="x@tgg.net.id"))
    reference = f"ou=elsewhere,{BASE}", {"objectClass": ["referral", "extensibleObject"], "ref": elsewhere.url}
    async with ldap(start_slapd(SITI, reference).url) as directory:
        siti, there = await directory.find(["siti@tgg.net.id", "x@tgg.net.id"])
        assert isinstance(siti, Found)
        assert there is None


async def test_a_referral_is_no_answer_and_not_followed(start_slapd: StartSlapd) -> None:
    elsewhere = start_slapd(SITI)
    async with ldap(start_slapd(settings=f"referral {elsewhere.url}").url, base="dc=other") as directory:
        assert "referral" in said((await directory.find(["siti@tgg.net.id"]))[0])


async def test_a_base_that_is_not_there_is_no_answer(start_slapd: StartSlapd) -> None:
    async with ldap(start_slapd(SITI).url, base=f"ou=empty,{BASE}") as directory:
        [outcome] = await directory.find(["siti@tgg.net.id"])
        assert "noSuchObject" in said(outcome)
        assert isinstance(outcome, DirectoryUnavailableError)


CLOSED = "require authc"


async def test_it_binds_as_configured(start_slapd: StartSlapd) -> None:
    server = start_slapd(SITI, settings=CLOSED)
    async with ldap(server.url, bind_dn=ROOT_DN, bind_password=ROOT_PASSWORD) as directory:
        assert isinstance((await directory.find(["siti@tgg.net.id"]))[0], Found)


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        ({}, "unwillingToPerform"),
        ({"bind_dn": ROOT_DN, "bind_password": "wrong"}, "bind refused: invalidCredentials"),
        ({"bind_dn": ROOT_DN}, "password is mandatory"),
    ],
)
async def test_a_refused_bind_says_nothing_of_names(
    start_slapd: StartSlapd, credentials: dict[str, str], reason: str
) -> None:
    async with ldap(start_slapd(SITI, settings=CLOSED).url, **credentials) as directory:
        assert reason in said((await directory.find(["siti@tgg.net.id"]))[0])


@pytest.mark.parametrize("way", ["starttls", "ldaps"])
async def test_tls_is_verified_against_the_configured_authority(
    start_slapd: StartSlapd, authority: Authority, way: str
) -> None:
    server = start_slapd(SITI, start=False)
    server.use(authority.issue(server.address))
    url, tls = (server.url, config_pb2.LDAP_TLS_STARTTLS) if way == "starttls" else (server.ldaps_url, 0)
    async with ldap(url, tls=tls, ca_file=str(authority.ca_file)) as directory:
        assert isinstance((await directory.find(["siti@tgg.net.id"]))[0], Found)
    async with ldap(url, tls=tls) as distrusting:
        assert "CERTIFICATE_VERIFY_FAILED" in said((await distrusting.find(["siti@tgg.net.id"]))[0])


@pytest.mark.parametrize("way", ["starttls", "ldaps"])
async def test_a_certificate_of_another_name_is_refused(
    start_slapd: StartSlapd, authority: Authority, way: str
) -> None:
    server = start_slapd(SITI, start=False)
    server.use(authority.issue("127.0.0.2"))
    url, tls = (server.url, config_pb2.LDAP_TLS_STARTTLS) if way == "starttls" else (server.ldaps_url, 0)
    async with ldap(url, tls=tls, ca_file=str(authority.ca_file)) as directory:
        assert "not valid for" in said((await directory.find(["siti@tgg.net.id"]))[0])


async def test_a_server_without_starttls_is_not_asked_in_clear(start_slapd: StartSlapd) -> None:
    server = start_slapd(SITI)
    async with ldap(server.url, tls=config_pb2.LDAP_TLS_STARTTLS) as directory:
        assert "startTLS" in said((await directory.find(["siti@tgg.net.id"]))[0])


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"base": BASE}, "directory.ldap.urls is empty"),
        ({"urls": ["ldap://h"]}, "directory.ldap.base is empty"),
        ({"urls": ["http://h"], "base": BASE}, "'http://h' must be ldap://"),
        ({"urls": ["ldap://"], "base": BASE}, "'ldap://' must be ldap://"),
        ({"urls": ["ldap://h"], "base": BASE, "filter": "(uid=x"}, "'(uid=x' is no LDAP filter"),
        ({"urls": ["ldaps://h"], "base": BASE, "ca_file": "/nowhere"}, "ca_file '/nowhere': No such file"),
    ],
)
def test_a_config_that_leads_nowhere_is_told(config: dict[str, object], told: str) -> None:
    with pytest.raises(DirectoryError) as raised:
        open_directory(config_pb2.Directory(ldap=config_pb2.LdapDirectory(**config)))  # type: ignore[arg-type]
    assert told in str(raised.value)


def test_no_directory_is_told() -> None:
    with pytest.raises(DirectoryError, match=r"set directory\.file, \.ldap or \.auth_http"):
        open_directory(config_pb2.Directory())


@pytest.mark.parametrize(
    ("tls", "host", "starttls"),
    [
        (config_pb2.LDAP_TLS_UNSPECIFIED, "ldap.example", True),
        (config_pb2.LDAP_TLS_UNSPECIFIED, "192.0.2.1", True),
        (config_pb2.LDAP_TLS_UNSPECIFIED, "2001:db8::1", True),
        (config_pb2.LDAP_TLS_UNSPECIFIED, "localhost", False),
        (config_pb2.LDAP_TLS_UNSPECIFIED, "127.1.2.3", False),
        (config_pb2.LDAP_TLS_UNSPECIFIED, "::1", False),
        (config_pb2.LDAP_TLS_OFF, "ldap.example", False),
        (config_pb2.LDAP_TLS_STARTTLS, "localhost", True),
    ],
)
def test_beyond_loopback_ldap_is_secured_unless_told_otherwise(
    tls: config_pb2.LdapTls.ValueType, host: str, *, starttls: bool
) -> None:
    assert wants_starttls(tls, host) == starttls
