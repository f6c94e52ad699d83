"""Passwords proved by LDAP binds against real servers: what is right, what is wrong, and what nobody can tell."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st
from ldap3.core import results

from routing.fakes import DOMAIN, Bench
from routing.ldap import ldap
from routing.stub import serving
from security.proofs import password, said
from servers.slapd import (
    BASE,
    ROOT_DN,
    ROOT_PASSWORD,
    person,
    with_password,
    zimbra_account,
    zimbra_class,
    zimbra_domain,
)
from zcontrol.directory.ldap_binds import Binds, Bound, judged
from zcontrol.directory.ldap_connection import Result
from zcontrol.security.ldap_bind import LdapBindVerifier
from zcontrol.security.verify import Verifiers
from zcontrol.v1 import config_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from servers.certificates import Authority
    from servers.slapd import Entry, Slapd, StartSlapd

NAME = f"siti@{DOMAIN}"
SITI = with_password(person("siti", mail=NAME, mailAlternateAddress=f"s@{DOMAIN}"), "right")
ZIMBRA = config_pb2.LDAP_PRESET_ZIMBRA
POLICY = f"""
overlay ppolicy
ppolicy_default cn=policy,{BASE}
ppolicy_use_lockout
"""
POLICY_ENTRY: Entry = (
    f"cn=policy,{BASE}",
    {
        "objectClass": ["device", "pwdPolicy"],
        "cn": "policy",
        "pwdAttribute": "userPassword",
        "pwdLockout": "TRUE",
        "pwdMaxFailure": "3",
        "pwdMaxAge": "86400",
        "pwdMustChange": "TRUE",
    },
)
NOW = time.strftime("%Y%m%d%H%M%SZ", time.gmtime())
LONG_AGO = "20200101000000Z"


@asynccontextmanager
async def verifying(*urls: str, binds: config_pb2.VerifyLdap | None = None, **more: object) -> AsyncIterator[Verifiers]:
    """What verifies passwords by these servers."""
    config = config_pb2.LdapDirectory(urls=urls, timeout=Duration(seconds=5), **more)  # type: ignore[arg-type]
    async with ldap(*urls, **more) as directory:
        bench = Bench(directory=directory)
        binding = Binds(config, binds or config_pb2.VerifyLdap(timeout=Duration(seconds=10)))
        verifiers = Verifiers(passwords=LdapBindVerifier(bench.resolver, binding))
        yield verifiers
        await verifiers.close()


@pytest.fixture
def slapd(start_slapd: StartSlapd) -> Slapd:
    return start_slapd(SITI)


async def test_the_right_password_proves_the_account(slapd: Slapd) -> None:
    async with verifying(slapd.url) as verifiers:
        assert said(await verifiers.verify(password("siti", "right"))) == f"verified {NAME}"


async def test_an_alias_proves_the_account_behind_it(slapd: Slapd) -> None:
    async with verifying(slapd.url) as verifiers:
        verdict = await verifiers.verify(password("S@TGG.net.id", "right", account=NAME))
        assert said(verdict) == f"verified {NAME}"


@pytest.mark.parametrize(
    ("login", "typed"),
    [
        ("siti", "wrong"),
        ("siti", "right "),
        ("siti", "RIGHT"),
        ("siti", "right\0"),
        ("siti", "x" * 20_000),
        ("nobody", "right"),
        ("*", "right"),
        ("\0", "right"),
    ],
)
async def test_a_wrong_password_or_name_is_refused(slapd: Slapd, login: str, typed: str) -> None:
    async with verifying(slapd.url) as verifiers:
        assert said(await verifiers.verify(password(login, typed))) == "refused"


async def test_an_empty_password_is_refused_by_us_where_the_server_takes_it(start_slapd: StartSlapd) -> None:
    lax = start_slapd(SITI, settings="allow bind_anon_cred bind_anon_dn")
    async with verifying(lax.url) as verifiers:
        assert said(await verifiers.verify(password("siti", ""))) == "refused"
        assert said(await verifiers.verify(password("siti", "wrong"))) == "refused"


async def test_binds_themselves_refuse_what_would_prove_nothing(slapd: Slapd) -> None:
    """Whoever calls them: an empty name or password is answered with success by many a server."""
    binds = Binds(config_pb2.LdapDirectory(urls=[slapd.url]), config_pb2.VerifyLdap())
    for dn, typed in (("", b"right"), (f"uid=siti,{BASE}", b"")):
        with pytest.raises(ValueError, match="needs a name and a password"):
            await binds.bind(dn, typed)
    await binds.close()


async def test_the_password_proves_the_entry_that_has_the_name_now(start_slapd: StartSlapd) -> None:
    """An entry that was moved or replaced under the same name is the one that is bound as."""
    server = start_slapd(SITI)
    async with verifying(server.url) as verifiers:
        assert said(await verifiers.verify(password("siti", "right"))) == f"verified {NAME}"
        server.rename(f"uid=siti,{BASE}", "uid=siti2")
        assert said(await verifiers.verify(password("siti", "right"))) == f"verified {NAME}"


async def test_a_name_that_has_come_to_mean_another_account_is_refused(slapd: Slapd) -> None:
    async with verifying(slapd.url) as verifiers:
        verdict = await verifiers.verify(password(f"s@{DOMAIN}", "right", account=f"sari@{DOMAIN}"))
        assert said(verdict) == "refused"
        assert "has come to mean" in verdict.refused.reason


@pytest.mark.parametrize(
    ("status", "expected"), [("locked", "refused"), ("closed", "refused"), ("maintenance", "fault"), ("odd", "fault")]
)
async def test_an_account_that_is_not_active_is_not_let_in(start_slapd: StartSlapd, status: str, expected: str) -> None:
    server = start_slapd(with_password(person("siti", mail=NAME, mailStatus=status), "right"))
    attributes = config_pb2.LdapAttributes(status="mailStatus")
    async with verifying(server.url, attributes=attributes) as verifiers:
        assert said(await verifiers.verify(password("siti", "right"))) == expected


async def test_an_entry_without_a_password_is_refused(start_slapd: StartSlapd) -> None:
    server = start_slapd(person("siti", mail=NAME))
    async with verifying(server.url) as verifiers:
        assert said(await verifiers.verify(password("siti", "right"))) == "refused"


class TestPasswordPolicy:
    """slapd with the overlay ppolicy."""

    async def test_an_expired_password_is_told_to_whoever_knows_it(self, start_slapd: StartSlapd) -> None:
        old = with_password(person("siti", mail=NAME), "right", pwdChangedTime=LONG_AGO)
        server = start_slapd(POLICY_ENTRY, old, settings="moduleload ppolicy.la", overlays=POLICY)
        async with verifying(server.url) as verifiers:
            assert said(await verifiers.verify(password("siti", "right"))) == "refused expired"
            assert said(await verifiers.verify(password("siti", "wrong"))) == "refused"

    async def test_a_password_that_must_be_changed_first_counts_as_expired(self, start_slapd: StartSlapd) -> None:
        reset = with_password(person("siti", mail=NAME), "right", pwdChangedTime=NOW, pwdReset="TRUE")
        server = start_slapd(POLICY_ENTRY, reset, settings="moduleload ppolicy.la", overlays=POLICY)
        async with verifying(server.url) as verifiers:
            assert said(await verifiers.verify(password("siti", "right"))) == "refused expired"

    async def test_a_locked_account_is_refused_with_the_right_password_too(self, start_slapd: StartSlapd) -> None:
        fresh = with_password(person("siti", mail=NAME), "right", pwdChangedTime=NOW)
        server = start_slapd(POLICY_ENTRY, fresh, settings="moduleload ppolicy.la", overlays=POLICY)
        async with verifying(server.url) as verifiers:
            assert said(await verifiers.verify(password("siti", "right"))) == f"verified {NAME}"
            for _ in range(3):
                assert said(await verifiers.verify(password("siti", "wrong"))) == "refused"
            verdict = await verifiers.verify(password("siti", "right"))
            assert said(verdict) == "refused"
            assert "locked" in verdict.refused.reason


class TestFaults:
    """What is nobody's fault but the directory's is never told as a wrong password."""

    async def test_a_server_that_is_down_is_a_fault_and_the_next_one_answers(self, start_slapd: StartSlapd) -> None:
        first, second = start_slapd(SITI), start_slapd(SITI)
        async with verifying(first.url, second.url) as verifiers:
            first.stop()
            assert said(await verifiers.verify(password("siti", "right"))) == f"verified {NAME}"
            assert said(await verifiers.verify(password("siti", "wrong"))) == "refused"
            second.stop()
            assert said(await verifiers.verify(password("siti", "right"))) == "fault"

    async def test_a_connection_that_the_server_has_closed_is_made_anew(self, slapd: Slapd) -> None:
        async with verifying(slapd.url, binds=config_pb2.VerifyLdap(connections=1)) as verifiers:
            assert said(await verifiers.verify(password("siti", "right"))) == f"verified {NAME}"
            slapd.stop()
            slapd.start()
            assert said(await verifiers.verify(password("siti", "right"))) == f"verified {NAME}"

    async def test_a_server_that_hangs_is_a_fault_at_the_deadline(self, slapd: Slapd) -> None:
        binds = config_pb2.VerifyLdap(timeout=Duration(nanos=300_000_000))
        async with verifying(slapd.url, binds=binds) as verifiers:
            assert said(await verifiers.verify(password("siti", "right"))) == f"verified {NAME}"
            slapd.pause()
            assert said(await asyncio.wait_for(verifiers.verify(password("siti", "right")), 20)) == "fault"
            slapd.resume()

    async def test_binds_beyond_the_queue_are_faults_at_once(self, slapd: Slapd) -> None:
        binds = Binds(
            config_pb2.LdapDirectory(urls=[slapd.url]),
            config_pb2.VerifyLdap(connections=1, waiting=2, timeout=Duration(seconds=10)),
        )
        slapd.pause()
        tasks = [asyncio.create_task(binds.bind(f"uid=siti,{BASE}", b"right")) for _ in range(4)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert [str(task.exception()).split(":")[0] for task in done] == ["3 binds are under way or wait"]
        slapd.resume()
        await asyncio.wait(pending)
        assert {task.result().name for task in pending} == {"RIGHT"}
        await binds.close()

    async def test_an_answer_that_is_none_to_a_bind_proves_nothing(self) -> None:
        """A server that answers each request with the success of a search is not believed."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while request := await reader.read(65536):
                # Its number, which grows with every request of this process.
                number = request[2 : 4 + request[3]]
                ends = number + b"\x65\x07\x0a\x01\x00\x04\x00\x04\x00"
                writer.write(b"\x30" + bytes([len(ends)]) + ends)
                await writer.drain()

        async with serving(talk) as address:
            binds = Binds(config_pb2.LdapDirectory(urls=[f"ldap://{address}"]), config_pb2.VerifyLdap())
            with pytest.raises(Exception, match="searchResDone where bindResponse was due"):
                await binds.bind(f"uid=siti,{BASE}", b"right")
            await binds.close()


class TestZimbra:
    """Whose own rules say where a bind proves nothing."""

    ACCOUNT = with_password(zimbra_account("siti", zimbraMailDeliveryAddress=NAME, zimbraId="id-1"), "right")
    DEFAULT = zimbra_class("default", zimbraId="class-0")

    async def verdict(self, start_slapd: StartSlapd, *entries: Entry, **of_account: str) -> tuple[str, str]:
        name, attributes = self.ACCOUNT
        server = start_slapd((name, {**attributes, **of_account}), *entries)
        async with verifying(server.url, preset=ZIMBRA) as verifiers:
            verdict = await verifiers.verify(password("siti", "right"))
            return said(verdict), verdict.fault.reason

    async def test_a_domain_that_checks_its_own_passwords_is_bound_for(self, start_slapd: StartSlapd) -> None:
        for domain in (zimbra_domain(DOMAIN), zimbra_domain(DOMAIN, zimbraAuthMech="zimbra")):
            assert await self.verdict(start_slapd, domain, self.DEFAULT) == (f"verified {NAME}", "")

    @pytest.mark.parametrize("mechanism", ["ldap", "ad", "kerberos5", "custom:sso"])
    async def test_a_domain_that_checks_elsewhere_is_a_fault(self, start_slapd: StartSlapd, mechanism: str) -> None:
        domain = zimbra_domain(DOMAIN, zimbraAuthMech=mechanism)
        kind, reason = await self.verdict(start_slapd, domain, self.DEFAULT)
        assert kind == "fault"
        assert reason.startswith(f"zimbraAuthMech of the domain is '{mechanism}'")

    @pytest.mark.parametrize("attribute", ["zimbraTwoFactorAuthEnabled", "zimbraFeatureTwoFactorAuthRequired"])
    async def test_an_account_with_two_factors_is_a_fault(self, start_slapd: StartSlapd, attribute: str) -> None:
        others = (zimbra_domain(DOMAIN), self.DEFAULT)
        kind, reason = await self.verdict(start_slapd, *others, **{attribute: "TRUE"})
        assert kind == "fault"
        assert reason.startswith(f"{attribute} is TRUE")
        assert await self.verdict(start_slapd, *others, **{attribute: "FALSE"}) == (f"verified {NAME}", "")

    async def test_a_class_of_service_may_ask_for_two_factors(self, start_slapd: StartSlapd) -> None:
        """Its own class, else its domain's, else the default one; what the account says itself outranks each."""
        strict = zimbra_class("strict", zimbraId="class-1", zimbraFeatureTwoFactorAuthRequired="TRUE")
        domain, under_strict = zimbra_domain(DOMAIN), zimbra_domain(DOMAIN, zimbraDomainDefaultCOSId="class-1")
        all_strict = zimbra_class("default", zimbraFeatureTwoFactorAuthRequired="TRUE")
        for entries, of_account in (
            ((domain, self.DEFAULT, strict), {"zimbraCOSId": "class-1"}),
            ((under_strict, self.DEFAULT, strict), {}),
            ((domain, all_strict), {}),
        ):
            kind, reason = await self.verdict(start_slapd, *entries, **of_account)
            assert kind == "fault"
            assert reason.startswith("zimbraFeatureTwoFactorAuthRequired of its class of service ")
        for entries, of_account in (
            ((under_strict, self.DEFAULT, strict), {"zimbraCOSId": "class-0"}),
            ((domain, all_strict), {"zimbraFeatureTwoFactorAuthRequired": "FALSE"}),
        ):
            assert await self.verdict(start_slapd, *entries, **of_account) == (f"verified {NAME}", "")

    async def test_the_whole_tree_holds_what_has_no_base_in_common(self, start_slapd: StartSlapd) -> None:
        name, attributes = self.DEFAULT
        cos = (name.replace(BASE, "dc=elsewhere"), attributes)
        elsewhere: Entry = ("dc=elsewhere", {"objectClass": ["dcObject", "organization"], "dc": "elsewhere", "o": "x"})
        server = start_slapd(self.ACCOUNT, zimbra_domain(DOMAIN), elsewhere, cos, suffix="")
        async with verifying(server.url, preset=ZIMBRA, base="") as verifiers:
            assert said(await verifiers.verify(password("siti", "right"))) == f"verified {NAME}"

    async def test_a_class_that_cannot_be_seen_may_ask_for_anything(self, start_slapd: StartSlapd) -> None:
        kind, reason = await self.verdict(start_slapd, zimbra_domain(DOMAIN))
        assert (kind, reason.split(":")[0]) == (
            "fault",
            "its class of service default is not below directory.ldap.domain_base",
        )

    @pytest.mark.parametrize(
        ("of_domain", "of_account", "expected"),
        [
            ("active", "active", f"verified {NAME}"),
            ("closed", "active", "refused"),
            ("locked", "maintenance", "refused"),
            ("suspended", "active", "fault"),
            ("maintenance", "closed", "refused"),
        ],
    )
    async def test_of_domain_and_account_the_worse_status_holds(
        self, start_slapd: StartSlapd, of_domain: str, of_account: str, expected: str
    ) -> None:
        domain = zimbra_domain(DOMAIN, zimbraDomainStatus=of_domain)
        kind, _ = await self.verdict(start_slapd, domain, self.DEFAULT, zimbraAccountStatus=of_account)
        assert kind == expected


@pytest.mark.parametrize("way", ["starttls", "ldaps"])
async def test_binds_are_secured_as_searches_are(start_slapd: StartSlapd, authority: Authority, way: str) -> None:
    """By a server that takes no password in clear."""
    server = start_slapd(SITI, settings="security simple_bind=56", start=False)
    server.use(authority.issue(server.address))
    url, tls = (server.url, config_pb2.LDAP_TLS_STARTTLS) if way == "starttls" else (server.ldaps_url, 0)
    async with verifying(url, tls=tls, ca_file=str(authority.ca_file)) as verifiers:
        assert said(await verifiers.verify(password("siti", "right"))) == f"verified {NAME}"
        assert said(await verifiers.verify(password("siti", "wrong"))) == "refused"
    async with verifying(server.url) as in_clear:
        verdict = await in_clear.verify(password("siti", "right"))
        assert said(verdict) == "fault"
        assert 'set directory.ldap.tls = "starttls"' in verdict.fault.reason


@given(value=st.binary(max_size=40))
def test_a_policy_control_of_any_octets_is_read_or_passed_over(value: bytes) -> None:
    bound = judged(Result(results.RESULT_SUCCESS, "success", (), value))
    assert bound in (Bound.RIGHT, Bound.EXPIRED)
    assert judged(Result(results.RESULT_INVALID_CREDENTIALS, "wrong", (), value)) is not Bound.RIGHT


async def test_searches_stay_bound_as_configured_whoever_binds(start_slapd: StartSlapd) -> None:
    """Binds have connections of their own: a client's never becomes who searches."""
    # Root is above access lists, and nobody else may search.
    server = start_slapd(SITI, overlays="access to attrs=userPassword by anonymous auth\naccess to * by * none")
    async with verifying(server.url, bind_dn=ROOT_DN, bind_password=ROOT_PASSWORD) as verifiers:
        for typed in ("right", "wrong", "right", "wrong", "right"):
            expected = f"verified {NAME}" if typed == "right" else "refused"
            assert said(await verifiers.verify(password("siti", typed))) == expected
