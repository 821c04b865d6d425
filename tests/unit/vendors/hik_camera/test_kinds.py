"""Each kind of what devices put into a message, in every spelling and place that is known, in XML and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC
from typing import Any
from xml.sax.saxutils import escape

import pytest

from pump.core.event import Event
from pump.vendors.hik_camera.document import read_document
from pump.vendors.hik_camera.incidents import OpenIncidents
from pump.vendors.hik_camera.parse import Alert, Facts, parse

FACTS = Facts(serial="S", names={"33": "Yard"}, url="http://192.0.2.10")
NAMESPACES = ("", ' xmlns="urn:psialliance-org"', ' xmlns="http://www.isapi.org/ver20/XMLSchema"')


def elements(name: str, value: Any) -> str:
    """The value as XML: lists as elements of the same name, one after the other."""
    if isinstance(value, list):
        return "".join(elements(name, one) for one in value)
    if isinstance(value, dict):
        return f"<{name}>{''.join(elements(inner, one) for inner, one in value.items())}</{name}>"
    return f"<{name}>{escape(str(value).lower() if isinstance(value, bool) else str(value))}</{name}>"


def forms(kind: str, more: dict[str, Any], *, state: str = "active", time: str = "08:00:00") -> Iterator[bytes]:
    """The message as XML in each namespace, as JSON, and as JSON in an EventNotificationAlert."""
    whole = {
        "ipAddress": "192.0.2.10", "channelID": 1, "dateTime": f"2026-11-20T{time}Z", "activePostCount": 1,
        "eventType": kind, "eventState": state, "eventDescription": kind, **more,
    }  # fmt: skip
    for namespace in NAMESPACES:
        xml = elements("EventNotificationAlert", whole)
        yield xml.replace("<EventNotificationAlert>", f'<EventNotificationAlert version="2.0"{namespace}>', 1).encode()
    yield json.dumps(whole).encode()
    yield json.dumps({"EventNotificationAlert": whole}).encode()


def read(body: bytes) -> Alert:
    return parse(dict(read_document(body)), FACTS, UTC)


def every(kind: str, more: dict[str, Any], **how: str) -> Iterator[Alert]:
    for body in forms(kind, more, **how):
        yield read(body)


def first(kind: str, more: dict[str, Any]) -> dict[str, Any]:
    """The first event's data, the same in every form but for numbers that XML has as texts."""
    found = [alert.event.data for alert in every(kind, more)]
    return found[0]


# --- pictures by an address ---------------------------------------------------------------------------------------

ADDRESS = "http://192.0.2.10/picture?name=ch7_1&size=4096"
BY_ADDRESS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "background": (
        "VMD", {"detectionPictureTransType": "url", "detectionPicturesNumber": 1, "bkgUrl": ADDRESS}, [ADDRESS],
    ),
    "more counted than named": (
        "linedetection", {"detectionPictureTransType": "url", "detectionPicturesNumber": 3, "bkgUrl": ADDRESS},
        [ADDRESS],
    ),
    "imageTransType": ("linedetection", {"imageTransType": "URL", "picNum": 1, "bkgURL": ADDRESS}, [ADDRESS]),
    "no word of how": ("fielddetection", {"detectionPicturesNumber": 1, "bkgUrl": ADDRESS}, [ADDRESS]),
    "by address and none there": ("fielddetection", {"detectionPictureTransType": "url", "picNum": 1}, []),
    "local address": ("fielddetection", {"pictureURLType": "localURL", "picNum": 1, "pictureUrl": ADDRESS}, [ADDRESS]),
    "region": (
        "TMA",
        {"DetectionRegionList": {"DetectionRegionEntry": [{"regionID": 1, "visibleLightURL": ADDRESS},
                                                          {"regionID": 2, "thermalURL": f"{ADDRESS}2"}]}},
        [ADDRESS, f"{ADDRESS}2"],
    ),
    "plate": ("ANPR", {"ANPR": {"licensePlate": "A1", "pictureInfoList": {"pictureInfo": [
        {"fileName": "a.jpg", "pictureURL": ADDRESS},
        {"fileName": "b.jpg", "pictureURL": f"{ADDRESS}2"}]}}, "picNum": 2},
        [ADDRESS, f"{ADDRESS}2"]),
    "door": (
        "AccessControllerEvent",
        {"AccessControllerEvent": {"majorEventType": 5, "subEventType": 75, "serialNo": 1, "picturesNumber": 1,
                                   "pictureURL": ADDRESS}},
        [ADDRESS],
    ),
    "faces": (
        "faceCapture",
        {"faceCapture": [{"targetAttrs": {"bkgUrl": ADDRESS},
                          "faces": [{"URL": f"{ADDRESS}1"}, {"URL": f"{ADDRESS}2"}]}]},
        [ADDRESS, f"{ADDRESS}1", f"{ADDRESS}2"],
    ),
    "one face": (
        "alarmResult", {"alarmResult": {"targetAttrs": {"bkgUrl": ADDRESS}, "faces": {"faceURL": f"{ADDRESS}1"}}},
        [ADDRESS, f"{ADDRESS}1"],
    ),
    "targets": (
        "mixedTargetDetection", {"CaptureResult": [{"Human": {"pictureURL": ADDRESS}}, {"Face": {"picUrl": ADDRESS}}]},
        [ADDRESS],
    ),
    "path": ("VMD", {"bkgUrl": "/picture/1.jpg"}, ["http://192.0.2.10/picture/1.jpg"]),
    "unknown type": ("gooseDetection", {"goosePicUrl": ADDRESS}, [ADDRESS]),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_ADDRESS)
def test_a_picture_by_address_is_a_medium_and_nothing_is_waited_for(name: str) -> None:
    kind, more, addresses = BY_ADDRESS[name]
    for alert in every(kind, more):
        media = alert.event.data.get("media", [])
        assert [one["url"] for one in media] == addresses
        assert [one["id"] for one in media] == [f"{alert.event.id}/{n}" for n in range(len(media))]
        assert {(one["kind"], one["state"]) for one in media} <= {("picture", "remote")}
        assert alert.pictures == 0


@pytest.mark.parametrize(
    ("kind", "more", "pictures"),
    [
        ("linedetection", {"detectionPictureTransType": "binary", "detectionPicturesNumber": 2}, 2),
        ("linedetection", {"detectionPictureTransType": "binary", "picNum": 1, "bkgUrl": ADDRESS}, 1),
        ("linedetection", {"URLCertificationType": "digest"}, None),
        ("ANPR", {"ANPR": {"pictureInfoList": {"pictureInfo": [{"fileName": "a"}, {"pictureURL": ADDRESS}]}}}, 1),
        ("VMD", {"callbackURL": ADDRESS, "rtspUrl": "rtsp://192.0.2.10/1"}, None),
    ],
)  # fmt: skip
def test_pictures_that_follow_are_waited_for(kind: str, more: dict[str, Any], pictures: int | None) -> None:
    for alert in every(kind, more):
        assert alert.pictures == pictures


def test_a_clip_is_no_picture() -> None:
    for alert in every("fielddetection", {"videoURL": "http://192.0.2.10/clips/1.mp4"}):
        assert [(one["kind"], one["mime"]) for one in alert.event.data["media"]] == [("video", "video/mp4")]
        assert alert.pictures is None


def test_the_media_of_an_end_carry_its_id() -> None:
    matters = OpenIncidents(10.0)
    matters.take(read(next(forms("VMD", {}))), 0.0)
    ((end,), _) = matters.take(read(next(forms("VMD", {"bkgUrl": ADDRESS}, state="inactive", time="08:00:09"))), 1.0)
    assert end.data["media"][0]["id"] == f"{end.id}/0"


def test_an_address_that_a_repetition_brings_is_a_second_upload_of_the_start() -> None:
    matters = OpenIncidents(10.0)
    ((start,), _) = matters.take(read(next(forms("VMD", {}))), 0.0)
    assert matters.take(read(next(forms("VMD", {}, time="08:00:01"))), 1.0)[0] == []
    ((update,), _) = matters.take(read(next(forms("VMD", {"bkgUrl": ADDRESS}, time="08:00:02"))), 2.0)
    assert (update.data["updates"], update.data["incident"], update.data["update"]) == (start.id, start.id, True)
    assert update.data["media"][0]["id"] == f"{update.id}/0"
    assert matters.take(read(next(forms("VMD", {"bkgUrl": f"{ADDRESS}2"}, time="08:00:03"))), 3.0)[0] == []
    ((end,), _) = matters.take(read(next(forms("VMD", {}, state="inactive", time="08:00:04"))), 4.0)
    assert end.data["count"] == 4


# --- marks ---------------------------------------------------------------------------------------------------------

MARKS: list[tuple[dict[str, Any], bool]] = [
    ({"isDataRetransmission": True}, True), ({"isDataRetransmission": "true"}, True),
    ({"isDataRetransmission": 1}, True),
    ({"isDataRetransmission": False}, False), ({"isDataRetransmission": "false"}, False), ({}, False),
    ({"alarmDataType": 1}, True), ({"alarmDataType": "1"}, True), ({"alarmDataType": 0}, False),
    ({"alarmDataType": "history"}, True), ({"alarmDataType": ""}, False),
    ({"isDataRetransmission": False, "alarmDataType": 1}, True),
]  # fmt: skip


@pytest.mark.parametrize(("mark", "late"), MARKS, ids=str)
def test_what_was_stored_is_late_wherever_the_mark_is(mark: dict[str, Any], late: bool) -> None:
    for kind, part in (
        ("ANPR", "ANPR"), ("linedetection", "DetectionRegionList"), ("AccessControllerEvent", "AccessControllerEvent"),
        ("cidEvent", "CIDEvent"), ("vehicleMatchResult", "VehicleMatchResult"), ("gooseDetection", "Goose"),
    ):  # fmt: skip
        inside = {"majorEventType": 5, "subEventType": 1, "code": 3401, "x": 1}
        for more in ({**mark, part: inside}, {part: {**inside, **mark}}):
            for alert in every(kind, more):
                assert alert.event.data["late"] is late


@pytest.mark.parametrize(("sent", "late"), [(True, False), (False, True), ("false", True), (0, True), (None, False)])
def test_a_door_that_was_offline_is_late(sent: Any, late: bool) -> None:
    event = {"majorEventType": 5, "subEventType": 1, "serialNo": 1} | ({} if sent is None else {"currentEvent": sent})
    for alert in every("AccessControllerEvent", {"AccessControllerEvent": event}):
        assert alert.event.data["late"] is late


@pytest.mark.parametrize("mark", [{}, *(mark for mark, _ in MARKS if mark)], ids=str)
@pytest.mark.parametrize("word", ["other", "cidEvent", "heartBeat"])
def test_a_keep_alive_with_marks_is_none_the_less(word: str, mark: dict[str, Any]) -> None:
    rest = {"channelName": "Gate", "deviceUUID": "d-1", "UUID": "u-1", "serialNo": 7, "picNum": 0, "hasMoreData": False}
    for more in (mark, {**mark, **rest}, {**mark, "CIDEvent": {}} if word == "cidEvent" else mark):
        for state in ("active", "inactive"):
            for alert in every(word, more, state=state):
                assert alert.heartbeat
    if word != "heartBeat":
        assert not any(alert.heartbeat for alert in every(word, {**mark, "picNum": 1, "goose": "grey"}))


def test_the_end_of_a_live_matter_is_not_that_of_a_stored_one() -> None:
    matters, late = OpenIncidents(10.0), {"isDataRetransmission": True}

    def take(state: str, time: str, more: dict[str, Any]) -> list[Event]:
        return matters.take(read(next(forms("fielddetection", more, state=state, time=time))), 100.0)[0]

    (live,) = take("active", "09:00:00", {})
    (stored,) = take("active", "08:00:00", late)
    assert stored.data["incident"] == stored.id != live.id
    assert stored.data["late"] is True
    assert take("active", "09:00:05", {}) == []
    (end,) = take("inactive", "08:00:30", late)
    assert end.data["incident"] == stored.id
    assert end.data["late"] is True
    (end,) = take("inactive", "09:00:30", late)
    assert end.data["incident"] == live.id, "it was sent late, and ends what began before it"


# --- duration ------------------------------------------------------------------------------------------------------

CONTINUING: list[dict[str, Any]] = [
    {"relationEvent": "fielddetection"}, {"relationEvent": "FieldDetection"},
    {"DurationList": {"Duration": {"relationEvent": "fielddetection"}}},
    {"DurationList": {"Duration": [{"relationEvent": "VMD"}, {"relationEvent": "fielddetection"}]}},
    {"DurationList": [{"relationEvent": "fielddetection"}]},
    {"DurationList": {"Duration": {"relationEvent": "fielddetection", "regionID": 1}}},
    {"DetectionRegionList": {"DetectionRegionEntry": {"regionID": 1}}, "relationEvent": "fielddetection"},
]  # fmt: skip


@pytest.mark.parametrize("more", CONTINUING, ids=str)
@pytest.mark.parametrize("region", [None, "1"])
def test_a_duration_keeps_its_matter_alive_and_is_no_event(more: dict[str, Any], region: str | None) -> None:
    where = {"DetectionRegionList": {"DetectionRegionEntry": {"regionID": region}}} if region else {}
    for form in range(5):
        matters = OpenIncidents(10.0)
        ((start,), _) = matters.take(read(list(forms("fielddetection", where))[form]), 0.0)
        for second in range(5, 60, 5):
            body = list(forms("duration", more, time=f"08:00:{second:02}"))[form]
            assert matters.take(read(body), float(second))[0] == []
            assert matters.expire(float(second) + 4.0) == ([], {})
        ((end,), _) = matters.expire(65.0)
        assert end.data["incident"] == start.id
        assert end.data["count"] == 1
        assert end.time is not None
        assert end.time.second == 55, "it lasted as long as the device said"


@pytest.mark.parametrize(
    "more",
    [
        {}, {"relationEvent": ""}, {"relationEvent": "linedetection"},
        {"relationEvent": "fielddetection", "channelID": 2},
        {"DurationList": []},
    ],
    ids=str,
)  # fmt: skip
def test_a_duration_of_something_else_changes_nothing(more: dict[str, Any]) -> None:
    for body in forms("duration", more, time="08:00:09"):
        matters = OpenIncidents(10.0)
        matters.take(read(next(forms("fielddetection", {}))), 0.0)
        assert matters.take(read(body), 9.0) == ([], {})
        assert len(matters.expire(10.0)[0]) == 1


def test_a_duration_of_a_recorders_channel_is_that_channels() -> None:
    matters = OpenIncidents(10.0)
    channel = {"channelID": "", "dynChannelID": 33}
    matters.take(read(next(forms("fielddetection", channel))), 0.0)
    matters.take(read(next(forms("duration", {**channel, "relationEvent": "fielddetection"}))), 9.0)
    assert matters.expire(12.0) == ([], {})


# --- temperatures --------------------------------------------------------------------------------------------------


def _region(number: Any, part: str | None, degrees: Any, **more: Any) -> dict[str, Any]:
    found = {"currTemperature": degrees, "ruleTemperature": 50.0, "ruleType": "highest", **more}
    return {"regionID": number, **({part: found} if part else found)}


THERMAL: dict[str, tuple[dict[str, Any], list[tuple[str | None, float, str]]]] = {
    "flat": ({"currTemperature": 61.5}, [(None, 61.5, "°C")]),
    "part": ({"TMA": {"currTemperature": 61.5, "thermometryUnit": "celsius"}}, [(None, 61.5, "°C")]),
    "one region": ({"DetectionRegionList": {"DetectionRegionEntry": _region(2, "TMA", 61.5)}}, [("2", 61.5, "°C")]),
    "no part": ({"DetectionRegionList": {"DetectionRegionEntry": _region(2, None, 61.5)}}, [("2", 61.5, "°C")]),
    "other part": ({"DetectionRegionList": {"DetectionRegionEntry": _region(2, "TMPA", 7)}}, [("2", 7, "°C")]),
    "entry alone": ({"DetectionRegionEntry": _region(2, "TMA", 61.5)}, [("2", 61.5, "°C")]),
    "list of regions": (
        {"DetectionRegionList": {"DetectionRegionEntry": [_region(1, "TMA", 61.5), _region(3, "TMA", 70)]}},
        [("1", 61.5, "°C"), ("3", 70, "°C")],
    ),
    "one that does not speak": (
        {"DetectionRegionList": {"DetectionRegionEntry": [{"regionID": 1}, _region(3, "TMA", 70)]}}, [("3", 70, "°C")],
    ),
    "fahrenheit of all": (
        {"thermometryUnit": "fahrenheit", "DetectionRegionList": {"DetectionRegionEntry": _region(1, "TMA", 140)}},
        [("1", 140, "°F")],
    ),
    "text": ({"DetectionRegionList": {"DetectionRegionEntry": _region("1", "TMA", "61.5")}}, [("1", 61.5, "°C")]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["TMA", "TMPA", "TMDA", "thermometry"])
@pytest.mark.parametrize("name", THERMAL)
def test_temperatures_are_measured_region_by_region(kind: str, name: str) -> None:
    more, wanted = THERMAL[name]
    for alert in every(kind, more):
        alerts = [alert, *alert.others]
        data = [one.event.data for one in alerts]
        found = [(one.get("place", {}).get("zone"), one["measure"]["value"], one["measure"]["unit"]) for one in data]
        assert found == wanted
        if "Region" in next(iter(more)) or "unit" in next(iter(more)).lower():
            assert {one["measure"]["threshold"] for one in data} == {50}
            assert {one["alarm"]["rule"] for one in data} == {"highest"}
        assert len({one.event.id for one in alerts}) == len({one.matter for one in alerts}) == len(wanted)


def test_each_region_begins_and_ends_by_itself() -> None:
    matters = OpenIncidents(10.0)

    def take(state: str, time: str, *regions: dict[str, Any]) -> list[Event]:
        listed = {"DetectionRegionList": {"DetectionRegionEntry": list(regions)}}
        alert = read(next(forms("TMA", listed, state=state, time=time)))
        return [event for one in (alert, *alert.others) for event in matters.take(one, 100.0)[0]]

    starts = take("active", "08:00:00", _region(1, "TMA", 60), _region(2, "TMA", 70))
    assert take("active", "08:00:01", _region(1, "TMA", 61), _region(2, "TMA", 71)) == []
    (end,) = take("inactive", "08:00:02", _region(2, "TMA", 40))
    assert end.data["incident"] == starts[1].id
    take("active", "08:00:03", _region(2, "TMA", 71))
    assert len(take("inactive", "08:00:04", {"regionID": 1}, {"regionID": 2})) == 2, "without any temperature"
    assert not matters.open


# --- counts --------------------------------------------------------------------------------------------------------

Counts = list[tuple[str | None, str, float, str]]
COUNTING: dict[str, tuple[str, dict[str, Any], Counts]] = {
    "in and out": (
        "PeopleCounting", {"peopleCounting": {"enter": 9, "exit": 3, "pass": 1}},
        [(None, "entered", 9, "people"), (None, "exited", 3, "people"), (None, "passed", 1, "people")],
    ),
    "frames": ("framesPeopleCounting", {"FramesPeopleCounting": {"regionID": 1, "framesPeopleCountingNum": 6}},
               [("1", "present", 6, "people")]),
    "frames of two regions": (
        "framesPeopleCounting",
        {"FramesPeopleCounting": [{"regionID": 1, "framesPeopleCountingNum": 7},
                                  {"regionID": 2, "framesPeopleCountingNum": 7}]},
        [("1", "present", 7, "people"), ("2", "present", 7, "people")],
    ),
    "regions in a list": (
        "framesPeopleCounting",
        {"framesPeopleCounting": {"RegionList": {"Region": [{"regionID": 1, "peopleNum": 2},
                                                            {"regionID": 2, "peopleNum": 0}]}}},
        [("1", "present", 2, "people"), ("2", "present", 0, "people")],
    ),
    "the whole and its regions": (
        "PeopleCounting",
        {"peopleCounting": {"enter": 9, "exit": 3, "RegionList": {"Region": [
            {"id": 1, "name": "Door", "enter": 4, "exit": 3}, {"id": 2, "name": "Gate", "enter": 5, "exit": 0}]}}},
        [(None, "entered", 9, "people"), (None, "exited", 3, "people"), ("1", "entered", 4, "people"),
         ("1", "exited", 3, "people"), ("2", "entered", 5, "people"), ("2", "exited", 0, "people")],
    ),
    "whoever comes": (
        "PeopleCounting",
        {"peopleCounting": {"regionsID": 1, "enter": 22, "exit": 9, "vehicleEnter": 176, "bicycleExit": 3,
                            "childEnter": 2}},
        [("1", "entered", 22, "people"), ("1", "exited", 9, "people"), ("1", "entered", 176, "vehicles"),
         ("1", "exited", 3, "bicycles"), ("1", "entered", 2, "children")],
    ),
    "targets": (
        "regionTargetNumberCounting",
        {"ruleID": 1, "CountingList": {"DataList": [
            {"statisticalDirection": "forward", "humanCount": 114, "nonMotorCount": 18, "vehicleCount": 398},
            {"statisticalDirection": "bothway", "humanCount": 207}]}},
        [("1", "forward", 114, "people"), ("1", "forward", 18, "bicycles"), ("1", "forward", 398, "vehicles"),
         ("1", "both ways", 207, "people")],
    ),
    "one target": (
        "regionTargetNumberCounting", {"RegionTargetNumberCounting": {"humanNum": 2}}, [(None, "counted", 2, "people")],
    ),
    "a name that no list has": (
        "PeopleCounting", {"peopleCounting": {"dogNum": 2, "turnBack": 1, "regionID": 4, "sensitivityLevel": 50}},
        [("4", "dog num", 2, "1"), ("4", "turn back", 1, "1")],
    ),
    "queue": (
        "personQueueRealTimeData",
        {"personQueueRealTimeDate": {"targetID": 53, "ruleID": 1, "personState": "enter", "waitTime": 4,
                                     "peopleNum": 3}},
        [("1", "present", 3, "people")],
    ),
    "density by the clock": (
        "personDensityDetection",
        {"personDensityResult": {"Target": [{"recognitionType": "human", "TargetInfo": {
            "dataSource": "PDC", "framesPeopleCounting_number": 4, "regionName": "Area1", "regionID": 1}}]}},
        [("1", "present", 4, "people")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTING)
def test_every_number_of_a_count_is_an_event_of_its_region(name: str) -> None:
    kind, more, wanted = COUNTING[name]
    for alert in every(kind, more):
        data = [event.data for event in alert.events]
        found = [
            (one.get("place", {}).get("zone"), one["measure"]["what"], one["measure"]["value"], one["measure"]["unit"])
            for one in data
        ]
        assert found == wanted
        assert len({event.id for event in alert.events}) == len(wanted)
        assert {event.data["phase"] for event in alert.events} == {"pulse"}


def test_the_counting_method_is_told() -> None:
    for alert in every("PeopleCounting", {"peopleCounting": {"statisticalMethods": "timeRange", "enter": 1}}):
        assert alert.event.data["measure"]["method"] == "timeRange"


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("personQueueCounting",
         {"PersonQueueCounting": [{"regionID": 1, "peopleNum": 5}, {"regionID": 2, "peopleNum": 8}]}),
        ("personDensityDetection", {"personDensityResult": {"Target": [
            {"TargetInfo": {"dataSource": "PQA", "PQA": {"alarmCount": 5}, "regionID": 1}},
            {"TargetInfo": {"dataSource": "PQA", "PQA": {"alarmCount": 8}, "regionID": 2}}]}}),
    ],
)  # fmt: skip
def test_a_queue_that_is_too_long_is_a_matter_of_its_region(kind: str, more: dict[str, Any]) -> None:
    for alert in every(kind, more):
        matters = OpenIncidents(10.0)
        events = [event for one in (alert, *alert.others) for event in matters.take(one, 0.0)[0]]
        assert [(event.data["place"]["zone"], event.data["measure"]["value"]) for event in events] == [
            ("1", 5),
            ("2", 8),
        ]
        assert [event.data["phase"] for event in events] == ["start", "start"]


# --- plates, faces, panels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "listed"),
    [
        ("white", "allowlist"), ("whitelist", "allowlist"), ("whiteList", "allowlist"), ("White List", "allowlist"),
        ("allowList", "allowlist"), ("black", "blocklist"), ("blacklist", "blocklist"), ("BLACK", "blocklist"),
        ("blockList", "blocklist"), ("temporary", "temporary"), ("temporaryList", "temporary"), ("otherList", "other"),
        ("Guests of the house", "Guests of the house"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["listType", "vehicleListName"])
def test_the_list_that_holds_a_plate(name: str, sent: str, listed: str) -> None:
    for alert in every("ANPR", {"ANPR": {"licensePlate": "ZZ12345", name: sent}}):
        assert alert.event.data["vehicle"] == {"plate": "ZZ12345", "list": listed}
    for kind in ("vehicleMatchResult", "VehicleMatchResult"):
        result = {name: sent, "PlateInfo": {"plate": "ZZ12345", "plateColor": "white"}}
        for alert in every(kind, {"VehicleMatchResult": result}):
            assert alert.event.type == "vehicle.matched"
            assert alert.event.data["vehicle"] == {"plate": "ZZ12345", "plate_color": "white", "list": listed}


def test_a_category_counts_before_a_lists_own_name() -> None:
    for alert in every("ANPR", {"ANPR": {"vehicleListName": "Staff", "listType": "white"}}):
        assert alert.event.data["vehicle"]["list"] == "allowlist"


def test_a_match_is_no_pass() -> None:
    assert {alert.event.type for alert in every("ANPR", {"ANPR": {"licensePlate": "A"}})} == {"vehicle.passed"}


def test_of_a_faces_candidates_the_most_similar_is_told() -> None:
    near = {"similarity": 0.9, "FDLibName": "Staff", "reserve_field": {"name": "Ada"}}
    far = {"similarity": 0.3, "FDLibName": "Guests", "reserve_field": {"name": "Eve"}}
    for candidates in ([far, near], [near, far], near):
        faces = [{"identify": [{"maxsimilarity": 0.9, "candidate": candidates}]}]
        for alert in every("alarmResult", {"alarmResult": [{"faces": faces}], "targetType": "face"}):
            target = alert.event.data["target"]
            assert target == {"kind": "face", "person": "Ada", "similarity": 0.9, "list": "Staff"}
    for alert in every("alarmResult", {"alarmResult": [{"faces": [{"identify": [{"maxsimilarity": 0.2}]}]}]}):
        assert alert.event.data["target"] == {"similarity": 0.2}


@pytest.mark.parametrize("name", ["detectionTarget", "targetType", "recognitionType"])
def test_the_kind_of_target_is_told(name: str) -> None:
    regions = {"DetectionRegionList": {"DetectionRegionEntry": [{"regionID": 1, name: "human"}, {"regionID": 2}]}}
    for more in (regions, {name: "human"}):
        for alert in every("linedetection", more):
            assert alert.event.data["target"] == {"kind": "human"}


@pytest.mark.parametrize(
    ("event", "alarm", "place"),
    [
        ({"code": 3401, "user": 2, "name": "guard one"}, {"user": "guard one", "user_number": 2}, {}),
        ({"code": 3401, "name": "Ada Lovelace"}, {"user": "Ada Lovelace"}, {}),
        ({"code": 3401, "userName": "admin", "name": "Arm"}, {"user": "admin"}, {}),
        ({"code": 1401, "name": "Disarm"}, {}, {}),
        ({"code": 1302, "name": "Low system battery"}, {}, {}),
        ({"code": 1103, "name": "Instant alarm of a zone"}, {}, {}),
        ({"code": 9999, "name": "Something new"}, {}, {}),
        ({"code": 3401, "system": 1, "subSystemName": "Hall"}, {"partition": 1}, {"partition": "Hall"}),
        (
            {"code": 1103, "system": 1, "subSystemName": "Hall", "zone": 3, "zoneName": "Window"},
            {"zone": 3, "partition": 1}, {"zone": "Window", "partition": "Hall"},
        ),
        ({"code": 1103, "zone": 3}, {"zone": 3}, {"zone": 3}),
    ],
    ids=str,
)  # fmt: skip
def test_who_and_where_of_a_panel(event: dict[str, Any], alarm: dict[str, Any], place: dict[str, Any]) -> None:
    for alert in every("cidEvent", {"CIDEvent": {**event, "trigger": "2026-11-20T08:00:00Z"}}):
        data = alert.event.data
        found = {name: value for name, value in data["alarm"].items() if name not in ("cid", "mode", "kind")}
        assert found == alarm
        assert data.get("place", {}) == place
        if "zone" in event:
            assert alert.event.subject == f"zone/{event['zone']}", "a name may change, the number is the zone's"


def test_a_radar_that_loses_its_targets_ends_the_matter() -> None:
    def targets(*gone: bool) -> dict[str, Any]:
        return {"MultiRadarTargetEventList": [{"targetID": n, "isTargetDisappear": one} for n, one in enumerate(gone)]}

    matters = OpenIncidents(10.0)
    ((start,), _) = matters.take(read(next(forms("MultiRadarTargetEvent", targets(False)))), 0.0)
    assert matters.take(read(next(forms("MultiRadarTargetEvent", targets(False, True), time="08:00:01"))), 1.0)[0] == []
    ((end,), _) = matters.take(read(next(forms("MultiRadarTargetEvent", targets(True, True), time="08:00:02"))), 2.0)
    assert (start.type, end.data["incident"]) == ("security.target.tracked", start.id)
