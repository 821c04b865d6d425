"""JSON of what orjson refuses: the bytes of the standard library's, without its recursion."""

from __future__ import annotations

import json
import sys
from collections import OrderedDict, namedtuple
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pump.ingest import deep_json

_Pair = namedtuple("_Pair", "left right")


class _Level(IntEnum):
    HIGH = 3


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.characters(categories=["Cs"])
_ODD = st.binary() | st.datetimes() | st.sets(st.integers())
_KEYS = st.text() | st.integers() | st.floats() | st.booleans() | st.none()
_VALUES = st.recursive(
    _SCALARS | _ODD,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(_KEYS, inner),
    max_leaves=30,
)


@given(_VALUES)
def test_the_bytes_are_those_of_the_standard_library(value: Any) -> None:
    assert deep_json.dump(value) == json.dumps(value, default=repr).encode()


@pytest.mark.parametrize(
    "value",
    [
        {"a": [], "b": {}, "c": ()},
        [_Pair(1, [2]), _Level.HIGH, {_Level.HIGH: 1}],
        OrderedDict(b=1, a=[{"x": None}, True, 1.5, "\ud800"]),
        [float("nan"), float("inf"), {float("-inf"): 10**30}],
        {"seen": datetime(2026, 11, 20, tzinfo=UTC), "bytes": b"\xff", "set": {1}, "type": int},
        [same := [1], same, {"again": same}],
    ],
)
def test_odd_values_are_written_as_the_standard_library_writes_them(value: Any) -> None:
    assert deep_json.dump(value) == json.dumps(value, default=repr).encode()


def test_keys_that_json_has_no_form_for_are_kept_as_texts() -> None:
    assert json.loads(deep_json.dump({b"\xff": 1, (1, 2): 2})) == {"b'\\xff'": 1, "(1, 2)": 2}


@pytest.mark.parametrize("depth", [2_000, 20_000])
def test_no_depth_is_too_deep_and_the_interpreters_limit_stays(depth: int) -> None:
    limit = sys.getrecursionlimit()
    deep: Any = 7
    for place in range(depth):
        deep = [deep] if place % 2 else {"k": deep}
    written = deep_json.dump(deep)
    assert written.count(b"[") == written.count(b"]") == depth // 2
    assert written.count(b'{"k": ') == written.count(b"}") == depth // 2
    assert sys.getrecursionlimit() == limit


def test_a_value_that_holds_itself_is_refused() -> None:
    inner: list[Any] = []
    inner.append({"again": inner})
    with pytest.raises(ValueError, match="holds itself"):
        deep_json.dump(inner)


def test_nothing_changes_the_interpreters_recursion_limit() -> None:
    """It is the whole process's: other threads meet it, and pytest while it writes down a failure."""
    root = Path(__file__).parents[2]
    changer = b"set" + b"recursionlimit"
    files = [path for folder in ("pump", "tests") for path in sorted((root / folder).rglob("*.py"))]
    assert [str(path.relative_to(root)) for path in files if changer in path.read_bytes()] == []
