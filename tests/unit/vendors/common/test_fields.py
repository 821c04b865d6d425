"""Fields of an object, in every spelling: the first name that holds something counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pump.vendors.common.fields import child, children, link, listed, number, text, word
from pump.vendors.hik_camera import fields as camera

_WORDS = {"1": "one", "2": "two"}
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), _ANY, max_size=3))
def test_no_object_brings_a_reader_down(group: dict[str, Any]) -> None:
    text(group, "a", "b")
    number(group, "a", "b")
    word(group, _WORDS, "a", "b")
    listed(group, "a", "b")
    assert all(type(one) is dict for one in children(group, "a", "b"))
    found = child(group, "a", "b")
    assert found is None or (type(found) is dict and found)


@pytest.mark.parametrize(
    ("group", "found"),
    [
        ({"a": " x ", "b": "y"}, "x"), ({"a": " ", "b": "y"}, "y"), ({"a": None, "b": 5}, "5"), ({"b": True}, "true"),
        ({"a": [], "b": 1.0}, "1"), ({"a": {}}, None), ({}, None),
    ],
)  # fmt: skip
def test_the_first_text_counts(group: dict[str, Any], found: str | None) -> None:
    assert text(group, "a", "b") == found


@pytest.mark.parametrize(
    ("group", "found"),
    [({"a": "x", "b": "5"}, 5.0), ({"a": 0, "b": 5}, 0), ({"a": True, "b": 1.5}, 1.5), ({"a": float("nan")}, None)],
)
def test_the_first_number_counts(group: dict[str, Any], found: float | None) -> None:
    assert number(group, "a", "b") == found


@pytest.mark.parametrize(
    ("group", "found"),
    [
        ({"a": {"x": 1}}, {"x": 1}), ({"a": {}, "b": {"x": 2}}, {"x": 2}), ({"a": [{"x": 3}, {"x": 4}]}, {"x": 3}),
        ({"a": [], "b": "x"}, None), ({"a": [1]}, None),
    ],
)  # fmt: skip
def test_a_child_is_an_object_with_something_in_it(group: dict[str, Any], found: Any) -> None:
    assert child(group, "a", "b") == found


def test_lists_and_objects_alone_are_lists() -> None:
    assert listed({"a": [], "b": ["x", {}]}, "a", "b") == ["x", {}]
    assert listed({"a": {"x": 1}}, "a") == [{"x": 1}]
    assert listed({"a": "x"}, "a") == []
    assert children({"a": ["x"], "b": ["x", {"y": 1}]}, "a", "b") == [{"y": 1}]


@pytest.mark.parametrize(
    ("value", "found"), [("1", "one"), (" 1 ", "one"), (2, "two"), ("9", "9"), (9, 9), ("", None), (True, None)]
)
def test_a_word_is_the_dictionary_s_or_the_value_as_it_came(value: Any, found: Any) -> None:
    assert word({"a": value}, _WORDS, "a") == found


def test_where_there_is_no_object_there_is_no_field() -> None:
    assert [read(None, "a") for read in (text, link, number, child)] == [None] * 4
    assert children(None, "a") == []


@pytest.mark.parametrize(
    ("value", "common", "cameras"),
    [(True, "true", None), (1.0, "1", "1.0"), (7, "7", "7"), (2**60, str(2**60), str(2**60)), ([], None, None)],
)  # fmt: skip
def test_the_vendors_differ_in_what_is_no_text(value: Any, common: str | None, cameras: str | None) -> None:
    group = {"a": "", "b": value}
    assert (text(group, "a", "b"), camera.text(group, "a", "b")) == (common, cameras)


@pytest.mark.parametrize(
    ("value", "common", "cameras"), [("5.0", 5.0, 5), (5.0, 5.0, 5), ("5", 5.0, 5), (1.5, 1.5, 1.5)]
)
def test_a_camera_s_whole_numbers_are_integers(value: Any, common: float, cameras: float) -> None:
    found = number({"b": value}, "a", "b"), camera.number({"b": value}, "a", "b")
    assert [*map(repr, found)] == [repr(common), repr(cameras)]
