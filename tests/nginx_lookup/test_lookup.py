"""What proxies are told: the place, in the few words that they have room for, or why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nginx_lookup.facade import PASSWORD, POOL, SITI, facade, request
from routing.fakes import DOMAIN, account, counted
from zcontrol.errors import DirectoryUnavailableError
from zcontrol.security.verify import fault
from zcontrol.v1 import edge_pb2, pool_pb2, route_pb2

if TYPE_CHECKING:
    from zcontrol.directory.base import Found

OK = {"Auth-Status": "OK", "Auth-Server": "10.0.0.1", "Auth-Port": "143", "Auth-User": SITI}
REFUSED = {"Auth-Status": "[AUTHENTICATIONFAILED] Authentication failed.", "Auth-Wait": "3"}
LATER = {"Auth-Status": "[UNAVAILABLE] Temporary failure, try again later.", "Auth-Wait": "3"}


def has(answer: dict[str, str], part: dict[str, str]) -> bool:
    return part.items() <= answer.items()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, OK),
        ({"Auth_User": "siti"}, OK),
        ({"Auth_User": "SITI%40tgg.net.id"}, OK),
        ({"Auth_Method": "PLAIN"}, OK),
        ({"Auth_User": "nobody"}, REFUSED),
        ({"Auth_User": "nobody", "Auth_Protocol": "pop3"}, {"Auth-Status": "[AUTH] Authentication failed."}),
        ({"Auth_User": "si%00ti"}, REFUSED),
        ({"Auth_Method": "username", "Auth_User": "nobody"}, {"Auth-Status": "user not found:nobody"}),
        ({"Auth_Method": "username", "Auth_User": "a%0d%0ab: c"}, {"Auth-Status": "user not found:a??b: c"}),
        ({"Auth_Method": "username"}, OK | {"Auth-Cache-Alias": "TRUE"}),
        ({"Auth_Method": "username", "Auth_Protocol": "http"}, OK | {"Auth-Port": "8080"}),
        # The endpoint's own TLS is what the proxy must speak.
        ({"Auth_Method": "username", "Auth_Protocol": "pop3ssl"}, OK | {"Auth-Port": "995"}),
        ({"Auth_Method": "username", "Auth_Protocol": "imapssl"}, LATER),
        ({"Auth_Protocol": "pop3"}, {"Auth-Status": "[SYS/TEMP] Temporary failure, please try again later."}),
    ],
)
async def test_says_where_to_or_refuses(asked: dict[str, str], told: dict[str, str]) -> None:
    async with facade(account("siti")) as proxies:
        answer = await proxies.ask(**asked)
    assert has(answer, told), answer


@pytest.mark.parametrize("method", ["cram-md5", "apop", "external", "none", "gssapi", "certauth", "xoauth2"])
@pytest.mark.parametrize(
    ("protocol", "told"),
    [
        ("imap", {"Auth-Status": "[CANNOT] Mechanism not supported."}),
        ("pop3", {"Auth-Status": "[SYS/PERM] Mechanism not supported."}),
        ("smtp", {"Auth-Status": "Mechanism not supported.", "Auth-Error-Code": "504 5.5.4"}),
    ],
)
async def test_what_cannot_be_proved_so_is_refused_in_as_many_words(
    method: str, protocol: str, told: dict[str, str]
) -> None:
    async with facade(account("siti")) as proxies:
        answer = await proxies.ask(Auth_Method=method, Auth_Protocol=protocol)
    assert has(answer, told), answer


@pytest.mark.parametrize("header", ["Auth_Zimbra_Admin", "Auth_Zimbra_Zx"])
async def test_administrators_places_of_zimbra_are_not_told(header: str) -> None:
    async with facade(account("siti")) as proxies:
        answer = await proxies.ask(Auth_Method="username", Auth_Protocol="httpssl", **{header: "True"})
    assert answer["Auth-Status"] == "Mechanism not supported."


async def test_zimbra_asks_by_account_id_where_the_directory_has_ids() -> None:
    name = "0b5cd1a6-1f5a-4d2e-9f7e-3a2f6d1c8e90"
    async with facade(account("siti")) as proxies:
        proxies.directory.accounts[name] = proxies.directory.accounts[SITI]
        proxies.bench.resolver.names._directory_has_ids = True  # noqa: SLF001 - a directory is told at its making
        assert has(await proxies.ask(Auth_Method="zimbraId", Auth_User=name, Auth_Protocol="http"), {"Auth-User": SITI})


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (account("siti", status=route_pb2.ACCOUNT_STATUS_LOCKED), REFUSED),
        (account("siti", status=route_pb2.ACCOUNT_STATUS_CLOSED), REFUSED),
        (account("siti", status=route_pb2.ACCOUNT_STATUS_MAINTENANCE), LATER),
        (account("siti", home="gone"), LATER),
        (account("siti", home=""), LATER),
        (account("siti", home="modern"), LATER),
        (account("siti", backend_login="u10023"), OK | {"Auth-User": "u10023"}),
        (account("siti", allowed_nets=("192.0.2.0/24",)), OK),
        (account("siti", allowed_nets=("10.0.0.0/8",)), REFUSED),
        # Weight 0 takes nobody new.
        (account("siti", home="farm"), OK | {"Auth-Server": "2001:db8::2", "Auth-Port": "1143"}),
    ],
)
async def test_the_route_says_who_may_and_where(found: Found, told: dict[str, str]) -> None:
    async with facade(found) as proxies:
        answer = await proxies.ask()
    assert has(answer, told), answer


@pytest.mark.parametrize("star", ["*", "%EF%BC%8A"])
async def test_a_name_that_is_user_and_master_to_a_backend_is_refused(star: str) -> None:
    async with facade(account("siti*root")) as proxies:
        assert has(await proxies.ask(Auth_User=f"siti{star}root"), REFUSED)


async def test_zimbras_web_proxy_hears_its_own_words_of_a_forbidden_address() -> None:
    async with facade(account("siti", allowed_nets=("10.0.0.0/8",))) as proxies:
        answer = await proxies.ask(Auth_Method="username", Auth_Protocol="http")
    assert answer["Auth-Status"] == "Client-IP 192.0.2.7 is not allowed on this domain"


async def test_a_directory_that_is_down_is_a_temporary_failure() -> None:
    async with facade(account("siti")) as proxies:
        proxies.directory.down = DirectoryUnavailableError("gone")
        assert has(await proxies.ask(), LATER)
        smtp = await proxies.ask(Auth_Protocol="smtp")
    assert (smtp["Auth-Status"], smtp["Auth-Error-Code"]) == ("Temporary failure, try again later.", "451 4.3.0")


async def test_smtp_is_ok_only_after_the_password_is_verified() -> None:
    async with facade(account("siti")) as proxies:
        good = await proxies.ask(Auth_Protocol="smtp", Auth_SSL="on", Auth_SSL_Protocol="TLSv1.3", Auth_SMTP_Helo="a.b")
        [proof] = proxies.verifier.asked
        wrong = await proxies.ask(Auth_Protocol="smtp", Auth_Pass="x")
        unknown = await proxies.ask(Auth_Protocol="smtp", Auth_User="nobody")
        none = await proxies.ask(Auth_Protocol="smtp", Auth_Pass=None)
    assert has(good, OK | {"Auth-Port": "587"})
    assert (proof.account, proof.service, proof.password) == (SITI, "submission", PASSWORD)
    assert (proof.client_address, proof.attempt, proof.tls_version, proof.ehlo) == ("192.0.2.7", 1, "TLSv1.3", "a.b")
    assert wrong == unknown == none
    assert has(wrong, {"Auth-Status": "Authentication failed.", "Auth-Error-Code": "535 5.7.8", "Auth-Wait": "3"})


async def test_smtp_may_go_where_nginx_tells_by_xclient_who_was_verified() -> None:
    async with facade(account("siti", home="modern")) as proxies:
        assert has(await proxies.ask(Auth_Protocol="smtp"), {"Auth-Status": "OK", "Auth-Server": "10.0.0.2"})


async def test_nobody_could_tell_is_a_temporary_failure_of_smtp() -> None:
    async with facade(account("siti")) as proxies:
        proxies.verifier.verdict = fault("down")
        answer = await proxies.ask(Auth_Protocol="smtp")
    assert answer["Auth-Error-Code"] == "451 4.3.0"


async def test_a_password_of_another_account_opens_nothing() -> None:
    async with facade(account("siti")) as proxies:
        other = route_pb2.Verified(account=f"mallory@{DOMAIN}")
        proxies.verifier.verdict = route_pb2.Verdict(verified=other)
        answer = await proxies.ask(Auth_Protocol="smtp")
    assert answer["Auth-Error-Code"] == "535 5.7.8"


async def test_what_the_verdict_says_outranks_the_route() -> None:
    async with facade(account("siti", home="", verify=True)) as proxies:
        verified = route_pb2.Verified(
            account=SITI, home="mbox-1", backend_login="u1", backend_password=b"\xc3\xa9 rahasia"
        )
        proxies.verifier.verdict = route_pb2.Verdict(verified=verified)
        answer = await proxies.ask()
        zimbra = await proxies.ask(Auth_Method="username", Auth_Pass="_password_")
    assert has(answer, OK | {"Auth-User": "u1", "Auth-Pass": b"\xc3\xa9 rahasia".decode("latin-1")})
    # Its proxy does not tell passwords, so there is nothing to verify.
    assert has(zimbra, LATER)


async def test_a_password_that_would_break_a_header_is_not_sent() -> None:
    async with facade(account("siti", verify=True)) as proxies:
        verified = route_pb2.Verified(account=SITI, backend_password=b"a\r\nAuth-Server: 10.9.9.9")
        proxies.verifier.verdict = route_pb2.Verdict(verified=verified)
        assert has(await proxies.ask(), LATER)


async def test_an_answer_fits_into_what_nginx_has_room_for_or_is_a_failure() -> None:
    long = account("a" * 800)
    longer = account("a" * 950)
    async with facade(long, longer) as proxies:
        assert has(await proxies.ask(Auth_User=long.account), {"Auth-User": long.account})
        assert has(await proxies.ask(Auth_User=longer.account), LATER)
        zimbra = await proxies.ask(Auth_Method="username", Auth_User="b" * 1500)
    assert zimbra["Auth-Status"].startswith("user not found:bbb")


async def test_ports_of_the_config_stand_in_for_endpoints_that_a_proxy_cannot_speak_to() -> None:
    async with facade(account("siti"), ports={"pop3": 110, "imapssl": 7993}) as proxies:
        assert (await proxies.ask(Auth_Protocol="pop3"))["Auth-Port"] == "110"
        assert (await proxies.ask(Auth_Protocol="imapssl", Auth_Method="username"))["Auth-Port"] == "7993"


async def test_a_backend_that_every_edge_calls_down_is_a_temporary_failure() -> None:
    async with facade(account("siti")) as proxies:
        down = edge_pb2.EndpointHealth(backend="mbox-1", service="imap", up=False, reason="refused")
        proxies.bench.votes.report("edge-1", edge_pb2.HealthReport(endpoints=[down]))
        assert has(await proxies.ask(), LATER)


async def test_a_draining_member_gets_nobody_new() -> None:
    pool = pool_pb2.Pool()
    pool.CopyFrom(POOL)
    pool.backends[2].state = pool_pb2.BACKEND_STATE_DRAINING
    del pool.backends[1:2]
    async with facade(account("siti", home="farm"), pool=pool) as proxies:
        assert has(await proxies.ask(), LATER)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"Auth_User": None}, "missing header field Auth-User"),
        ({"Auth_User": ""}, "missing header field Auth-User"),
        ({"Auth_Method": None}, "missing header field Auth-Method"),
        ({"Auth_Protocol": None}, "missing header field Auth-Protocol"),
        ({"Auth_Protocol": "gopher"}, "no such Auth-Protocol; one of imap"),
        ({"Client_IP": "192.0.2.7\r\nAuth-User: mallory"}, "header field auth-user sent twice"),
    ],
)
async def test_a_question_that_means_nothing_is_told_so_with_status_200(asked: dict[str, str], told: str) -> None:
    async with facade(account("siti")) as proxies:
        assert (await proxies.ask(**asked))["Auth-Status"].startswith(told)


async def test_a_request_without_headers_is_answered_for_whoever_asks_whether_we_live() -> None:
    async with facade(account("siti")) as proxies:
        octets = b"GET /service/extension/nginx-lookup HTTP/1.1\r\nHost: x\r\n\r\n"
        status, answer = await proxies.exchange(octets)
    assert (status, answer["Auth-Status"]) == ("HTTP/1.1 200 OK", "missing header field Auth-User")


async def test_answers_are_counted_by_what_came_of_them() -> None:
    results = {"ok": {}, "refused": {"Auth_User": "nobody"}, "unsupported": {"Auth_Method": "apop"}}
    before = {result: counted("zproxy_nginx_lookups", result=result) for result in results}
    async with facade(account("siti")) as proxies:
        for asked in results.values():
            await proxies.ask(**asked)
    assert {result: counted("zproxy_nginx_lookups", result=result) for result in results} == {
        result: count + 1 for result, count in before.items()
    }


async def test_other_paths_and_methods_are_nobodys() -> None:
    async with facade(account("siti")) as proxies:
        assert (await proxies.exchange(request(path="/")))[0] == "HTTP/1.1 404 Not Found"
        posted = request().replace(b"GET ", b"POST ", 1)
        assert (await proxies.exchange(posted))[0] == "HTTP/1.1 405 Method Not Allowed"
