"""Statuses and command results to events: the samples, the dictionaries, and what a device may send instead."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import pump.vendors.kinot
from pump.core.errors import MessageError
from pump.core.event import Event, encode, event_id
from pump.core.schema import event_schema
from pump.core.taxonomy import TYPES
from pump.vendors.kinot import codes, numbers, parse
from pump.vendors.kinot.client import objects_of
from pump.vendors.kinot.numbers import decode, without_codes
from pump.vendors.kinot.values import clean, instant

UTC_ZONE = ZoneInfo("UTC")
NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
SAMPLES = sorted((Path(pump.vendors.kinot.__file__).parent / "samples").glob("*.json"))
DATA = Path(__file__).parents[3] / "data"
KINDS = {"lockers": "lock", "sensors": "sensor"}
SCHEMA = Draft202012Validator(event_schema())


def read(kind: str, fields: dict[str, Any], state: dict[str, Any] | None, every: bool = False) -> list[Event]:
    if kind == "command":
        return [parse.command(fields, UTC_ZONE, NOW, state)]
    if kind == "dtu_devices":
        return parse.compare(parse.gateway(fields, UTC_ZONE, NOW), state, every=every).events
    status = parse.status(fields, UTC_ZONE, NOW, KINDS.get(kind))
    return parse.compare(status, state, every=every, reconciled=kind in KINDS).events


def shown(event: Event) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(encode(event, "/north/bays", NOW))
    SCHEMA.validate(body)
    data = {name: value for name, value in body["data"].items() if name not in ("raw", "time_source")}
    if data.get("incident") == event.id:
        data["incident"] = "its own id"
    found = {"type": body["type"], "subject": body.get("subject"), "data": data}
    return found if event.time is None else {**found, "time": body["time"]}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_gives_the_events_beside_it(sample: Path) -> None:
    told = orjson.loads(sample.read_bytes())
    decoded = decode(told["text"])
    found = []
    for fields in objects_of(decoded) or [decoded]:
        found += read(told["as"], fields, told.get("state"), told.get("emit") == "all")
    assert [shown(event) for event in found] == told["expect"]
    assert "bt_match_code" not in str([event.data for event in found])
    assert "61518-59257" not in str([event.data for event in found])


def test_there_are_samples_of_every_type() -> None:
    told = {event["type"] for sample in SAMPLES for event in orjson.loads(sample.read_bytes())["expect"]}
    rows = [row for facet in (*codes.FACETS, codes.ACTIVE, codes.GATEWAY) for row in (facet.off, facet.on)]
    others = {"command.result", codes.STATUS.type, codes.UNKNOWN.type, codes.MEASURE.type}
    assert told == {row.type for row in rows} | others
    assert told <= set(TYPES)


def test_the_other_examples_of_the_document_are_read_as_printed() -> None:
    blocks = (DATA / "kinot_answers.txt").read_text().split("-----\n")[1:]
    assert len(blocks) == 9
    for block in blocks:
        assert isinstance(decode(block), dict)
    assert any(numbers.JSON.mended(block) != block for block in blocks), "one of them has a comma too many"


# --- the dictionaries -------------------------------------------------------------------------------------------------

ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for line in (DATA / "kinot_tables.txt").read_text().splitlines()[1:]
]
WORDS = {
    "down": "lowered", "up": "raised", "available": "vacated", "occupied": "occupied", "open": "opened",
    "low power": "low", "abnormal": "fault",
}  # fmt: skip


@pytest.mark.parametrize("row", [row for row in ROWS if "0" in row[2] and "1" in row[2] and row[0] != "device_type"])
def test_both_values_of_a_flag_have_their_event(row: list[str]) -> None:
    told = dict(re.findall(r"([01])[:：]([A-Za-z ]+)", row[2]))
    facet = next(facet for facet in codes.FACETS if facet.field == row[0])
    assert set(told) == {"0", "1"}
    for value, text in told.items():
        event = facet.row(int(value))
        word = WORDS.get(text)
        if word is not None:
            assert word in event.name.lower()
        else:
            assert text.lower() == "normal"
            assert re.search("normal|cleared|closed", event.name)


def test_every_flag_command_state_and_device_type_of_the_document_has_its_word() -> None:
    assert {row[0] for row in ROWS} == {
        *(facet.field for facet in codes.FACETS), "online", "commnad_status", "device_type",
    }  # fmt: skip
    states = next(row[2] for row in ROWS if row[0] == "commnad_status")
    assert states[states.index("(") + 1 : -1].split("=>") == list(codes.COMMAND_STATES)
    types = dict(re.findall(r"number (\d+) means ([a-z ]+)", next(row[2] for row in ROWS if row[0] == "device_type")))
    assert types == {"18": "parking lock", "34": "parking sensor"}
    assert {number: codes.CATEGORIES[number][1] for number in types} == types
    online = re.findall(r"‘(\w+)’", next(row[2] for row in ROWS if row[0] == "online"))
    assert set(online) == set(codes.ONLINE)


# --- what lies between two statuses -----------------------------------------------------------------------------------

FIELDS = {"sn": 7, "car_detected": 1, "low_battery": 0, "coil_fault": 0, "updated_at": "2026-11-20T15:00:00+08:00"}


def step(state: dict[str, Any] | None, *, reconciled: bool = False, every: bool = False, **fields: Any) -> parse.Result:
    status = parse.status({**FIELDS, **fields}, UTC_ZONE, NOW)
    return parse.compare(status, state, reconciled=reconciled, every=every)


def test_a_push_and_a_reading_of_the_same_moment_have_the_same_ids() -> None:
    pushed, listed = step(None, voltage=3.6), step(None, reconciled=True, bt_mac="aa", voltage=3.6)
    assert [event.id for event in pushed.events] == [event.id for event in listed.events]
    assert (
        [event.dedup_time_ms for event in pushed.events]
        == [event.dedup_time_ms for event in listed.events]
        == [1795158000000] * 3
    )
    assert [event.data["reconciled"] for event in pushed.events + listed.events] == [False] * 3 + [True] * 3


def test_a_stay_has_one_incident() -> None:
    came = step(None)
    left = step(came.state, car_detected=0, updated_at="2026-11-20T15:20:00+08:00")
    again = step(left.state, updated_at="2026-11-20T15:30:00+08:00")
    first, second = came.events[0], again.events[0]
    assert [event.data["phase"] for event in (first, *left.events, second)] == ["start", "end", "start"]
    assert left.events[0].data["incident"] == first.data["incident"] == first.id
    assert second.data["incident"] == second.id != first.id


def test_what_is_older_or_the_same_changes_nothing() -> None:
    known = step(None).state
    old = step(known, car_detected=0, updated_at="2026-11-20T14:59:59+08:00")
    assert (old.outcome, old.events, old.state) == ("old", [], None)
    same = step(known)
    assert (same.outcome, same.events, same.state) == ("unchanged", [], None)
    later = step(known, updated_at="2026-11-20T16:00:00+08:00")
    assert (later.outcome, later.events) == ("unchanged", [])
    assert later.state is not None
    assert later.state["at"] > known["at"]  # type: ignore[index]  # it is one


def told(result: parse.Result) -> list[tuple[str, object]]:
    """What was measured, of the events that tell it."""
    measures = [event.data["measure"] for event in result.events if event.type == "device.measure"]
    return [(measure["what"], measure["value"]) for measure in measures]


MEASURES: dict[str, Any] = {"voltage": 3.65, "rs_si": -90, "frequency": 38.6, "active": 1}
FIRST = [("voltage", 3.65), ("signal", -90), ("coil frequency", 38.6), ("active", True)]


def test_a_device_is_measured_at_its_first_sight_and_then_hourly() -> None:
    first = step(None, **MEASURES)
    assert told(first) == FIRST
    units = {event.data["measure"]["what"]: event.data["measure"].get("unit") for event in first.events[2:]}
    assert units == {"voltage": "V", "signal": "dBm", "coil frequency": "kHz", "active": None}
    assert len({event.id for event in first.events}) == 6
    soon = step(first.state, **MEASURES, updated_at="2026-11-20T15:59:59+08:00")
    assert (told(soon), soon.outcome) == ([], "unchanged")
    hour = step(soon.state, **MEASURES, updated_at="2026-11-20T16:00:00+08:00")
    assert (told(hour), hour.outcome) == (FIRST, "unchanged")
    assert not {event.id for event in hour.events} & {event.id for event in first.events}
    assert told(step(hour.state, **MEASURES, updated_at="2026-11-20T16:30:00+08:00")) == []


@pytest.mark.parametrize(
    ("field", "steps"),
    [
        ("voltage", [(3.65, False), (3.6, False), (3.56, False), (3.55, True), (3.5, False), (3.65, True)]),
        ("voltage", [(3.65, False), (3600, False), ("3500", True), (3.52, False)]),
        ("rs_si", [(-99.9, False), (-100, True), (-95, False), (-90, True)]),
        ("frequency", [(40, False), (36, False), (42.6, True), (43, False), (33, True)]),
        ("active", [(1, False), (0, True), (0, False), (1, True)]),
    ],
)
def test_a_change_that_matters_is_told_at_once(field: str, steps: list[tuple[Any, bool]]) -> None:
    state = step(None, **MEASURES).state
    for minute, (value, matters) in enumerate(steps, 1):
        stamp = f"2026-11-20T15:{minute:02}:00+08:00"
        result = step(state, **{**MEASURES, field: value}, updated_at=stamp)
        assert bool(told(result)) == matters, value
        assert len(told(result)) <= 1
        state = result.state


@pytest.mark.parametrize(
    ("sent", "volts"),
    [(3600, 3.6), ("3600", 3.6), (3659, 3.659), (2900.0, 2.9), (3.6, 3.6), ("3.6", 3.6), (12, 12), (0, 0), (100, 0.1)],
)
def test_millivolts_are_volts(sent: object, volts: float) -> None:
    result = step(None, voltage=sent)
    assert result.state is not None
    assert result.state["facts"]["volts"] == volts
    assert all(event.data["power"]["volts"] == volts for event in result.events)
    assert told(result) == [("voltage", volts)]
    assert result.events[0].data["raw"]["voltage"] == sent


def test_a_sensor_that_is_deactivated_and_activated_again_is_told_of() -> None:
    first = step(None, active=1)
    assert not any(event.type.startswith("device.act") for event in first.events)
    off = step(first.state, active=0, updated_at="2026-11-20T15:20:00+08:00", reconciled=True)
    assert [event.type for event in off.events] == ["device.deactivated", "device.measure"]
    assert (off.events[0].data["phase"], off.outcome) == ("start", "changed")
    unsaid = step(off.state, updated_at="2026-11-20T15:21:00+08:00")  # callbacks do not have it
    assert unsaid.events == []
    on = step(unsaid.state, active=1, updated_at="2026-11-20T15:22:00+08:00", reconciled=True)
    assert [event.type for event in on.events] == ["device.activated", "device.measure"]
    assert on.events[0].data["incident"] == off.events[0].id
    found = step(None, active=0)
    assert "device.deactivated" in [event.type for event in found.events]


def test_the_device_table_has_what_was_measured_last() -> None:
    state = step(None, **MEASURES).state
    later = step(state, updated_at="2026-11-20T15:01:00+08:00", voltage=3.61, rs_si=-95).state
    assert later is not None
    facts = {name: later["facts"][name] for name in ("volts", "rssi", "coil_frequency", "active")}
    assert facts == {"volts": 3.61, "rssi": -95, "coil_frequency": 38.6, "active": 1}


def test_a_status_that_only_measures_is_no_unknown_message() -> None:
    status = parse.status({"sn": 7, "voltage": 3600, "updated_at": "2026-11-20T15:00:00+08:00"}, UTC_ZONE, NOW)
    assert [event.type for event in parse.compare(status, None).events] == ["device.measure"]


def test_without_a_time_measures_are_told_hourly_by_their_arrival() -> None:
    state: dict[str, Any] | None = None
    ids = []
    for minutes in (0, 30, 60, 90, 121):
        status = parse.status({"sn": 7, "car_detected": 0, "voltage": 3.6}, UTC_ZONE, NOW + timedelta(minutes=minutes))
        result = parse.compare(status, state)
        state = result.state or state
        ids += [event.id for event in result.events if event.type == "device.measure"]
    assert len(ids) == len(set(ids)) == 3


def test_without_a_time_the_same_change_happens_as_often_as_it_happens() -> None:
    state: dict[str, Any] | None = None
    ids: list[str] = []
    for car in (1, 0, 0, 1, 1, 0):
        result = step(state, car_detected=car, updated_at=None)
        state = result.state or state
        ids += [event.id for event in result.events if event.type.startswith("parking.space")]
        assert all(event.time is None and event.dedup_time_ms == 0 for event in result.events)
    assert len(ids) == len(set(ids)) == 4


def test_with_emit_all_an_unchanged_status_is_an_event() -> None:
    known = step(None).state
    told = step(known, every=True, updated_at="2026-11-20T15:05:00+08:00").events
    assert [event.type for event in told] == ["device.status"]
    again = step(known, every=True, updated_at="2026-11-20T15:05:00+08:00").events
    assert told[0].id == again[0].id
    untimed = [step(known, every=True, updated_at=None).events[0].id for _ in range(2)]
    assert untimed[0] != untimed[1]
    assert step(known, every=True, reconciled=True, updated_at=None).events == []


@pytest.mark.parametrize("value", [2, "yes", None, [], {}, -1, 0.5, "", "offline?"])
def test_a_value_that_no_table_lists_changes_nothing(value: object) -> None:
    known = step(None).state
    assert step(known, car_detected=value, updated_at="2026-11-20T15:20:00+08:00").events == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T15:00:00+08:00", "2026-11-20T07:00:00+00:00"),
        ("2026-11-20 07:00:00", "2026-11-20T07:00:00+00:00"),
        ("1795158000", "2026-11-20T07:00:00+00:00"),
        ("1795158000000", "2026-11-20T07:00:00+00:00"),
        ("1970-01-01T00:00:00+00:00", None),
        ("2099-01-01T00:00:00+08:00", None),
        ("0000-00-00 00:00:00", None),
        ("yesterday", None),
        ("9" * 40, None),
        ("", None),
        (None, None),
        ([], None),
    ],
)
def test_a_time_that_cannot_be_is_none(text: object, expected: str | None) -> None:
    found = instant(text, UTC_ZONE, NOW)
    assert (None if found is None else found.astimezone(UTC).isoformat()) == expected


def test_a_time_without_an_offset_belongs_to_the_sources_zone() -> None:
    found = instant("2026-11-20 07:00:00", ZoneInfo("Asia/Shanghai"), NOW)
    assert found is not None
    assert found.utcoffset() == timedelta(hours=8)


def test_what_opens_a_lock_is_dropped_wherever_it_stands() -> None:
    secret = "61518-59257-29505"
    raw = clean({"bt_match_code": secret, "inner": [{"btMatchCode": secret, "BT_MATCH_CODE": 5}], "kept": "yes"})
    assert raw == {"inner": [{}], "kept": "yes"}
    for text in (f'{{"bt_match_code":"{secret}",', f"{{'btMatchCode': '{secret}'", f'{{"bt_match_code" : "{secret}'):
        assert secret not in without_codes(text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["sn", "guid", "commnad_status", "updated_at", "voltage", "frequency", "rs_si", "device_type", "reason", "online",
     "host", "firmware", *(facet.field for facet in codes.FACETS)]
)  # fmt: skip


@given(st.dictionaries(NAMES, JSON | st.sampled_from(["0", "1", 0, 1]), max_size=8), st.booleans())
def test_whatever_is_sent_gives_valid_events_or_poison(fields: dict[str, Any], every: bool) -> None:
    for kind in ("status", "command", "dtu_devices", "lockers"):
        try:
            events = read(kind, fields, None, every)
        except MessageError:
            continue
        for event in events:
            assert event.type in TYPES
            if len(event.data) < 100:
                shown(event)


def test_a_status_ahead_of_its_arrival_does_not_make_the_right_ones_old() -> None:
    """Its ids are those of what was sent; the order goes by the arrival."""
    ahead = step(None, updated_at="2026-11-21T12:00:00+08:00")  # 20 hours
    assert ahead.state is not None
    assert ahead.state["at"] == int(NOW.timestamp() * 1000)
    assert ahead.state["seen"] == "2026-11-20T08:00:00.000Z"
    assert ahead.events[0].id == event_id("kinot", "7", 1795233600000, "car_detected", 1)
    assert ahead.events[0].dedup_time_ms == 1795233600000
    right = step(ahead.state, car_detected=0, updated_at="2026-11-20T16:00:01+08:00")
    assert (right.outcome, [event.type for event in right.events]) == ("changed", ["parking.space.vacated"])
    within = step(None, updated_at="2026-11-20T16:09:00+08:00")
    assert within.state is not None
    assert within.state["at"] == int(NOW.timestamp() * 1000) + 9 * 60_000


def test_after_a_disbelieved_time_a_right_one_may_be_some_minutes_behind() -> None:
    """Its second is a whole one, and it was on its way; the arrival that stands for the wrong one is no device's."""
    ahead = step(None, updated_at="2026-11-21T12:00:00+08:00")
    right = step(ahead.state, car_detected=0, updated_at="2026-11-20T15:55:00+08:00")
    assert right.outcome == "changed"
    assert right.state is not None
    assert "arrived" not in right.state
    assert step(right.state, car_detected=1, updated_at="2026-11-20T15:54:59+08:00").outcome == "old"
    assert step(ahead.state, car_detected=0, updated_at="2026-11-20T15:49:00+08:00").outcome == "old"
    soon = step(None, updated_at="2026-11-20T16:05:00+08:00")  # five minutes ahead: believed
    wrong = step(soon.state, car_detected=0, updated_at="2026-11-21T12:00:00+08:00")
    assert wrong.outcome == "changed", "it came later, whatever its time"


def test_without_a_time_no_push_is_a_duplicate() -> None:
    state: dict[str, Any] | None = None
    outcomes = []
    for car in (1, 0, 1, 0):
        status = parse.status({**FIELDS, "car_detected": car, "updated_at": ""}, UTC_ZONE, NOW)
        result = parse.compare(status, state, digest=str(car))
        outcomes.append(result.outcome)
        state = result.state
    assert outcomes == ["first", "changed", "changed", "changed"]


def test_what_a_wrong_clock_left_in_the_state_is_not_believed() -> None:
    known = step(None).state
    assert known is not None
    frozen = {**known, "at": int((NOW + timedelta(hours=20)).timestamp() * 1000)}
    assert step(frozen, car_detected=0).outcome == "changed"
