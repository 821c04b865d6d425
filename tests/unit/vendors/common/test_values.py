"""Single values, whatever was sent in their place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pump.vendors.common.values import compact, flag, member, number, spelled, text, whole, written

_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("value", "as_number", "as_whole", "as_text"),
    [
        (5, 5, 5, "5"), ("5", 5, 5, "5"), (" 5 ", 5, 5, "5"), ("5.0", 5.0, 5, "5.0"), ("5.5", 5.5, None, "5.5"),
        (True, None, None, None), (None, None, None, None), ("", None, None, None), ("x", None, None, "x"),
        ("nan", None, None, "nan"), ("1e999", None, None, "1e999"), ([], None, None, None),
    ],
)  # fmt: skip
def test_numbers_come_as_texts(value: Any, as_number: Any, as_whole: Any, as_text: Any) -> None:
    assert (written(value), whole(value), text(value)) == (as_number, as_whole, as_text)


@given(_ANY)
def test_no_value_brings_a_reader_down(value: Any) -> None:
    for read in (text, spelled, number, written, whole, flag):
        read(value)
    member(value, "a")


@pytest.mark.parametrize("value", [10**400, -(10**400), "1" + "0" * 5000, float("inf"), float("nan"), "inf", "NaN"])
def test_what_is_beyond_all_numbers_is_none(value: Any) -> None:
    assert number(value) is None


@pytest.mark.parametrize(
    ("value", "as_text", "as_spelled"),
    [
        (" a ", "a", "a"), ("  ", None, None), (5, "5", "5"), (1.0, "1.0", "1"), (1.5, "1.5", "1.5"),
        (True, None, "true"), (False, None, "false"), (None, None, None), ({}, None, None), ([1], None, None),
    ],
)  # fmt: skip
def test_a_text_is_a_number_s_too_and_one_spelling_is_a_boolean_s(
    value: Any, as_text: str | None, as_spelled: str | None
) -> None:
    assert (text(value), spelled(value)) == (as_text, as_spelled)


def test_a_text_of_a_class_of_its_own_becomes_a_plain_one() -> None:
    class Own(str):
        __slots__ = ()

    assert type(text(Own("a"))) is str


@pytest.mark.parametrize(
    ("value", "whole_of_it"),
    [(5, 5), ("5", 5), (" 5 ", 5), (5.0, 5), ("5.0", 5), (5.5, None), ("5.5", None), (True, None), ("x", None),
     ("12345678901234567890", 12345678901234567890), ("nan", None), (None, None)],
)  # fmt: skip
def test_an_integer_keeps_every_digit(value: Any, whole_of_it: int | None) -> None:
    assert whole(value) == whole_of_it


def test_a_compact_number_is_an_integer_where_it_can_be() -> None:
    assert [repr(compact(one)) for one in (5.0, 5.5, 5, None, 2.0**60)] == ["5", "5.5", "5", "None", repr(2.0**60)]


@pytest.mark.parametrize(
    ("spellings", "meant"),
    [((True, "TRUE", 1, "yes", " 1 "), True), ((False, "False", 0, "no"), False), ((None, "", "2", [], 2), None)],
)
def test_flags_come_in_every_spelling(spellings: tuple[object, ...], meant: bool | None) -> None:
    assert [flag(one) for one in spellings] == [meant] * len(spellings)


@pytest.mark.parametrize(("value", "found"), [({"a": 1}, 1), ({"a": None}, None), ({}, None), ([], None), ("a", None)])
def test_a_member_is_one_of_an_object(value: object, found: object) -> None:
    assert member(value, "a") == found
