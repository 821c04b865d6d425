"""Held against the vendor's document and the field's facts: every example and row is the one that is printed there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.vendors.kinot import answers, codes, parse
from pump.vendors.kinot.numbers import decode
from tests.unit.vendors.kinot.test_parse import DATA, NOW, ROWS, SAMPLES, UTC_ZONE, step

SHARED = Path(__file__).parents[5] / "shared"
DOCUMENT = SHARED / "vendor" / "kinot-open-platform.md"
FIELD = Path(__file__).parents[4] / "docs" / "field.md"

needs_document = pytest.mark.skipif(not DOCUMENT.exists(), reason="the vendor's document is not here")


@needs_document
def test_each_example_of_the_document_is_here_as_printed() -> None:
    printed = [block.strip() for block in re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)]
    assert len(printed) == 21
    samples = {str(orjson.loads(sample.read_bytes())["text"]).strip() for sample in SAMPLES}
    others = {block.strip() for block in (DATA / "kinot_answers.txt").read_text().split("-----\n")[1:]}
    assert set(printed) <= samples | others
    assert others <= set(printed)


@needs_document
def test_each_row_that_enumerates_values_is_here_as_printed() -> None:
    told = re.compile(r"\(0[:：]|=>|number \d+ means|’ or ‘")
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|") and told.search(line)]
    assert rows == (DATA / "kinot_tables.txt").read_text().splitlines()[1:]


def test_both_words_of_a_gateway_and_all_states_of_a_command_reach_their_event() -> None:
    for word, online in (("online", True), ("offline", False)):
        fields = {"sn": 644219880, "online": word, "updated_at": "2026-11-20T15:00:00+08:00"}
        (event,) = parse.compare(parse.gateway(fields, UTC_ZONE, NOW), None).events
        assert (event.type, event.data["code"]) == ("device.online" if online else "device.offline", word)
    states = next(row[2] for row in ROWS if row[0] == "commnad_status")
    for word in states[states.index("(") + 1 : -1].split("=>"):
        event = parse.command({"guid": "ED33", "commnad_status": word}, UTC_ZONE, NOW)
        assert event.data["command"] == {"request_id": "ED33", "status": word}
        assert event.data["severity"] == ("warning" if word == "failed" else "info")


ERRORS = {
    "10000": "Kinot has an internal error",
    "10012": "Kinot refuses the body or the query",
    "10013": "Kinot refuses the path",
    "10016": "Kinot does not know this API",
    "10111": "Kinot has no such record",
}
"""docs/field.md, "Codes of errors"."""
TYPES = {"17": "arm lock", "18": "parking lock", "26": "flat lock", "33": "radar", "34": "parking sensor"}
"""The document's 18 and 34, and those of docs/field.md."""


def test_each_error_and_device_type_has_its_words_and_no_other_has_any() -> None:
    assert {code: answer.meaning for code, answer in answers.CODES.items()} == ERRORS
    assert {number: words for number, (_, words) in codes.CATEGORIES.items()} == TYPES
    assert {number: kind for number, (kind, _) in codes.CATEGORIES.items()} == {
        number: "lock" if "lock" in words else "sensor" for number, words in TYPES.items()
    }
    text = " ".join(FIELD.read_text().split())
    assert "10000 for an internal error, 10012 for the body or the query, 10013 for the path, 10016 for an" in text
    assert "10111 for a record that is not there." in text
    assert "18 (lock) and 34 (sensor): 17 is an arm lock, 26 a flat lock, 33 a radar." in text


@pytest.mark.parametrize(
    ("fields", "subject", "category"),
    [
        ({"device_type": 34}, "sensor/7", "parking sensor"),
        ({"device_type": "33"}, "sensor/7", "radar"),
        ({"device_type": 38}, "sensor/7", "parking sensor"),
        ({}, "sensor/7", "parking sensor"),
        ({"device_type": 77}, "sensor/7", "77"),
        ({"device_type": 38, "locked": 0}, "lock/7", "parking lock"),
        ({"device_type": 77, "locked": 0}, "lock/7", "parking lock"),
        ({"device_type": 34, "locked": 0}, "lock/7", "parking lock"),
        ({"device_type": 26, "locked": 0}, "lock/7", "flat lock"),
        ({"device_type": 17}, "lock/7", "arm lock"),
    ],
)
def test_a_device_is_called_what_its_type_and_its_fields_say(
    fields: dict[str, Any], subject: str, category: str
) -> None:
    event = step(None, **fields).events[0]
    assert (event.subject, event.data["device"]["category"]) == (subject, category)


def test_a_type_that_nobody_lists_is_kept_by_the_list_that_does_not_tell_it() -> None:
    pushed = step(None, device_type=77)
    fields = {"sn": 7, "car_detected": 0, "updated_at": "2026-11-20T15:20:00+08:00"}
    listed = parse.compare(parse.status(fields, UTC_ZONE, NOW, "sensor"), pushed.state, reconciled=True)
    assert [event.data["device"]["category"] for event in listed.events] == ["77"]


def test_every_printed_body_is_json_for_us() -> None:
    for sample in SAMPLES:
        assert isinstance(decode(orjson.loads(sample.read_bytes())["text"]), dict)
