"""Names: one canonical form, rules in order, nothing that is nobody's name gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zcontrol.errors import UnusableNameError
from zcontrol.routing.names import Names, Qualified, canonical, canonical_host
from zcontrol.v1 import config_pb2

UUID = "0f1c3d5e-0000-4000-8000-00000000abcd"
RULES = config_pb2.Names(
    default_domain="TGG.net.id.",
    virtual_hosts=[
        config_pb2.VirtualHost(hosts=["mail.gec-course.com", "127.0.0.9"], domain="gec-course.com"),
    ],
    detail_separator="+",
    strip_suffixes=["/tb", "/wm"],
    windows_domains={"TGG": "tgg.net.id"},
    domain_aliases={"gec.example": "gec2.example", "gec2.example": "gec-course.com", "a.example": "a.example"},
)


@pytest.mark.parametrize(
    ("typed", "account"),
    [
        ("siti@tgg.net.id", "siti@tgg.net.id"),
        ("SITI@TGG.NET.ID", "siti@tgg.net.id"),
        (" siti@tgg.net.id ", "siti@tgg.net.id"),
        ("siti@tgg.net.id.", "siti@tgg.net.id"),
        ("ｓｉｔｉ＠ｔｇｇ.ｎｅｔ.ｉｄ", "siti@tgg.net.id"),  # noqa: RUF001 - full width is the point
        ("siti\u00a0@tgg.net.id\u00a0", "siti @tgg.net.id"),
        ("siti@tgg.net.id/tb", "siti@tgg.net.id"),
        ("siti@tgg.net.id/WM/tb", "siti@tgg.net.id"),
        ("siti+news@tgg.net.id", "siti@tgg.net.id"),
        ("siti+a+b/tb", "siti@tgg.net.id"),
        ("siti/tb+a", "siti@tgg.net.id"),
        ("+news@tgg.net.id", "+news@tgg.net.id"),
        ("tgg\\Siti", "siti@tgg.net.id"),
        ("OTHER\\siti", "other\\siti@tgg.net.id"),
        ("siti", "siti@tgg.net.id"),
        ("x@gec.example", "x@gec-course.com"),
        ("x@a.example", "x@a.example"),
        ("Élise@tgg.net.id", "élise@tgg.net.id"),
        ("E\u0301lise@tgg.net.id", "élise@tgg.net.id"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@BÜCHER。example", "a@xn--bcher-kva.example"),
        ("a@b@tgg.net.id", "a@b@tgg.net.id"),
        ("*()\\@tgg.net.id", "*()\\@tgg.net.id"),
        (UUID.upper(), f"{UUID}@tgg.net.id"),
    ],
)
def test_spellings_of_a_name_have_one_form(typed: str, account: str) -> None:
    assert Names(RULES).qualify(typed.encode()) == Qualified(account)


@pytest.mark.parametrize(
    ("told", "account"),
    [
        ("siti@tgg.net.id", "siti@tgg.net.id"),
        ("Siti@TGG.net.id", "siti@tgg.net.id"),
        ("siti", "siti@tgg.net.id"),
        ("TGG\\siti", "siti@tgg.net.id"),
        ("OTHER\\siti", "other\\siti@tgg.net.id"),
        ("x@gec.example", "x@gec-course.com"),
        ("Élise@tgg.net.id", "élise@tgg.net.id"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("+news@tgg.net.id", "+news@tgg.net.id"),
    ],
)
def test_a_name_that_an_issuer_vouches_for_is_that_of_its_account(told: str, account: str) -> None:
    assert Names(RULES).vouched(told) == Qualified(account)


@pytest.mark.parametrize(
    "told",
    [
        "siti+x@tgg.net.id",
        "siti+x",
        "siti/tb",
        "siti@tgg.net.id/wm",
        "TGG\\siti+x",
        "TGG\\siti/tb",
        " siti@tgg.net.id",
        "siti@tgg.net.id ",
        "siti@tgg.net.id.",
        "siti@tgg\u3002net.id",
        "siti@ｔgg.net.id",  # noqa: RUF001 - full width is the point
        "ｓiti@tgg.net.id",  # noqa: RUF001 - here too
        "ˢiti@tgg.net.id",
        "e\u0301lise@tgg.net.id",
        "\u212aevin@tgg.net.id",
        "\u212aélise@tgg.net.id",
        "ﬁona@tgg.net.id",
        "strauß@tgg.net.id",
        "a@straße.example",
        "",
        "siti\n",
    ],
)
def test_a_spelling_that_an_issuer_may_have_given_to_somebody_else_is_nobodys(told: str) -> None:
    with pytest.raises(UnusableNameError):
        Names(RULES).vouched(told)


@pytest.mark.parametrize(
    "typed",
    [
        b"",
        b"   ",
        b"@tgg.net.id",
        b"siti@",
        b"siti@.",
        b"siti@tgg net.id",
        b"siti\0@tgg.net.id",
        b"siti\r\nget x@tgg.net.id",
        b"siti\x7f",
        b"\xff\xfe",
        "siti\u200b@tgg.net.id".encode(),
        "siti\u202e@tgg.net.id".encode(),
        "siti\u2028@tgg.net.id".encode(),
        ("a@" + "ü" * 64 + ".example").encode(),
        b"a" * 1025,
        ("\ufdfa" * 300).encode(),
        b"tgg\\",
        b"/tb",
    ],
)
def test_what_is_nobodys_name_is_refused(typed: bytes) -> None:
    with pytest.raises(UnusableNameError):
        Names(RULES).qualify(typed)


def test_a_bare_name_is_qualified_by_host_then_address_then_default() -> None:
    names = Names(RULES)
    assert names.qualify(b"x", "MAIL.gec-course.com.", "127.0.0.1").name == "x@gec-course.com"
    assert names.qualify(b"x", "unknown.example", "::ffff:127.0.0.9").name == "x@gec-course.com"
    assert names.qualify(b"x", "unknown.example", "127.0.0.1").name == "x@tgg.net.id"


@pytest.mark.parametrize(
    ("typed", "host", "told"),
    [
        ("x", "MAIL.gec-course.com", "qualified by virtual host mail.gec-course.com: x@gec-course.com"),
        ("x", "::ffff:127.0.0.9", "qualified by virtual host 127.0.0.9: x@gec-course.com"),
        ("x", "unknown.example", "qualified by the default domain: x@tgg.net.id"),
        ("x@tgg.net.id", "", "qualified as typed: x@tgg.net.id"),
        (
            "x@gec.example",
            "",
            "qualified as typed; gec.example is an alias of gec-course.com: x@gec-course.com",
        ),
    ],
)
def test_the_steps_name_the_rule_that_qualified(typed: str, host: str, told: str) -> None:
    steps: list[str] = []
    Names(RULES).qualify(typed.encode(), host, steps=steps)
    assert steps[1:] == [told]


def test_a_host_says_nothing_of_a_name_with_a_domain() -> None:
    assert Names(RULES).qualify(b"x@tgg.net.id", "mail.gec-course.com").name == "x@tgg.net.id"


def test_a_bare_name_without_default_domain_is_nobodys() -> None:
    with pytest.raises(UnusableNameError, match="default_domain"):
        Names(config_pb2.Names()).qualify(b"siti")


def test_hosts_that_only_the_directory_may_know_stay_with_the_name() -> None:
    names = Names(RULES, directory_has_hosts=True)
    assert names.qualify(b"x", "mail.example", "127.0.0.1") == Qualified("x", ("mail.example", "127.0.0.1"))
    assert names.qualify(b"x", "mail.gec-course.com", "127.0.0.1") == Qualified("x@gec-course.com")
    assert names.qualify(b"x") == Qualified("x@tgg.net.id")


def test_an_account_id_is_left_alone_where_the_directory_logs_in_by_id() -> None:
    assert Names(RULES, directory_has_ids=True).qualify(UUID.upper().encode()) == Qualified(UUID)


def test_questions_that_differ_in_what_qualifies_them_have_different_keys() -> None:
    keys = {Qualified("x", ("a", "b")).key, Qualified("x", ("a",)).key, Qualified("x").key, Qualified("x\\na").key}
    assert len(keys) == 4


@given(st.text(max_size=80))
def test_normalising_twice_changes_nothing(typed: str) -> None:
    names = Names(RULES)
    try:
        once = names.qualify(typed.encode(errors="surrogatepass"))
    except UnusableNameError:
        return
    assert names.qualify(once.name.encode()) == once
    assert canonical(once.name) == once.name


@given(st.text(max_size=60))
def test_canonical_is_idempotent(text: str) -> None:
    try:
        once = canonical(text)
    except UnusableNameError:
        return
    assert canonical(once) == once
    assert once.isprintable()


@given(st.text(max_size=60))
def test_a_host_never_carries_a_control(text: str) -> None:
    assert canonical_host(text).isprintable()
