"""Seals: what was sealed comes back under its own key, and nothing else does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zcontrol.routing.cache import Entry
from zcontrol.routing.seal import MAC_OCTETS, VALUE_OCTETS, Seal

SEAL = Seal("x" * 32)
TIMES = st.floats(min_value=0, max_value=4e9)
ENTRIES = st.builds(Entry, st.integers(0, 2**63), TIMES, TIMES, TIMES, st.binary(max_size=200))


@given(st.text(max_size=300), ENTRIES)
def test_what_is_sealed_is_unsealed(question: str, entry: Entry) -> None:
    key = SEAL.key(question.encode(errors="replace").decode())
    value = SEAL.seal(key, entry)
    assert value
    assert SEAL.unseal(key, value) == entry


@given(st.data(), ENTRIES)
def test_a_changed_octet_is_noticed_wherever_it_is(data: st.DataObject, entry: Entry) -> None:
    key = SEAL.key("siti@tgg.net.id")
    value = bytearray(SEAL.seal(key, entry) or b"")
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    assert SEAL.unseal(key, bytes(value)) is None


@given(st.binary(max_size=300))
def test_rubbish_is_never_unsealed(value: bytes) -> None:
    assert SEAL.unseal(SEAL.key("siti@tgg.net.id"), value) is None


@given(ENTRIES)
def test_a_value_is_good_for_its_own_question_and_secret_only(entry: Entry) -> None:
    key, other = SEAL.key("siti@tgg.net.id"), SEAL.key("budi@tgg.net.id")
    value = SEAL.seal(key, entry) or b""
    assert SEAL.unseal(other, value) is None
    assert Seal("y" * 32).unseal(key, value) is None
    assert SEAL.unseal(key, value[MAC_OCTETS:]) is None
    assert SEAL.unseal(key, value + b"\r\n") is None


@given(st.text(max_size=300))
def test_a_key_is_letters_and_digits_whatever_the_name_is(question: str) -> None:
    key = SEAL.key(question.encode(errors="replace").decode())
    assert len(key) == 48
    assert key.isalnum()


def test_a_value_too_long_for_memcached_is_not_sealed() -> None:
    assert SEAL.seal(SEAL.key("x"), Entry(1, 1, 1, 1, b"x" * VALUE_OCTETS)) is None
