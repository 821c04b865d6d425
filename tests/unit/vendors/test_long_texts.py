"""Texts as long as a message may be, from devices and clouds that a source trusts: what it remembers stays small."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from pump.core.event import Event
from pump.core.groups import BOUNDS
from pump.ingest.bounds import bound
from pump.vendors.avaeye.parse import moment
from pump.vendors.hik_camera import device
from pump.vendors.hik_camera.incidents import OpenIncidents
from pump.vendors.hik_camera.parse import Facts
from pump.vendors.hik_camera.parse import parse as camera
from pump.vendors.hik_connect import resource
from pump.vendors.hik_connect.marks import Marks
from pump.vendors.hik_connect.parse import normalise
from pump.vendors.hik_connect.uploads import Uploads
from pump.vendors.hik_gateway.incidents import Incidents
from pump.vendors.hik_gateway.parse import Context
from pump.vendors.hik_gateway.parse import parse as gateway
from pump.vendors.hik_gateway.presence import Presence

UTC_ZONE = ZoneInfo("UTC")
NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
ROW = 8 << 10
"""Bytes of one piece of state, with its key."""


def _long(number: int) -> str:
    return f"{number}" + "x" * (1 << 18)


def _rows(state: dict[str, Any]) -> Iterator[int]:
    for key, value in state.items():
        assert len(key.encode()) <= BOUNDS["state key"]
        yield len(key) + len(orjson.dumps(value))


_CAMERA: tuple[dict[str, Any], ...] = (
    {"eventType": "LONG"},
    {"eventType": "VMD", "channelID": "LONG"},
    {"eventType": "VMD", "channelName": "LONG", "deviceID": "LONG"},
    {"eventType": "fielddetection", "DetectionRegionList": {"DetectionRegionEntry": [{"regionID": "LONG"}] * 3}},
    {"eventType": "IO", "inputIOPortID": "LONG"},
    {"eventType": "TMA", "TMA": {"ruleName": "LONG", "thermometryUnit": "LONG", "currTemperature": 3}},
    {"eventType": "AccessControllerEvent",
     "AccessControllerEvent": {"majorEventType": 5, "subEventType": 27, "doorNo": "LONG"}},
    {"eventType": "cidEvent", "CIDEvent": {"code": "1130", "zone": "LONG", "name": "LONG", "trigger": "LONG"}},
    {"eventType": "cidEvent", "CIDEvent": {"code": "LONG", "system": "LONG", "keypad": "LONG"}},
)  # fmt: skip


def _filled(value: Any, number: int) -> Any:
    if isinstance(value, dict):
        return {name: _filled(inner, number) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, number) for inner in value]
    return _long(number) if value == "LONG" else value


@pytest.mark.parametrize("message", _CAMERA, ids=lambda one: one["eventType"])
def test_what_goes_on_at_a_camera_is_remembered_within_bounds(message: dict[str, Any]) -> None:
    matters = OpenIncidents(30.0)
    matters.load({}, 0.0)
    facts = Facts(qualifier="cam")
    keys: set[str] = set()
    for number in range(8):
        tree = {"eventState": "active", "dateTime": f"2026-11-20T08:00:0{number}+00:00", **_filled(message, number)}
        alert = camera(tree, facts, UTC_ZONE)
        events, state = matters.take(alert, float(number))
        assert all(size <= ROW for size in _rows(state))
        keys |= state.keys()
        for event in events:
            _small(event)
    if "channelID" in message:
        assert len(matters.open) == 8, "two long texts that begin alike are two"
    assert sum(map(len, matters.open)) <= 8 * BOUNDS["state key"]
    assert all(len(key) <= BOUNDS["state key"] for key in keys)


def _small(event: Event) -> None:
    event.data.pop("raw", None)
    bound(event)
    assert len(orjson.dumps([event.type, event.id, event.subject, event.data], default=str)) <= 16 << 10


def test_a_cameras_lists_are_remembered_within_bounds() -> None:
    channels = [{"id": f"{number}", "name": _long(number)[:5000]} for number in range(6000)]
    names = device.read_names(device.INPUTS, {"VideoInputChannelList": {"VideoInputChannel": channels}})
    assert len(orjson.dumps(names)) <= 2 << 20
    told = device.read_facts({"DeviceInfo": {"serialNumber": _long(1), "deviceName": _long(2), "model": _long(3)}})
    assert len(orjson.dumps(told)) <= 2 << 10


_GATEWAY: tuple[dict[str, Any], ...] = (
    {"eventType": "LONG", "devIndex": "LONG", "eventState": "active", "channelID": "LONG"},
    {"eventType": "devStatusChanged", "devIndex": "LONG", "status": "offline"},
    {"eventType": "cidEvent", "devIndex": "LONG",
     "CIDAlarm": {"CIDCode": "1130", "zoneNo": "LONG", "subSys": "LONG", "CIDParam": "1,2,LONG", "UUID": "LONG"}},
    {"eventType": "cidEvent", "devIndex": "1",
     "CIDAlarm": {"CIDCode": "LONG", "CIDDescribe": "LONG", "triggerTime": "LONG"}},
)  # fmt: skip


@pytest.mark.parametrize("message", _GATEWAY, ids=range(len(_GATEWAY)))
def test_what_goes_on_behind_a_gateway_is_remembered_within_bounds(message: dict[str, Any]) -> None:
    incidents, presence = Incidents({}), Presence()
    for number in range(8):
        alert = {"dateTime": f"2026-11-20T08:00:0{number}+00:00", **_filled(message, number)}
        parsed = gateway({"EventNotificationAlert": alert}, Context(zone=UTC))
        assert parsed is not None
        state: dict[str, Any] = {}
        assert incidents.note(parsed, state)
        presence.heard(parsed, state)
        assert all(size <= ROW for size in _rows(state))
        assert sum(map(len, presence._known)) <= 8 * BOUNDS["id"]
        _small(parsed.event)
        assert parsed.event.data["cut"]


def test_the_caches_of_a_cloud_hold_nothing_large() -> None:
    for number in range(4):
        long = _long(number)
        origin = {"sourceType": "camera", "sourceID": long, "sourceName": long, "areaName": long}
        before = resource._alarm_again.cache_info().currsize
        where = resource.of_alarm({**origin, "deviceInfo": {"devID": long, "devName": long}})
        assert resource._alarm_again.cache_info().currsize == before
        assert sum(len(text) for text in where if text) <= 9 * BOUNDS["name"]
        data: dict[str, Any] = {}
        subject = resource.locate(where, data)
        assert subject is not None
        assert len(subject) <= BOUNDS["subject"]


def test_an_alarms_states_are_counted_within_bounds() -> None:
    marks = Marks()
    for number in range(500):
        marks.begin(None, [{"msgType": "2"}], NOW)
        marks.nth("guid", f"state {number}")
    assert all(size <= ROW for size in _rows(marks.state()))


def test_a_clouds_record_becomes_an_event_within_bounds() -> None:
    long = _long(1)
    record = {
        "guid": long, "msgType": "1", "alarmState": long, "timeInfo": {"startTime": "2026-11-20T08:00:00Z"},
        "eventSource": {"eventType": long, "sourceID": long, "sourceName": long, "sourceType": "camera",
                        "deviceInfo": {"devID": long, "devName": long, "deviceSerial": long, "devCategory": long}},
        "alarmRule": {"name": long}, "alarmPriority": {"level": long},
        "fileInfo": {"file": [{"type": long, "URL": "https://example.com/" + long}]},
    }  # fmt: skip
    uploads = Uploads()
    for item in normalise("alarm", record, UTC_ZONE, NOW, uploads):
        assert isinstance(item, Event)
        _small(item)
    assert all(size <= ROW for size in _rows(uploads.state(NOW)))


def test_a_long_time_is_none_and_is_not_remembered() -> None:
    assert moment("2026-11-20 08:00:00" + " " * 1000, UTC) == NOW
    assert moment("2" * (1 << 20), UTC) is None
