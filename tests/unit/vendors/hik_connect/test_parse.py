"""The parser against its samples, whose expectations were worked out by hand from the vendor's document."""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pump.vendors.hik_connect
from pump.core.event import Event, Unparsed, encode
from pump.vendors.hik_connect.media import LINKS
from pump.vendors.hik_connect.parse import Queue, normalise, records
from pump.vendors.hik_connect.uploads import Uploads

PARIS = ZoneInfo("Europe/Paris")
RECEIVED = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
FOLDER = Path(pump.vendors.hik_connect.__file__).parent / "samples"
SAMPLES: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
QUEUES: tuple[Queue, ...] = ("alarm", "combine", "rawmsg")


def one(queue: Queue, record: object, uploads: Uploads | None = None) -> Event:
    [event] = normalise(queue, record, PARIS, RECEIVED, uploads)
    assert isinstance(event, Event), event
    return event


def sample(name: str) -> Event:
    return one(SAMPLES[name]["queue"], copy.deepcopy(SAMPLES[name]["record"]))


def changed(name: str, **fields: Any) -> Event:
    """The sample's event after some of the record's fields were set; "a__b" is b within a."""
    record = copy.deepcopy(SAMPLES[name]["record"])
    for path, value in fields.items():
        *groups, last = path.split("__")
        inner = record
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return one(SAMPLES[name]["queue"], record)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_gives_the_event_expected_of_it(name: str) -> None:
    """Key order included; `<id>`, `<first>` and `<digest>` stand for ids, which are digests."""
    queue, uploads = SAMPLES[name]["queue"], Uploads()
    before = [one(queue, record, uploads) for record in SAMPLES[name].get("before", [])]
    event = one(queue, SAMPLES[name]["record"], uploads)
    assert re.fullmatch("[0-9a-f]{32}", event.id)
    line = orjson.loads(encode(event, "/site/teams", RECEIVED))
    data = line["data"]
    assert data.pop("raw") == SAMPLES[name]["record"]
    for entry in data.get("media", []):
        entry["id"] = entry["id"].replace(event.id, "<id>")
    if before and "updates" in data:
        data["updates"] = data["updates"].replace(before[0].id, "<first>")
    if re.fullmatch("[0-9a-f]{32}", data.get("incident", "")):
        data["incident"] = "<digest>"
    expected = SAMPLES[name]["expect"]
    assert line.get("subject") == expected["subject"]
    assert line["type"] == expected["type"]
    if expected["time"] is None:
        assert data.pop("time_source") == "received"
        assert line["time"] == "2026-11-20T08:00:00Z"
    else:
        assert line["time"] == expected["time"]
    assert json.dumps(data) == json.dumps(expected["data"]) or data == expected["data"], list(data)
    assert list(data) == list(expected["data"])


def test_start_end_confirmation_mark_and_uploads_of_one_alarm_have_ids_of_their_own() -> None:
    """docs/field.md, "Hik-Connect for Teams": an alarm's guid repeats for all of them."""
    names = ["alarm-leaving-queue", "alarm-end", "alarm-confirm", "alarm-mark"]
    assert len({SAMPLES[name]["record"]["guid"] for name in names}) == 1
    assert len({sample(name).id for name in names}) == len(names)
    assert len({sample(name).data["incident"] for name in names}) == 1
    assert sample("combine-motion").id != changed("combine-motion", eventData__fileInfo={}).id


def _signed_afresh(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: f"https://other/{k}" if k in LINKS and v else _signed_afresh(v) for k, v in value.items()}
    return [_signed_afresh(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", SAMPLES)
def test_a_redelivery_with_links_signed_afresh_has_the_same_id_and_lead(name: str) -> None:
    record = SAMPLES[name]["record"]
    first = sample(name)
    for again in (copy.deepcopy(record), _signed_afresh(record)):
        second = one(SAMPLES[name]["queue"], again)
        assert (second.id, second.dedup_time_ms) == (first.id, first.dedup_time_ms)


def test_lead_is_the_vendors_time_where_it_is_part_of_the_identity() -> None:
    assert sample("alarm-leaving-queue").dedup_time_ms == 1681376200000
    assert sample("alarm-end").dedup_time_ms == 1681376200000
    assert sample("rawmsg-access").dedup_time_ms == 1730106579000
    assert sample("rawmsg-gps").dedup_time_ms == 1683544526000, (
        "as sent: no offset counts as UTC, the configured zone does not"
    )
    assert sample("combine-motion").dedup_time_ms == sample("rawmsg-phone").dedup_time_ms == 0


def test_without_identity_the_content_serves_and_without_a_time_nothing_does() -> None:
    assert sample("rawmsg-gps").id == sample("rawmsg-gps").id
    assert sample("rawmsg-gps").id != changed("rawmsg-gps", data__more=1).id
    assert changed("rawmsg-gps", picture=[{"url": "https://a/1"}]).id == (
        changed("rawmsg-gps", picture=[{"url": "https://a/2"}]).id
    )
    nowhere = {"basicInfo__occurrenceTime": ""}
    assert changed("rawmsg-gps", **nowhere).id != changed("rawmsg-gps", **nowhere).id


def test_the_zone_never_enters_an_id() -> None:
    record = SAMPLES["alarm-local-time"]["record"]
    [paris], [tokyo] = (normalise("alarm", record, ZoneInfo(z), RECEIVED) for z in ("Europe/Paris", "Asia/Tokyo"))
    assert isinstance(paris, Event)
    assert isinstance(tokyo, Event)
    assert (paris.id, paris.dedup_time_ms) == (tokyo.id, tokyo.dedup_time_ms)
    assert paris.time != tokyo.time


def test_the_pair_of_a_camera_going_and_coming_shares_an_incident() -> None:
    gone, back = sample("combine-camera-offline"), sample("combine-camera-online")
    assert gone.data["incident"] == back.data["incident"]
    other = changed("combine-camera-online", basicInfo__resourceInfo__sourceID="another")
    assert other.data["incident"] != gone.data["incident"]


def test_a_second_upload_that_comes_again_is_the_same_update() -> None:
    entry, uploads = SAMPLES["alarm-second-upload"], Uploads()
    [before] = entry["before"]
    first = one("alarm", before, uploads)
    second = [one("alarm", entry["record"], uploads) for _ in range(2)]
    assert [event.data["updates"] for event in second] == [first.id, first.id]
    assert one("alarm", before, uploads).data["update"] is False
    alone = one("alarm", entry["record"], Uploads())
    assert alone.id == second[0].id
    assert alone.data["update"] is False
    assert alone.data["phase"] == "start"


def test_what_uploads_remember_is_bounded() -> None:
    uploads = Uploads(limit=3)
    for n in range(10):
        assert uploads.first(n, str(n), ())[1] is None
        assert not uploads.repeated(str(n), "t")
    assert uploads.first(9, "x", ("picture",))[1] == "9"
    assert uploads.first(0, "x", ("picture",))[1] is None, "forgotten"


@pytest.mark.parametrize(
    ("sent", "utc"),
    [
        ("2023-05-08 11:15:26", "2023-05-08T09:15:26Z"),
        ("2023-05-08T11:15:26", "2023-05-08T09:15:26Z"),
        ("2023-05-08T11:15:26.5+02:00", "2023-05-08T09:15:26.500000Z"),
        ("20230508T111526+08", "2023-05-08T03:15:26Z"),
        ("2023/05/08 11:15:26 GMT+8:00", "2023-05-08T03:15:26Z"),
        ("2023-05-08T11:15:26-6:00", "2023-05-08T17:15:26Z"),
        (1683537326, "2023-05-08T09:15:26Z"),
        ("1683537326000", "2023-05-08T09:15:26Z"),
        ("2024-03-31 02:30:00", "2024-03-31T01:30:00Z"),  # an hour that the clocks skip
        ("2024-10-27 02:30:00", "2024-10-27T00:30:00Z"),  # an hour that comes twice
        ("2023-02-30 11:15:26", None),
        ("1970-01-01 00:00:00", None),
        ("0001-01-01T00:00:00+08:00", None),
        ("9999-12-31T23:59:59-08:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        ({}, None),
    ],
)
def test_times(sent: object, utc: str | None) -> None:
    event = changed("rawmsg-gps", basicInfo__occurrenceTime=sent)
    line = orjson.loads(encode(event, "/s/t", RECEIVED))
    assert line["time"] == (utc or "2026-11-20T08:00:00Z")
    assert line["data"].get("time_source") == (None if utc else "received")


def test_the_local_twin_helps_where_the_utc_time_has_no_offset_or_is_missing() -> None:
    twin = {"timeInfo__startTimeLocal": "2023-04-13T16:56:40+08:00"}
    for start in ("", "2023-04-13 08:56:40", "garbage"):
        event = changed("alarm-leaving-queue", timeInfo__startTime=start, **twin)
        assert event.time is not None
        assert event.time.astimezone(UTC) == datetime(2023, 4, 13, 8, 56, 40, tzinfo=UTC)


GPS = "data__vehicleRelatedInfo__gpsInfo__"


@pytest.mark.parametrize(
    ("fields", "position"),
    [
        ({"ew": "W", "ns": "S"}, {"latitude": -50.331554, "longitude": -6.943345}),
        ({"lng": 7.5, "Ing": None, "lat": 50}, {"latitude": 50, "longitude": 7.5}),
        ({"direction": "360"}, {"heading_deg": 360}),
        ({"direction": 361}, {"heading_deg": 3.61}),
        ({"direction": 36001}, {"heading_deg": None}),
        ({"height": None, "speed": "12000000"}, {"altitude_m": None, "speed_kmh": 120}),
        ({"lat": "0", "Ing": 0.0}, {}),
        ({"lat": "91"}, {}),
        ({"lat": "nan"}, {}),
        ({"lat": ""}, {}),
    ],
)
def test_positions(fields: dict[str, Any], position: dict[str, Any]) -> None:
    event = changed("rawmsg-gps", **{GPS + name: value for name, value in fields.items()})
    found = event.data.get("position", {})
    assert bool(found) == bool(position)
    assert {name: found.get(name) for name in position} == position


@pytest.mark.parametrize(
    ("fields", "phase", "incident"),
    [
        ({}, "start", "guid"),
        ({"pulseAlarm": "0"}, "start", "guid"),
        ({"pulseAlarm": "1"}, "pulse", None),
        ({"pulseAlarm": "true"}, "pulse", None),
        ({"pulseAlarm": 1}, "pulse", None),
        ({"msgType": 0, "alarmState": 0}, "end", "guid"),
        ({"msgType": None, "alarmState": "0"}, "end", "guid"),
        ({"msgType": "2", "pulseAlarm": "1"}, "update", "guid"),
        ({"msgType": "3"}, "update", "guid"),
    ],
)
def test_phases_of_the_alarm_queue(fields: dict[str, Any], phase: str, incident: str | None) -> None:
    event = changed("alarm-leaving-queue", **fields)
    assert event.data["phase"] == phase
    assert event.data.get("incident") == (event.data["raw"]["guid"] if incident else None)


def test_a_pulse_of_a_paired_code_takes_its_phase_from_the_pair() -> None:
    camera = {"eventSource__eventType": "10057", "pulseAlarm": "1"}
    gone = changed("alarm-leaving-queue", **camera)
    back = changed("alarm-leaving-queue", **{**camera, "eventSource__eventType": "10056", "guid": "another"})
    assert (gone.data["phase"], back.data["phase"]) == ("start", "end")
    assert gone.data["incident"] == back.data["incident"] != gone.data["raw"]["guid"]


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {new if key == old else key: _renamed(inner, old, new) for key, inner in value.items()}
    return [_renamed(inner, old, new) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("alarm-leaving-queue", "linkageTypes", "linkageType"),
        ("alarm-leaving-queue", "queueRelatedInfo", "queueReletedInfo"),
        ("alarm-leaving-queue", "areaID", "areaId"),
        ("alarm-leaving-queue", "areaID", "areald"),
        ("alarm-leaving-queue", "areaID", "arealD"),
        ("alarm-leaving-queue", "sourceID", "sourceId"),
        ("alarm-second-upload", "URL", "url"),
        ("alarm-second-upload", "sourceID", "sourceld"),
        ("alarm-plate-blocklist", "anprinfo", "anprInfo"),
        ("combine-motion", "eventData", "evenData"),
        ("combine-motion", "eventData", "data"),
        ("combine-motion", "resourceInfo", "resource"),
        ("combine-motion", "url", "URL"),
        ("combine-sharp-turn", "vehicleRelatedInfo", "vehicleReletedInfo"),
        ("combine-sharp-turn", "licensePlate", "licensePlateNo"),
        ("combine-sharp-turn", "sourceld", "sourceID"),
        ("rawmsg-gps", "Ing", "lng"),
        ("rawmsg-intercom", "msgId", "msgld"),
        ("rawmsg-access", "areald", "areaId"),
        ("rawmsg-access", "deviceId", "deviceld"),
    ],
)
def test_each_spelling_reads_alike(name: str, old: str, new: str) -> None:
    record = _renamed(SAMPLES[name]["record"], old, new)
    assert record != SAMPLES[name]["record"]
    one_way, other = sample(name), one(SAMPLES[name]["queue"], record)
    for event in (one_way, other):
        event.data["media"] = [{**entry, "id": ""} for entry in event.data.get("media", [])]
        del event.data["raw"]
    assert (other.type, other.subject, other.time, other.dedup_time_ms) == (
        (one_way.type, one_way.subject, one_way.time, one_way.dedup_time_ms)
    )
    assert other.data == one_way.data
    assert other.id == one_way.id or name == "rawmsg-gps", "a record without identity is known by its content"


def _other_numbers(value: Any) -> Any:
    """Strings for whole numbers, and the reverse."""
    if isinstance(value, dict):
        return {key: _other_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_other_numbers(inner) for inner in value]
    if isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,17}", value):
        return int(value)
    return str(value) if type(value) is int else value


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "rawmsg-gps"])
def test_strings_for_numbers_and_the_reverse_read_alike(name: str) -> None:
    one_way, other = sample(name), one(SAMPLES[name]["queue"], _other_numbers(SAMPLES[name]["record"]))
    del one_way.data["raw"], other.data["raw"]
    assert (other.id, other.type, other.time, other.dedup_time_ms) == (
        one_way.id,
        one_way.type,
        one_way.time,
        one_way.dedup_time_ms,
    )
    assert other.data == one_way.data


def test_late_means_the_opposite_in_two_queues() -> None:
    assert [changed("alarm-leaving-queue", dataRetransmission=n).data["late"] for n in (0, "0", 1, "1")] == (
        [True, True, False, False]
    )
    assert [changed("combine-motion", basicInfo__dataRetransmission=n).data["late"] for n in (0, "0", 1, "1")] == (
        [False, False, True, True]
    )
    inner = "data__openDoorInfo__event__basicInfo__currentEvent"
    assert [changed("rawmsg-access", **{inner: n}).data["late"] for n in (0, 1, None)] == [True, False, False]


@pytest.mark.parametrize(
    ("queue", "fields", "type"),
    [
        ("alarm", {"alarmMainCategory": "alarmCategoryMaintenance"}, "device.unknown"),
        ("alarm", {"alarmMainCategory": "alarmCategoryDriving"}, "driving.unknown"),
        ("alarm", {"alarmMainCategory": "new"}, "video.unknown"),
        ("alarm", {"alarmMainCategory": None, "eventSource__sourceType": "door"}, "access.unknown"),
        ("alarm", {"alarmMainCategory": None, "eventSource__sourceType": "new"}, "device.unknown"),
        ("combine", {}, "video.unknown"),
        ("combine", {"basicInfo__resourceInfo__sourceType": None}, "device.unknown"),
    ],
)
def test_a_code_that_no_document_lists_keeps_its_domain_and_its_code(
    queue: str, fields: dict[str, Any], type: str
) -> None:
    if queue == "alarm":
        event = changed("alarm-leaving-queue", **{"eventSource__eventType": "123456", **fields})
    else:
        event = changed("combine-motion", eventType="123456", **fields)
    assert (event.type, event.data["code"]) == (type, "123456")


def test_unknown_enumeration_values_stay_as_they_came() -> None:
    event = changed("alarm-plate-blocklist", anprinfo__driveDirection=7, anprinfo__vehicleListType="x")
    assert event.data["vehicle"] == {"plate": "A 12345", "direction": 7, "list": "x"}
    assert changed("combine-motion", basicInfo__resourceInfo__deviceInfo__category="9999").data["device"][
        "category"
    ] == ("9999")
    assert changed("alarm-leaving-queue", alarmPriority__level="9").data["alarm"]["priority"] == "9"


POISON: list[tuple[Queue, object, tuple[object, ...]]] = [
    ("alarm", None, ()),
    ("combine", "text", ()),
    ("rawmsg", [1], ()),
    ("rawmsg", 7, ()),
    ("combine", {}, ()),
    ("alarm", {"guid": "g", "eventSource": "broken"}, ("alarm", "g")),
    ("alarm", {"guid": "g", "eventSource": {"eventType": {}}}, ("alarm", "g")),
    ("combine", {"eventId": 5, "eventType": "10002", "basicInfo": [1]}, ("combine", "5")),
    ("rawmsg", {"uuid": "u", "basicInfo": {}}, ("rawmsg", "u")),
]


@pytest.mark.parametrize(("queue", "record", "identity"), POISON)
def test_a_poison_record_is_kept_whole_with_what_identity_it_shows(
    queue: Queue, record: object, identity: tuple[object, ...]
) -> None:
    [kept] = normalise(queue, record, PARIS, RECEIVED)
    assert isinstance(kept, Unparsed)
    assert kept.raw is record
    assert kept.error
    assert kept.identity[: len(identity)] == identity
    assert bool(kept.identity) == bool(identity)


@pytest.mark.parametrize("queue", QUEUES)
def test_records_are_found_under_each_name_of_their_list(queue: Queue) -> None:
    for name in ("alarmMsg", "events", "event", "somethingNew"):
        assert records(queue, {"batchId": "1", name: [1, 2]}) == [1, 2]
    nothing: list[object] = [None, "", {}, [], {"alarmMsg": None}, {"events": []}, {"event": None, "hints": [1]}]
    assert [records(queue, data) for data in nothing] == [[]] * len(nothing)
    assert records(queue, {"event": {"a": 1}}) == [{"a": 1}]
    assert records(queue, {"alarmMsg": None, "event": [1]}) == [1]


TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT | st.sampled_from(["0", "1", "2023-05-08 11:15:26", "10002", "Msg110003"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [deeper for key, child in inner for deeper in _paths(child, (*path, key))]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Queue, Any]:
    """A sample with up to three of its values replaced by anything."""
    entry = SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))]
    record = copy.deepcopy(entry["record"])
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_paths(record)))
        if path:
            inner = record
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = draw(JSON)
    queue = cast(Literal["alarm", "combine", "rawmsg"], draw(st.sampled_from([entry["queue"], *QUEUES])))
    return queue, record


def _check(queue: Queue, record: Any) -> None:
    uploads = Uploads()
    [item] = normalise(queue, record, PARIS, RECEIVED, uploads)
    if isinstance(item, Unparsed):
        assert item.raw is record
        return
    line = encode(item, "/site/teams", RECEIVED)
    assert b"\n" not in line
    assert orjson.loads(line)["data"]["raw"] == record
    [again] = normalise(queue, copy.deepcopy(record), PARIS, RECEIVED, uploads)
    assert isinstance(again, Event)
    if item.dedup_time_ms or queue == "combine":
        assert again.dedup_time_ms == item.dedup_time_ms
    if item.dedup_time_ms:
        assert again.id == item.id


@given(st.sampled_from(QUEUES), JSON)
def test_normalise_takes_any_json(queue: Queue, record: Any) -> None:
    _check(queue, record)


@given(mutated())
def test_normalise_takes_any_damage_to_a_record(case: tuple[Queue, Any]) -> None:
    _check(*case)


DOOR = "data__openDoorInfo__event__"


@pytest.mark.parametrize(
    ("fields", "severity", "status"),
    [
        ({}, "info", "normal"),
        ({f"{DOOR}intelliInfo__temperatureInfo__temperatureStatus": 2}, "warning", "exception"),
        ({f"{DOOR}intelliInfo__temperatureInfo__temperatureStatus": "2"}, "warning", "exception"),
        ({f"{DOOR}intelliInfo__temperatureInfo__temperatureStatus": 3}, "info", "unknown"),
        ({f"{DOOR}intelliInfo__temperatureInfo": {"temperatureStatus": 2}}, "warning", "exception"),
        ({f"{DOOR}basicInfo__temperatureInfo": {"temperatureStatus": 2}, f"{DOOR}intelliInfo__temperatureInfo": None},
         "warning", "exception"),
        ({f"{DOOR}temperatureInfo": {"temperatureStatus": 2}, f"{DOOR}intelliInfo__temperatureInfo": None},
         "warning", "exception"),
        ({"data__temperatureInfo": {"temperatureStatus": 2}, f"{DOOR}intelliInfo__temperatureInfo": None},
         "warning", "exception"),
        # A higher severity stays: a duress alarm is critical whatever the temperature.
        ({"basicInfo__msgType": "Msg110007", f"{DOOR}intelliInfo__temperatureInfo__temperatureStatus": 2},
         "critical", "exception"),
        ({"basicInfo__msgType": "Msg110561", f"{DOOR}intelliInfo__temperatureInfo__temperatureStatus": 2},
         "warning", "exception"),
    ],
)  # fmt: skip
def test_an_exceptional_temperature_raises_the_severity(fields: dict[str, Any], severity: str, status: str) -> None:
    event = changed("rawmsg-access", **fields)
    assert event.data["severity"] == severity
    assert event.data["access"]["temperature_status"] == status


@pytest.mark.parametrize("spelling", ["personId", "personld", "personID"])
def test_a_persons_id_stands_beside_the_name(spelling: str) -> None:
    person = {f"{DOOR}intelliInfo__personId": None, f"{DOOR}intelliInfo__{spelling}": "p-7"}
    found = changed("rawmsg-access", **person).data["access"]
    assert (found["person"], found["person_id"]) == ("Anna Example", "p-7")
    nameless = {f"{DOOR}intelliInfo__firstName": "", f"{DOOR}intelliInfo__lastName": None}
    found = changed("rawmsg-access", **person, **nameless).data["access"]
    assert (found["person"], found["person_id"]) == ("p-7", "p-7"), "somebody stands there, by name or by id"


@pytest.mark.parametrize(
    ("sample_name", "talk"),
    [("rawmsg-intercom", "data__deviceTalkInfo__"), ("combine-intercom", "eventData__deviceTalkInfo__")],
)
@pytest.mark.parametrize(("type_", "words"), [(0, "to room"), ("1", "to call management center"), (7, 7), (None, None)])
def test_a_call_has_its_type_its_user_and_its_person(sample_name: str, talk: str, type_: Any, words: Any) -> None:
    event = changed(sample_name, **{f"{talk}callType": type_, f"{talk}userId": "u-1", f"{talk}personId": "p-1"})
    found = event.data["intercom"]
    assert (found.get("call_type"), found["user"], found["person_id"]) == (words, "u-1", "p-1")


@pytest.mark.parametrize("kind", ["0", "1", "2", "3"])
def test_an_alarm_carries_its_guid_whatever_is_said_of_it(kind: str) -> None:
    for pulse in ("0", "1"):
        event = changed("alarm-leaving-queue", msgType=kind, pulseAlarm=pulse)
        assert event.data["alarm"]["guid"] == event.data["raw"]["guid"]
