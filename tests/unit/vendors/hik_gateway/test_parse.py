"""The parser against samples whose expectations were worked out by hand from the document, and against anything."""

from __future__ import annotations

import json
import re
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pump.vendors.hik_gateway
from pump.core.errors import MessageError
from pump.core.event import Event, encode
from pump.core.taxonomy import PHASES, SEVERITIES, TYPES
from pump.vendors.common.hik_alarms import ALARM
from pump.vendors.common.hik_cid import CODES
from pump.vendors.hik_gateway.codes import ZONES
from pump.vendors.hik_gateway.incidents import PREFIX, Incidents
from pump.vendors.hik_gateway.parse import Context, Device, Parsed, loads, parse, stamp

FOLDER = Path(pump.vendors.hik_gateway.__file__).parent / "samples"
ROOT = Path(__file__).parents[4]
DOCUMENT = ROOT.parent / "shared" / "vendor" / "hik-device-gateway-1.3.txt"
LIST = ROOT / "tests" / "data" / "hik_gateway_cid.txt"
CONTEXT = Context(url="http://gateway.example")


def parsed(message: Any, context: Context = CONTEXT) -> Parsed:
    found = parse(message, context)
    assert found is not None
    return found


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_sample(path: Path) -> None:
    sample = json.loads(path.read_text(encoding="utf-8"))
    message = loads(sample["part"].encode())
    found = parse(message, CONTEXT)
    expected = sample["expected"]
    if expected is None:
        assert found is None
        return
    assert found is not None
    event = found.event
    data = dict(event.data)
    assert data.pop("raw") == message
    for clip in data.get("media", []):
        assert clip["id"].startswith(event.id)
        clip["id"] = "*"
    time = event.time.isoformat() if event.time else None
    assert {"type": event.type, "time": time, "subject": event.subject, "data": data} == expected


# --- codes ----------------------------------------------------------------------------------------------------------


def table(text: str) -> dict[str, str]:
    """CIDCode to description, out of table A.3 as the scan has it: the first column is lost or strange in places."""
    return dict(re.findall(r"(?m)^(?:(?:\d{3}|　) )?([13]\d{3}) (.+)$", text[text.rindex("A.3 Hikvision CID Code") :]))


@pytest.mark.skipif(not DOCUMENT.exists(), reason="the vendor's document is not beside this checkout")
def test_every_cid_code_of_the_document_has_its_row() -> None:
    printed = table(DOCUMENT.read_text(encoding="utf-8"))
    assert len(printed) == 170
    assert {code: row.name for code, row in CODES.items()} == printed
    listed = dict(line.split(" ", 1) for line in LIST.read_text(encoding="utf-8").splitlines())
    assert listed == printed


def test_every_cid_code_of_our_own_list_has_its_row() -> None:
    listed = dict(line.split(" ", 1) for line in LIST.read_text(encoding="utf-8").splitlines())
    assert {code: row.name for code, row in CODES.items()} == listed


def test_rows_speak_the_taxonomy_s_words_and_phases_come_in_pairs() -> None:
    for code, row in CODES.items():
        assert row.type in TYPES, code
        assert row.phase in PHASES
        assert row.severity in SEVERITIES
        other = CODES.get({"1": "3", "3": "1"}[code[0]] + code[1:])
        if row.phase == "start":
            assert code[0] == "1"
            assert other is not None
            assert other.phase == "end"
        elif row.phase == "end":
            assert code[0] == "3"
            assert other is not None
            assert other.phase == "start"


@pytest.mark.parametrize(
    ("codes", "type_"),
    [
        (("1401", "1403", "1409", "1973"), "security.disarmed"),
        (("3401", "3403", "3408", "3409", "3441", "3442", "3973"), "security.armed"),
        (("1975", "1977", "1978", "1979"), "device.peripheral.deleted"),
        (("3975", "3977", "3978", "3979"), "device.peripheral.added"),
        (("1443",), "security.output.on"),
        (("3443",), "security.output.off"),
        (("1460",), "security.output.on_failed"),
        (("1461",), "security.output.off_failed"),
        (("1601",), "security.test.manual"),
        (("1602",), "security.test.periodic"),
        (("3602",), "security.test.heartbeat"),
        (("1570", "1574"), "security.bypass.set"),
        (("3570", "3574"), "security.bypass.restored"),
    ],
)
def test_placements(codes: tuple[str, ...], type_: str) -> None:
    assert {CODES[code].type for code in codes} == {type_}


def test_arming_outputs_peripherals_services_and_tests_have_types_of_their_own_and_restore_nothing() -> None:
    alike = {
        "security.armed": range(401, 410), "device.peripheral": range(975, 980), "security.service": range(960, 977),
        "security.test": range(601, 603),
    }  # fmt: skip
    for code, row in CODES.items():
        number = int(code[1:])
        if any(number in numbers for numbers in alike.values()) or number in (441, 442, 443, 460, 461, 973):
            assert row.phase == "pulse", code
        if number in (973, 975, 976):
            continue  # arming, a peripheral, and a service in the midst of them
        if number in alike["security.service"]:
            assert row.type.startswith("security.service."), code
        if number in (977, 978, 979):
            assert row.type.startswith("device.peripheral."), code
        if 401 <= number <= 409 or number in (441, 442):
            assert row.type in ("security.armed", "security.disarmed", "security.alarm.cleared"), code
    assert CODES["1976"].type.startswith("security.service.")
    # What restores: a code that has both forms under one name, and shares its incident.
    assert {code: CODES[code].phase for code in ("1103", "3103", "1302", "3302", "1942", "3942")} == {
        "1103": "start", "3103": "end", "1302": "start", "3302": "end", "1942": "start", "3942": "end",
    }  # fmt: skip


def test_time_zone_indices_meet_what_the_document_prints() -> None:
    printed = {1: -12.0, 2: -11.0, 3: -10.0, 14: -1.0, 15: 0.0, 16: 1.0, 34: 13.0, 35: 14.0}
    assert {index: ZONES[index].utcoffset(None) / timedelta(hours=1) for index in printed} == printed
    offsets = [ZONES[index].utcoffset(None) for index in sorted(ZONES)]
    assert offsets == sorted(set(offsets))
    assert len(ZONES) == 35


# --- identity, incidents --------------------------------------------------------------------------------------------


def alarm(code: str = "1130", *, uuid: str = "0", at: str = "2026-01-01 10:00:00", **more: Any) -> dict[str, Any]:
    cid = {"CIDCode": code, "UUID": uuid, "triggerTime": at, "zoneNo": 1, "subSys": 1, "timeZoneIdx": 15, **more}
    return {"EventNotificationAlert": {"devIndex": "d", "eventType": "CIDAlarm", "activePostCount": 1, "CIDAlarm": cid}}


def test_a_repeated_message_has_one_id_whatever_is_counted_or_configured() -> None:
    first = parsed(alarm()).event
    again = alarm()
    again["EventNotificationAlert"]["activePostCount"] = 99
    again["EventNotificationAlert"]["dateTime"] = "2026-01-02T00:00:00Z"
    other = Context(zone=ZoneInfo("Asia/Tokyo"), devices={"d": Device("name")}, url="http://elsewhere")
    repeated = parsed(again, other).event
    assert (repeated.id, repeated.dedup_time_ms) == (first.id, first.dedup_time_ms)
    different = [alarm("3130"), alarm(at="2026-01-01 10:00:01"), alarm(uuid="7"), alarm(zoneNo=2), alarm(subSys=2)]
    assert len({parsed(message).event.id for message in different} | {first.id}) == 6


def test_start_and_end_share_an_incident_and_the_next_start_opens_another() -> None:
    incidents, state = Incidents({}), dict[str, Any]()
    events = []
    for code, at in (("1130", "10:00:00"), ("1130", "10:00:05"), ("3130", "10:01:00"), ("1130", "11:00:00")):
        one = parsed(alarm(code, at=f"2026-01-01 {at}"))
        incidents.note(one, state)
        events.append(one.event)
    first, second, end, later = (event.data["incident"] for event in events)
    assert first == second == end == events[0].id
    assert later == events[3].id
    # What is stored tells a restart which matters are open.
    after = Incidents({key: value for key, value in state.items() if value is not None})
    restored = parsed(alarm("3130", at="2026-01-01 12:00:00"))
    after.note(restored, state)
    assert restored.event.data["incident"] == later
    assert len(after) == 0


def test_matters_that_never_end_are_bounded() -> None:
    incidents, state = Incidents({}), dict[str, Any]()
    for zone in range(5000):
        incidents.note(parsed(alarm(zoneNo=zone)), state)
    assert len(incidents) == 4096
    assert sum(key.startswith(PREFIX) and value is not None for key, value in state.items()) == 4096
    assert sum(key.startswith(ALARM) for key in state) == 1024


def test_times() -> None:
    assert stamp("2017-08-16T20:17:06.5+08:00", UTC) == stamp("2017-08-16 12:17:06.500", UTC)
    assert stamp("2017-08-16T20:17:06-6:00", UTC) == stamp("2017-08-17T02:17:06Z", UTC)
    for wrong in (None, "", "soon", "1970-01-01T00:00:00Z", "2017-13-01 00:00:00", "2017-01-01 25:00:00"):
        assert stamp(wrong, UTC) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 0x40000003}', {"a": 0x40000003}),
        ('{"a": 1,}', {"a": 1}),
        ('{"a": [1, 2,],}', {"a": [1, 2]}),
        ('{"a": ,"b": }', {"a": None, "b": None}),
        ('{"a": "tab\there"}', {"a": "tab\there"}),
        ('{"a": "0x12,}", }', {"a": "0x12,}"}),
        ('{"a": 1 /* one */}', {"a": 1}),
        ('\ufeff{"a": 1,}', {"a": 1}),
        ('{"a": NaN}', {"a": None}),
    ],
)
def test_broken_json_is_mended(text: str, value: Any) -> None:
    assert loads(text.encode()) == value


@pytest.mark.parametrize("rest", ['\\"', '"', "\\", "/* ", ", ", ": ", "0x", "[{", "\\\\"])
@pytest.mark.parametrize("begin", ['{"a": "', '{"a": '])
def test_what_never_ends_takes_no_more_than_its_own_length(begin: str, rest: str) -> None:
    # In proportion to the square of it this would take hours: the suite's time-out would tell.
    with pytest.raises(ValueError, match=r"."):
        loads((begin + rest * 250_000).encode()[: 1 << 20])


# --- anything at all ------------------------------------------------------------------------------------------------

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_fields = ["CIDCode", "UUID", "triggerTime", "uploadTime", "zoneNo", "ZoneNo", "subSys", "timeZoneIdx", "CIDType",
           "CIDParam", "CIDDescribe", "videoURL"]  # fmt: skip
_likely = st.sampled_from(
    ["1130", "3130", 1130, "0", "2026-01-01 10:00:00", "1,2,3,4,5,6,7,x", -1, 16, "99999999999999999999"]
)
_cid = st.dictionaries(st.sampled_from(_fields), _likely | _values, max_size=8)
_alert = st.fixed_dictionaries(
    {},
    optional={
        "eventType": _values | st.sampled_from(["CIDAlarm", "videoReview", "heartBeat ", "devStatusChanged"]),
        "dateTime": _values | st.just("2026-01-01T00:00:00+01:00"),
        "devIndex": _values,
        "channelName": _values,
        "status": _values | st.sampled_from(["online", "offline"]),
        "CIDAlarm": _cid | _values,
        "VideoReview": st.fixed_dictionaries({"HikCIDParams": _cid}) | _cid | _values,
        "eventDescription": _values,
    },
)


@settings(max_examples=500, deadline=None)
@given(st.fixed_dictionaries({"EventNotificationAlert": _alert | _values}) | _values)
def test_any_value_parses_or_is_declared_unreadable(message: Any) -> None:
    try:
        found = parse(message, CONTEXT)
    except MessageError:
        return
    if found is not None:
        assert isinstance(found.event, Event)
        assert found.event.type in TYPES
        Incidents({}).note(found, {})
        del found.event.data["raw"]
        encode(found.event, "/site/arc", found.event.time or stamp("2026-01-01 00:00:00", UTC))  # type: ignore[arg-type]


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0x1eE+-. /*\\n', max_size=60).map(str.encode))
def test_any_bytes_load_or_raise_value_error(body: bytes) -> None:
    try:
        found = loads(body)
    except ValueError:
        return
    assert found is None or isinstance(found, dict | list | str | int | float | bool)


@given(_values)
def test_what_is_json_loads_as_json(value: Any) -> None:
    try:
        body = orjson.dumps(value)
    except TypeError:
        return
    assert loads(body) == orjson.loads(body)
