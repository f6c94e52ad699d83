"""Changes of the pool: what they make, what they refuse and how they say it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.pools import backend, shared, two_mailboxes
from zcontrol.pool import model
from zcontrol.pool.rules import check_pool
from zcontrol.v1 import pool_pb2

Change = Callable[[pool_pb2.Pool], pool_pb2.Pool]


def names(pool: pool_pb2.Pool) -> list[str]:
    return [entry.name for entry in pool.backends]


def test_add_spells_the_group_as_the_pool_does() -> None:
    pool = model.add_backend(two_mailboxes(), backend("web-3", "WEB"))
    assert (names(pool)[-1], pool.backends[-1].group) == ("web-3", "web")


@pytest.mark.parametrize("name", ["mbox-1", "MBOX-1", "Web"])
def test_a_name_is_unique_across_backends_and_groups_without_case(name: str) -> None:
    with pytest.raises(model.PoolNameTakenError, match="already"):
        model.add_backend(two_mailboxes(), backend(name))
    with pytest.raises(model.PoolNameTakenError, match="already"):
        model.add_group(two_mailboxes(), shared(name))


def test_update_replaces_all_but_the_spelling_of_the_name() -> None:
    wish = backend("MBOX-1", host="mbox-1.example.net")
    wish.max_sessions = 5
    pool = model.update_backend(two_mailboxes(), wish)
    found = model.find_backend(pool, "mbox-1")
    assert (found.name, found.host, found.max_sessions) == ("mbox-1", "mbox-1.example.net", 5)


def test_drain_and_undrain_set_the_state() -> None:
    drained = model.drain(two_mailboxes(), "mbox-1")
    assert model.find_backend(drained, "mbox-1").state == pool_pb2.BACKEND_STATE_DRAINING
    assert model.find_backend(model.undrain(drained, "mbox-1"), "mbox-1").state == pool_pb2.BACKEND_STATE_ACTIVE


def test_remove_takes_a_backend_that_nobody_needs() -> None:
    assert names(model.remove_backend(two_mailboxes(), "Mbox-1")) == ["mbox-2", "web-1", "web-2"]


def test_the_last_of_a_group_cannot_be_taken_from_its_users() -> None:
    pool = model.drain(two_mailboxes(), "web-1")
    changes: list[Change] = [
        lambda pool: model.drain(pool, "web-2"),
        lambda pool: model.remove_backend(pool, "web-2"),
        lambda pool: model.set_weight(pool, "web-2", 0),
        lambda pool: model.update_backend(pool, backend("web-2")),
    ]
    for change in changes:
        with pytest.raises(model.PoolStrandedError, match="serve group web; add or undrain another"):
            change(pool)


def test_maintenance_may_strand_and_then_the_group_can_go() -> None:
    pool = two_mailboxes()
    for name in ("web-1", "web-2"):
        down = backend(name, "web")
        down.state = pool_pb2.BACKEND_STATE_MAINTENANCE
        pool = model.update_backend(pool, down)
    for name in ("web-1", "web-2"):
        pool = model.remove_backend(pool, name)
    assert not model.remove_group(pool, "web").groups


def test_a_default_cannot_lose_its_target() -> None:
    with pytest.raises(model.PoolStrandedError, match="default for mail; set another default first"):
        model.remove_backend(two_mailboxes(), "mbox-2")
    with pytest.raises(model.PoolStrandedError, match=r"defaults\.mail"):
        model.drain(two_mailboxes(), "mbox-2")
    pool = model.set_defaults(two_mailboxes(), pool_pb2.Defaults(mail="WEB"))
    assert pool.defaults.mail == "web"
    assert names(model.remove_backend(pool, "mbox-2")) == ["mbox-1", "web-1", "web-2"]


def test_a_group_with_members_stays() -> None:
    with pytest.raises(model.PoolStrandedError, match="still has web-1, web-2"):
        model.remove_group(two_mailboxes(), "web")


@pytest.mark.parametrize(
    "change",
    [
        lambda pool: model.update_backend(pool, backend("nobody")),
        lambda pool: model.drain(pool, "nobody"),
        lambda pool: model.undrain(pool, "nobody"),
        lambda pool: model.remove_backend(pool, "web"),
        lambda pool: model.set_weight(pool, "", 1),
        lambda pool: model.remove_group(pool, "mbox-1"),
    ],
)
def test_an_unknown_name_is_told_with_the_known_ones(change: Change) -> None:
    with pytest.raises(model.PoolNotFoundError, match="there are "):
        change(two_mailboxes())


def test_set_weight_keeps_the_difference_between_nothing_and_unset() -> None:
    assert model.set_weight(two_mailboxes(), "web-1", 0).backends[2].HasField("weight")
    with pytest.raises(model.PoolInvalidError, match="write 0 to 10000"):
        model.set_weight(two_mailboxes(), "web-1", 10_001)


MASTER = pool_pb2.LOGIN_STYLE_VERIFY_THEN_MASTER
XCLIENT = pool_pb2.LOGIN_STYLE_VERIFY_THEN_XCLIENT


def endpoint(**fields: object) -> pool_pb2.Endpoints:
    return pool_pb2.Endpoints(imap=pool_pb2.Endpoint(**({"port": 143} | fields)))  # type: ignore[arg-type]


def mta(**fields: object) -> pool_pb2.Endpoints:
    return pool_pb2.Endpoints(smtp=pool_pb2.Endpoint(**({"port": 25} | fields)))  # type: ignore[arg-type]


def web(**fields: object) -> pool_pb2.Endpoints:
    return pool_pb2.Endpoints(http=pool_pb2.Endpoint(**({"port": 80} | fields)))  # type: ignore[arg-type]


@pytest.mark.parametrize("service", ["http", "http_admin"])
@pytest.mark.parametrize(
    "fields",
    [
        {"port": 80},
        {"port": 80, "login_style": pool_pb2.LOGIN_STYLE_REPLAY, "forward": pool_pb2.FORWARD_PROXY_V1},
        {"port": 443, "tls": pool_pb2.BACKEND_TLS_IMPLICIT, "forward": pool_pb2.FORWARD_PROXY_V2},
    ],
)
def test_a_backend_may_offer_http(service: str, fields: dict[str, int]) -> None:
    endpoints = pool_pb2.Endpoints(**{service: pool_pb2.Endpoint(**fields)})  # type: ignore[arg-type]
    new = pool_pb2.Backend(name="new", host="127.0.0.9", endpoints=endpoints)
    assert model.find_backend(model.add_backend(two_mailboxes(), new), "new").endpoints == endpoints


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"name": ""}, "name: missing"),
        ({"name": "a b"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "x\r\ny"}, r"x\r\ny"),
        ({"host": ""}, "host"),
        ({"host": "10.0.0.1:143"}, "host"),
        ({"host": "999.1.1.1"}, "host"),
        ({"host": "0.0.0.0"}, "no server's address"),
        ({"host": "ff02::1"}, "no server's address"),
        ({"group": "nobody"}, "add the group first"),
        ({"weight": 10_001}, "weight"),
        ({"state": 99}, "state"),
        ({"endpoints": None}, "endpoints: none"),
        ({"endpoints": endpoint(port=0)}, "endpoints.imap.port"),
        ({"endpoints": endpoint(port=65536)}, "endpoints.imap.port"),
        ({"endpoints": endpoint(tls=9)}, "endpoints.imap.tls"),
        ({"endpoints": endpoint(login_style=9)}, "endpoints.imap.login_style"),
        ({"endpoints": endpoint(verify_name="x")}, "means nothing without TLS"),
        ({"endpoints": endpoint(tls=2, verify_name="a b")}, "endpoints.imap.verify_name"),
        ({"endpoints": endpoint(tls=2, pin_sha256="ab")}, "64 hex digits"),
        ({"endpoints": endpoint(forward=pool_pb2.FORWARD_XOIP)}, "for pop3 alone"),
        ({"endpoints": endpoint(login_style=MASTER)}, "nothing proves a client; configure [verify] on control"),
        ({"endpoints": endpoint(login_style=XCLIENT)}, "nothing proves a client"),
        ({"endpoints": endpoint(login_style=XCLIENT)}, 'is for submission with forward = "xclient" alone'),
        ({"endpoints": endpoint(master_user="zproxy")}, "endpoints.imap.master_user"),
        ({"endpoints": mta()}, "endpoints.smtp.forward: an MTA"),
        ({"endpoints": mta(forward=pool_pb2.FORWARD_NONE)}, "relays for the world"),
        ({"endpoints": mta(forward=pool_pb2.FORWARD_PROXY_V1)}, "relays for the world"),
        ({"endpoints": mta(login_style=pool_pb2.LOGIN_STYLE_TOKEN)}, "nobody logs in there; leave it out"),
        ({"endpoints": web(login_style=pool_pb2.LOGIN_STYLE_TOKEN)}, "endpoints.http.login_style"),
        ({"endpoints": web(login_style=MASTER)}, "what clients say of themselves goes on as it is; leave it out"),
        ({"endpoints": web(tls=pool_pb2.BACKEND_TLS_STARTTLS)}, "HTTP knows no STARTTLS"),
        ({"endpoints": web(forward=pool_pb2.FORWARD_ID)}, "is for imap alone"),
        ({"endpoints": web(forward=pool_pb2.FORWARD_XCLIENT)}, 'endpoints.http.forward = "xclient"'),
    ],
)
def test_a_faulty_backend_is_told_by_field(wish: dict[str, object], told: str) -> None:
    fields: dict[str, object] = {"name": "new", "host": "127.0.0.9", "endpoints": endpoint()}
    faulty = pool_pb2.Backend(**(fields | wish))  # type: ignore[arg-type]
    with pytest.raises(model.PoolInvalidError) as caught:
        model.add_backend(two_mailboxes(), faulty)
    assert told in str(caught.value)


def test_a_group_must_say_its_kind() -> None:
    with pytest.raises(model.PoolInvalidError, match='"stateless" or "shared"'):
        model.add_group(two_mailboxes(), pool_pb2.Group(name="new"))


def test_a_whole_pool_is_checked_for_names_taken_twice() -> None:
    pool = pool_pb2.Pool(backends=[backend("a"), backend("A")], groups=[shared("a")])
    assert [fault.path for fault in check_pool(pool)] == ["backends[1].name", "groups[0].name"]


STEPS = st.one_of(
    st.builds(lambda name, group: lambda p: model.add_backend(p, backend(name, group)), *[st.sampled_from("abgh")] * 2),
    st.builds(lambda name: lambda p: model.add_group(p, shared(name)), st.sampled_from("gh")),
    st.builds(lambda name: lambda p: model.remove_backend(p, name), st.sampled_from("abgh")),
    st.builds(lambda name: lambda p: model.remove_group(p, name), st.sampled_from("gh")),
    st.builds(lambda name: lambda p: model.drain(p, name), st.sampled_from("ab")),
    st.builds(lambda name: lambda p: model.set_defaults(p, pool_pb2.Defaults(mail=name)), st.sampled_from("abgh")),
)


@given(st.lists(STEPS, max_size=30))
def test_no_sequence_of_changes_makes_a_faulty_pool_or_alters_the_one_before(steps: list[Change]) -> None:
    pool = pool_pb2.Pool()
    for step in steps:
        before = pool.SerializeToString(deterministic=True)
        try:
            after = step(pool)
        except model.PoolError:
            after = pool
        assert pool.SerializeToString(deterministic=True) == before
        assert list(check_pool(after)) == []
        pool = after
