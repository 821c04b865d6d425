"""Bodies as devices send them: what is mended, what is not, and at what cost."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pump.core.errors import MessageError
from pump.vendors.avaeye.parse import loads
from pump.vendors.common.json_repair import Bounds, Fault, JsonReader

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
        b"[" + b"9" * 5000 + b",]", b"[" + b"9" * 350 + b",]", b"[1e999,]", b'{"a":-1e999}',
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


# --- what each vendor is known for ----------------------------------------------------------------------------------

_FAULTS: list[tuple[Fault, str, Any]] = [
    ("commas", '{"a": [1, 2,], "b": "x,}",}', {"a": [1, 2], "b": "x,}"}),
    ("quotes", "{“a”: “b”, ″c″: 1}", {"a": "b", "c": 1}),
    ("comments", '{"a": /* one */ 1, "b": "/* none */"}', {"a": 1, "b": "/* none */"}),
    ("hexadecimal", '{"a": 0x40000003, "b": [-0xf,0XF], "c": "0x1"}', {"a": 0x40000003, "b": [-15, 15], "c": "0x1"}),
    ("missing values", '{"a": , "b": }', {"a": None, "b": None}),
]


@pytest.mark.parametrize(("fault", "text", "value"), _FAULTS)
def test_a_fault_is_mended_where_it_is_known_and_nowhere_else(fault: Fault, text: str, value: Any) -> None:
    assert JsonReader(fault).loads(text.encode()) == value
    others = [other for other, _, _ in _FAULTS if other != fault]
    with pytest.raises(MessageError):
        JsonReader(*others).loads(text.encode())


def test_all_faults_at_once_are_mended() -> None:
    reader = JsonReader(*(fault for fault, _, _ in _FAULTS))
    for _, text, value in _FAULTS:
        assert reader.loads(text.encode()) == value


@pytest.mark.parametrize("text", ["{“a”: 10x5}", '{"a": 0x}', '{"a": 0xg}', '{"a": 1.0x5}', '{"a": x0x5}'])
def test_what_only_looks_like_a_number_is_none(text: str) -> None:
    with pytest.raises(MessageError):
        JsonReader("quotes", "hexadecimal").loads(text.encode())


@pytest.mark.parametrize("reader", [JsonReader(), JsonReader("commas", number=str)])
def test_halves_of_characters_become_whole_ones_however_deep(reader: JsonReader) -> None:
    body = b"[" * 200 + rb'{"\ud800": ["\udfff", {"b": "\ud83d\ude00"}]}' + b"]" * 200
    value = reader.loads(body)
    for _ in range(200):
        (value,) = value
    assert value == {"\ufffd": ["\ufffd", {"b": "😀"}]}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("levels", [7, 8])
def test_what_nests_deeper_than_its_bounds_is_refused_and_brackets_in_strings_do_not_count(
    levels: int, strict: bool
) -> None:
    body = b"[" * (levels - 1) + (b'["[[[[[[[[[["]' if strict else b'["[[[[[[[[[[",]') + b"]" * (levels - 1)
    reader = JsonReader("commas", bounds=Bounds(deepest=7))
    if levels == 7:
        assert reader.loads(body)
    else:
        with pytest.raises(MessageError, match="more than 7 levels"):
            reader.loads(body)


def test_what_must_be_mended_has_a_largest_size_and_what_is_right_has_none() -> None:
    reader = JsonReader("commas", bounds=Bounds(largest=100))
    assert len(reader.loads(b"[" + b"1," * 100 + b"1]")) == 101
    assert len(reader.loads(b"[" + b"1," * 40 + b"]")) == 40
    with pytest.raises(MessageError, match="too large"):
        reader.loads(b"[" + b"1," * 100 + b"]")


def test_numbers_are_made_as_the_vendor_s_are() -> None:
    body = b'{"a": 3.650, "b": 123456789012345678901234567890, "c": NaN, "d": [1,]}'
    with pytest.raises(MessageError):
        JsonReader("commas").loads(body)
    found = JsonReader("commas", constant=lambda _: None).loads(body)
    assert found == {"a": 3.65, "b": 1.2345678901234568e29, "c": None, "d": [1]}
    assert JsonReader("commas", constant=str).loads(b"[1e999,-1e999,1.5,]") == ["1e999", "-1e999", 1.5]
    assert JsonReader("commas", number=str).load(body.decode())["a"] == "3.650"
    assert JsonReader("commas", number=str).loads(b"[1.0]") == ["1.0"], "also where all is right"
    assert JsonReader(integer=int).loads(b'["\t", 123456789012345678901234567890]')[1] == 123456789012345678901234567890


@pytest.mark.parametrize("mark", ['\\"', "“", '"', "\\", "/* ", ", ", ": ", "0x", "[{"])
@pytest.mark.parametrize("begin", ['{"a": "', '{"a": ', "{“a”: “"])
def test_all_faults_together_take_no_more_than_a_body_s_own_length(begin: str, mark: str) -> None:
    reader = JsonReader(*(fault for fault, _, _ in _FAULTS), bounds=Bounds(deepest=32))
    with pytest.raises(MessageError):
        reader.loads((begin + mark * 200_000).encode())
