"""Alarm panels on the alertStream: the same words for a CID code as the Device Gateway has, and matters that end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pump.core.clock import Clock
from pump.testing import ManualClock
from pump.vendors.common.hik_cid import CODES
from pump.vendors.hik_camera.incidents import MOST, OpenIncidents
from pump.vendors.hik_camera.parse import Facts, parse
from pump.vendors.hik_camera.simulator.server import Simulator
from pump.vendors.hik_gateway.incidents import Incidents
from pump.vendors.hik_gateway.parse import Context
from pump.vendors.hik_gateway.parse import parse as parse_gateway
from tests.unit.vendors.hik_camera.site import site
from tests.unit.vendors.hik_camera.test_incidents import of

PARIS = ZoneInfo("Europe/Paris")


def cid_event(
    code: int | None, *, at: str = "2026-11-20T09:00:00+01:00", sent: str | None = None, uuid: str | None = None,
    recheck: int | None = None, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    event = {"zone": 3, "system": 1, "type": "zoneAlarm", "trigger": at, **more}
    if code is not None:
        event["code"] = code
    found = {"eventType": "cidEvent", "eventState": "active", "dateTime": sent or at, "CIDEvent": event}
    found |= {"uuid": uuid} if uuid is not None else {}
    return found | ({"recheck": recheck} if recheck is not None else {})


def read(matters: OpenIncidents, message: dict[str, Any], now: float = 0.0) -> dict[str, Any]:
    ((event,), _) = matters.take(parse(message, Facts(serial="P"), PARIS), now)
    return {"type": event.type, "id": event.id, **event.data}


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_code_says_here_what_it_says_at_the_gateway(code: str) -> None:
    here = read(OpenIncidents(10.0), cid_event(int(code)))
    message = {
        "EventNotificationAlert": {
            "devIndex": "P", "eventType": "CIDAlarm",
            "CIDAlarm": {"CIDCode": code, "triggerTime": "2026-11-20T08:00:00Z", "zoneNo": 3, "subSys": 1},
        }
    }  # fmt: skip
    there = parse_gateway(message, Context())
    assert there is not None
    Incidents({}).note(there, {})
    data = there.event.data
    same = ("code", "name", "phase", "severity", "power")
    assert here["type"] == there.event.type
    assert {name: here.get(name) for name in same} == {name: data.get(name) for name in same}
    assert {**here["alarm"], "kind": None} == {**data["alarm"], "kind": None}
    assert here["place"] == data["place"] == {"zone": 3, "partition": 1}


@pytest.mark.parametrize(
    ("own", "standard", "type_"),
    [
        (1103, 1130, "security.alarm.instant"),  # Hikvision's own code wins
        (1999, 1130, "security.burglary"),  # unlisted: the standard's
        (1759, 3130, "security.unknown"),  # one says triggered, the other restored: neither is believed
        (None, 3401, "security.armed"),
        (1999, None, "security.unknown"),
        (None, None, "security.unknown"),
    ],
)
def test_which_of_two_codes_counts(own: int | None, standard: int | None, type_: str) -> None:
    more: dict[str, Any] = {} if standard is None else {"standardCIDcode": standard}
    assert read(OpenIncidents(10.0), cid_event(own, **more))["type"] == type_


def test_an_alarm_its_second_report_and_its_end_share_an_incident() -> None:
    matters = OpenIncidents(10.0)
    start = read(matters, cid_event(1103, uuid="a"))
    again = read(matters, cid_event(1103, uuid="a", recheck=1, sent="2026-11-20T09:00:20+01:00"))
    other = read(matters, cid_event(1103, uuid="b", zone=4))
    second = read(matters, cid_event(1103, at="2026-11-20T09:00:30+01:00", uuid="c"))
    end = read(matters, cid_event(3103, at="2026-11-20T09:01:00+01:00", uuid="d"))
    assert [one["phase"] for one in (start, again, other, second, end)] == ["start", "update", "start", "start", "end"]
    assert [one["incident"] for one in (start, again, second, end)] == [start["id"]] * 4
    assert other["incident"] == other["id"]
    assert again["type"] == "security.video_review"
    later = read(matters, cid_event(1103, at="2026-11-20T10:00:00+01:00", uuid="e"))
    assert later["incident"] == later["id"]
    assert matters.expire(1e6) == ([], {}), "silence ends no alarm"


def test_each_peripheral_has_a_matter_of_its_own() -> None:
    matters = OpenIncidents(10.0)
    parts: list[dict[str, Any]] = [{"siren": 1}, {"siren": 2}, {"repeater": 1}]
    low = [read(matters, cid_event(1919, zone=None, **one)) for one in parts]
    assert len({one["incident"] for one in low} | {one["id"] for one in low}) == 3
    back = read(matters, cid_event(3919, zone=None, siren=2))
    assert back["incident"] == low[1]["id"]
    assert len(matters.open) == 2


def test_identity_is_the_panels_own_and_not_when_it_was_sent() -> None:
    first = read(OpenIncidents(10.0), cid_event(1103))["id"]
    assert read(OpenIncidents(10.0), cid_event(1103, sent="2026-11-20T10:00:00+01:00"))["id"] == first
    different = [
        cid_event(3103), cid_event(1103, zone=4), cid_event(1103, system=2), cid_event(1103, uuid="x"),
        cid_event(1103, at="2026-11-20T09:00:01+01:00"), cid_event(1103, recheck=1), cid_event(1103, userName="eve"),
    ]  # fmt: skip
    assert len({read(OpenIncidents(10.0), message)["id"] for message in different} | {first}) == 8
    timeless = cid_event(1103, at="1970-01-01T00:00:00Z")
    assert len({read(OpenIncidents(10.0), timeless)["id"] for _ in range(2)}) == 2, "twice beats never"


def test_the_time_without_an_offset_is_read_in_the_sources_zone_and_its_key_is_not() -> None:
    paris = parse(cid_event(1103, at="2026-11-20T09:00:00"), Facts(), PARIS).event
    tokyo = parse(cid_event(1103, at="2026-11-20T09:00:00"), Facts(), ZoneInfo("Asia/Tokyo")).event
    assert paris.time != tokyo.time
    assert (paris.id, paris.dedup_time_ms) == (tokyo.id, tokyo.dedup_time_ms)


def test_alarms_that_never_end_are_bounded() -> None:
    matters, state = OpenIncidents(10.0), dict[str, Any]()
    for zone in range(MOST + 500):
        state |= matters.take(parse(cid_event(1103, zone=zone), Facts(), PARIS), 0.0)[1]
    assert len(matters.open) == MOST
    assert sum(value is not None for value in state.values()) == MOST


def test_a_panels_alarm_arrives_and_ends_over_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        clock = ManualClock()
        async with Simulator(clock=clock) as device:
            alarm, report, end = device.records.make("panel")
            async with site(tmp_path, device, clock) as pump:
                await pump.until(lambda: device.streams)
                device.send(alarm, report)
                await pump.stored(lambda events: of(events, "security.video_review"))
            async with site(tmp_path, device, clock) as pump:
                await pump.until(lambda: len(device.account.streams) == 2)
                device.send(end)
                events = await pump.stored(lambda events: len(of(events, "security.alarm.instant")) == 2)
            first, last = of(events, "security.alarm.instant")
            (clip,) = of(events, "security.video_review")
            assert [one["data"]["phase"] for one in (first, clip, last)] == ["start", "update", "end"]
            assert {one["data"]["incident"] for one in (first, clip, last)} == {first["id"]}
            assert clip["data"]["media"][0]["url"].endswith(".mp4")

    asyncio.run(main())


def test_an_empty_cid_event_is_a_heartbeat() -> None:
    empty = {"eventType": "cidEvent", "eventState": "inactive", "dateTime": str(Clock().now()), "CIDEvent": {}}
    assert parse(empty, Facts(), PARIS).heartbeat
    assert not parse(cid_event(1103), Facts(), PARIS).heartbeat
