"""The Zimbra preset on a real server: names, aliases, ids, alias domains, virtual hosts and domains' rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.fakes import DOMAIN, Bench
from routing.ldap import ldap
from servers.slapd import BASE, zimbra_account, zimbra_class, zimbra_domain
from zcontrol.directory.base import Found
from zcontrol.errors import DirectoryError, DirectoryUnavailableError
from zcontrol.v1 import config_pb2, pool_pb2, route_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from servers.slapd import Slapd, StartSlapd
    from zcontrol.directory.base import Directory

ID = "0f1c3d5e-0000-4000-8000-00000000abcd"
REAL = "1f1c3d5e-0000-4000-8000-00000000abcd"
ENTRIES = [
    zimbra_class("default"),
    zimbra_domain(DOMAIN, zimbraId=REAL, zimbraVirtualHostname=["Mail.TGG.net.id", "webmail.tgg.net.id"]),
    zimbra_domain(
        "gec-course.com",
        zimbraVirtualIPAddress=["192.0.2.9", "2001:db8::9"],
        zimbraDomainAllowedIPs=["192.0.2.0/24", "198.51.100.7"],
    ),
    zimbra_domain("by-name.example", zimbraDomainType="alias", zimbraDomainAliasTargetName="TGG.net.id"),
    zimbra_domain("by-id.example", zimbraDomainType="alias", zimbraDomainAliasTargetId=REAL),
    zimbra_domain("to-nowhere.example", zimbraDomainType="alias", zimbraDomainAliasTargetId=ID),
    zimbra_domain("bad.example", zimbraDomainAllowedIPs="192.0.2.x", zimbraVirtualHostname=["twice.example"]),
    zimbra_domain("bad2.example", zimbraVirtualHostname=["twice.example"]),
    zimbra_account(
        "siti",
        zimbraId=ID,
        zimbraMailDeliveryAddress="Siti@TGG.net.id",
        zimbraMailAlias=["s@tgg.net.id", "explicit@by-name.example"],
        zimbraMailHost="mbox1.example",
        zimbraAccountStatus="lockout",
    ),
    zimbra_account("x", zimbraMailDeliveryAddress="x@gec-course.com", zimbraMailHost="mbox2.example"),
    zimbra_account("bad", zimbraMailDeliveryAddress="bad@bad.example"),
    zimbra_account("lost", zimbraMailDeliveryAddress="lost@lost.example"),
    # Not an account, though it has an alias.
    (f"uid=list,{BASE}", {"objectClass": ["account", "extensibleObject"], "uid": "list", "zimbraMailAlias": "l@x.y"}),
]
SITI = Found(
    account=f"siti@{DOMAIN}",
    account_id=ID,
    home="mbox1.example",
    status=route_pb2.ACCOUNT_STATUS_LOCKED,
    dn=f"uid=siti,{BASE}",
    service_class="default",
)
ZIMBRA = config_pb2.LDAP_PRESET_ZIMBRA


@pytest.fixture
def server(start_slapd: StartSlapd) -> Slapd:
    return start_slapd(*ENTRIES)


@pytest.fixture
async def directory(server: Slapd) -> AsyncIterator[Directory]:
    async with ldap(server.url, preset=ZIMBRA) as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"siti@{DOMAIN}", SITI),
        (f"s@{DOMAIN}", SITI),
        (ID, SITI),
        ("siti@by-name.example", SITI),
        ("siti@by-id.example", SITI),
        ("explicit@by-name.example", SITI),
        ("siti@to-nowhere.example", None),
        ("nobody@by-name.example", None),
        (f"nobody@{DOMAIN}", None),
        ("nobody@unknown.example", None),
        (REAL, None),
        ("l@x.y", None),
    ],
)
async def test_who_is_found_by_what(directory: Directory, name: str, expected: Found | None) -> None:
    assert await directory.find([name]) == [expected]


async def test_a_batch_answers_each_name_as_if_it_were_alone(directory: Directory) -> None:
    names = [f"siti@{DOMAIN}", ID, "x@gec-course.com", "bad@bad.example", "lost@lost.example", "siti@by-id.example"]
    siti, by_id, other, bad, lost, alias, nobody = await directory.find([*names, "nobody@x.y"])
    assert siti == by_id == alias == SITI
    assert nobody is None
    assert isinstance(other, Found)
    assert isinstance(bad, DirectoryError)
    assert "zimbraDomainAllowedIPs" in str(bad)
    assert isinstance(lost, DirectoryError)
    assert str(lost) == "the domain of lost@lost.example is not in the directory"


async def test_virtual_hosts_and_addresses_name_their_domain(directory: Directory) -> None:
    hosts = ["mail.tgg.net.id", "192.0.2.9", "2001:db8::9", "unknown.example", "twice.example"]
    domains = dict(await directory.domains_of(hosts))
    twice = domains.pop("twice.example")
    assert domains == {
        "mail.tgg.net.id": DOMAIN,
        "192.0.2.9": "gec-course.com",
        "2001:db8::9": "gec-course.com",
    }
    assert "two entries have twice.example" in str(twice)


async def test_a_domains_networks_hold_on_cache_hits_too(directory: Directory) -> None:
    async with zimbra_bench(directory) as bench:
        for _ in ("from the directory", "from the cache"):
            answer = await bench.ask_one("x@gec-course.com")
            assert list(answer.route.allowed_nets) == ["192.0.2.0/24", "198.51.100.7/32"]
            assert answer.route.home == "mbox-2"


async def test_bare_names_and_ids_reach_their_account(directory: Directory) -> None:
    async with zimbra_bench(directory) as bench:
        by_host = await bench.ask_one("SITI", virtual_host="mail.tgg.net.id", local_address="192.0.2.9")
        by_address = await bench.ask_one("x", virtual_host="unknown.example", local_address="192.0.2.9")
        by_id = await bench.ask_one(ID.upper())
        nobody = await bench.ask_one("siti", local_address="192.0.2.9")
        assert [answer.route.account for answer in (by_host, by_address, by_id)] == [
            f"siti@{DOMAIN}",
            "x@gec-course.com",
            f"siti@{DOMAIN}",
        ]
        assert nobody.HasField("none")


async def test_without_ldap_what_is_known_of_domains_still_serves_and_the_rest_is_no_answer(
    server: Slapd, directory: Directory
) -> None:
    async with zimbra_bench(directory) as bench:
        await bench.ask_one("siti", virtual_host="mail.tgg.net.id")
        server.stop()
        bench.clocks.now += 3600
        assert (await bench.ask_one("siti", virtual_host="mail.tgg.net.id")).HasField("route")
        assert (await bench.ask_one("siti", virtual_host="webmail.tgg.net.id")).HasField("fault")
        [unknown] = await directory.find(["nobody@by-name.example"])
        assert isinstance(unknown, DirectoryUnavailableError)


def zimbra_bench(directory: Directory) -> Bench:
    names = config_pb2.Names(default_domain="default.example")
    pool = pool_pb2.Pool(
        version=1, backends=[pool_pb2.Backend(name=f"mbox-{n}", host=f"mbox{n}.example") for n in (1, 2)]
    )
    return Bench(directory=directory, names=names, pool=pool)
