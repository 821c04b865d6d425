"""Bodies as devices send them: what is mended, what is not, and at what cost."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pump.core.errors import MessageError
from pump.vendors.avaeye.parse import loads
from pump.vendors.common.values import text, whole, written

_MENDED: list[tuple[bytes, Any]] = [
    (b'{"a":1}', {"a": 1}),
    (b'{"a":1,}', {"a": 1}),
    (b'{"a":[1,2,\n],\n}', {"a": [1, 2]}),
    (b'{"a":"x,}","b":1,}', {"a": "x,}", "b": 1}),
    ("{“a”:“b”}".encode(), {"a": "b"}),
    ('{"Value": “Hello"}'.encode(), {"Value": "Hello"}),
    ('{"a":"“b”",}'.encode(), {"a": "“b”"}),
    ('{"p":"京A1"}'.encode("gbk"), {"p": "京A1"}),
    ("{“p”:“京A1”,}".encode("gbk"), {"p": "京A1"}),
    (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
    ('{"a":1}'.encode("utf-16"), {"a": 1}),
    (b'{"a":"x\x01\ty"}', {"a": "x\x01\ty"}),
    (b'{"a":1}\0\0\r\n', {"a": 1}),
    (b'{"a":"\\ud800"}', {"a": "�"}),
    (b'{"a":1,"a":2}', {"a": 2}),
]


@pytest.mark.parametrize(("body", "value"), _MENDED)
def test_what_is_beyond_doubt_is_mended(body: bytes, value: Any) -> None:
    assert loads(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"\0", b"x", b'{"a":1', b"{'a':1}", b'{"a":NaN}', b'{"a":Infinity}', b"[1,,]", b"[,,]",
        b'{"a":1}{"a":2}', b'{"a" 1}', b"[" * 100_000, b'{"a":' * 100_000, b"[" * 33 + b"]" * 33,
        b'["' + b"x" * (5 << 20),
        b"[" + b"9" * 5000 + b",]",
    ],
)  # fmt: skip
def test_what_is_not_is_refused_in_words_that_hold_nothing_of_it(body: bytes) -> None:
    with pytest.raises(MessageError) as told:
        loads(body)
    assert len(str(told.value)) < 120


@pytest.mark.parametrize("rest", ['\\"', "\\“", '"', "“", "\\", ", ", "[{", "\\\\"])
@pytest.mark.parametrize("begin", ['{"a": "', "{“a”: “"])
def test_what_never_ends_takes_no_more_than_its_own_length(begin: str, rest: str) -> None:
    # In proportion to the square of it this would take hours: the suite's time-out would tell.
    with pytest.raises(MessageError):
        loads((begin + rest * 300_000).encode())


@given(st.binary(max_size=200))
def test_no_bytes_bring_it_down(body: bytes) -> None:
    try:
        found = loads(body)
    except MessageError:
        return
    orjson.dumps(found)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_what_is_right_stays_as_it_is(value: Any) -> None:
    assert loads(orjson.dumps(value)) == value


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
