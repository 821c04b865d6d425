"""The parser against its samples, its tables, and what no document foresees."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pump.cli.new.templates.nameless_vendor import codes, parse
from pump.core.errors import MessageError
from pump.core.event import encode
from pump.core.taxonomy import TYPES

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
SAMPLES = sorted((Path(parse.__file__).parent / "samples").glob("*.json"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "at", "kind", "device", "name"]), inner),
    max_leaves=10,
)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_gives_the_event_beside_it(sample: Path) -> None:
    text = orjson.loads(sample.read_bytes())
    body = orjson.loads(encode(parse.record(text["record"], PARIS, NOW), "/north/doors", NOW))
    assert body["data"].pop("raw") == text["record"]
    assert {key: body[key] for key in text["expect"]} == text["expect"]


def test_every_code_has_a_type_of_the_taxonomy() -> None:
    assert {row.type for row in (*codes.CODES.values(), codes.UNKNOWN)} <= set(TYPES)


def test_a_code_that_nobody_lists_keeps_its_word() -> None:
    event = parse.record({"id": 1, "kind": "sang"}, PARIS, NOW)
    assert (event.type, event.data["code"], event.quarantined) == ("device.unknown", "sang", True)


@pytest.mark.parametrize(
    ("at", "wanted"),
    [
        ("2026-11-20T08:00:00", "2026-11-20T07:00:00+00:00"),  # without an offset: the source's zone
        ("2026-11-20T08:00:00Z", "2026-11-20T08:00:00+00:00"),
        ("2036-11-20T08:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        (7, None),
    ],
)
def test_a_time_that_cannot_be_is_none(at: object, wanted: str | None) -> None:
    time = parse.record({"id": 1, "at": at}, PARIS, NOW).time
    assert (time and time.astimezone(UTC).isoformat()) == wanted


@given(JSON)
def test_whatever_comes_is_an_event_or_a_message_error(fields: Any) -> None:
    with suppress(MessageError):
        parse.record(fields, PARIS, NOW)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"records": 1}', b'{"batch": "x", "records": []}'])
def test_an_answer_that_is_none_is_a_message_error(body: bytes) -> None:
    with pytest.raises(MessageError):
        parse.batch(body)
