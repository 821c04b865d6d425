"""Alarm panels on the alertStream: the same words for a CID code as the Device Gateway has, and matters that end."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from pump.core.clock import Clock
from pump.core.schema import GROUPS
from pump.testing import ManualClock
from pump.vendors.common.hik_alarms import ALARM
from pump.vendors.common.hik_cid import CODES
from pump.vendors.hik_camera.incidents import MOST, PREFIX, OpenIncidents
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
    assert sum(value is not None for key, value in state.items() if key.startswith(PREFIX)) == MOST
    assert sum(key.startswith(ALARM) for key in state) == 1024


async def test_a_panels_alarm_arrives_and_ends_over_a_restart(tmp_path: Path) -> None:
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


def test_an_empty_cid_event_is_a_heartbeat() -> None:
    empty = {"eventType": "cidEvent", "eventState": "inactive", "dateTime": str(Clock().now()), "CIDEvent": {}}
    assert parse(empty, Facts(), PARIS).heartbeat
    assert not parse(cid_event(1103), Facts(), PARIS).heartbeat


# --- clips, ends that differ, partitions: each as one process and with a restart between all messages -----------------


class Log:
    """A panel's messages, one after the other, and what the spool has of them."""

    def __init__(self, restarts: bool) -> None:
        self.matters, self.restarts = OpenIncidents(10.0), restarts
        self.state: dict[str, Any] = {}

    def put(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        found = []
        for message in messages:
            if self.restarts:
                self.matters = OpenIncidents(10.0)
                self.matters.load(orjson.loads(orjson.dumps(self.state)), 0.0)
            events, state = self.matters.take(parse(message, Facts(serial="P"), PARIS), 100.0)
            self.state |= state
            self.state = {key: value for key, value in self.state.items() if value is not None}
            found += [{"type": event.type, "id": event.id, **event.data} for event in events]
        return found


@pytest.fixture(params=[False, True], ids=["", "restarts"])
def log(request: pytest.FixtureRequest) -> Log:
    return Log(request.param)


def at(minute: int, code: int | None = 1103, uuid: str | None = None, **more: Any) -> dict[str, Any]:
    return cid_event(code, at=f"2026-11-20T09:{minute:02}:00+01:00", uuid=uuid, **more)


def clip(minute: int, code: int = 1103, uuid: str | None = None, **more: Any) -> dict[str, Any]:
    return at(minute, code, uuid, recheck=1, sent="2026-11-20T09:59:00+01:00", **more)


U1, U2 = "11111111-0000-4000-8000-00000000000a", "22222222-0000-4000-8000-00000000000b"


@pytest.mark.parametrize("uuid", ["0", "00000000-0000-0000-0000-000000000000", "", "null", None])
def test_a_uuid_that_is_none_is_not_given(uuid: str | None) -> None:
    assert "uuid" not in read(OpenIncidents(10.0), cid_event(1103, uuid=uuid))["alarm"]
    assert read(OpenIncidents(10.0), cid_event(1103, uuid=U1))["alarm"]["uuid"] == U1
    assert "uuid" in GROUPS["alarm"]


CLIPS = {
    "after the end": ([at(0, uuid=U1), at(1, 3103)], clip(0, uuid=U1), 0),
    "after the next alarm": ([at(0, uuid=U1), at(1, 3103), at(2, uuid=U2)], clip(0, uuid=U1), 0),
    "of the next alarm": ([at(0, uuid=U1), at(1, 3103), at(2, uuid=U2)], clip(2, uuid=U2), 2),
    "in capitals": ([at(0, uuid=U1)], clip(0, uuid=U1.upper()), 0),
    "of nobody": ([at(0, uuid=U1)], clip(0, uuid=U2), None),
    "of nobody, though its zone is open": ([at(0, uuid=U1)], clip(5), None),
    "by the moment": ([at(0), at(1, 3103), at(2)], clip(0), 0),
    "by the moment, the alarm alone has a UUID": ([at(0, uuid=U1)], clip(0, uuid="0"), 0),
    "another zone at the same moment": ([at(0), at(0, zone=4)], clip(0, zone=4), 1),
    "duress": ([at(0, 1121, U1)], clip(0, 1121, U1), 0),
    "virtual panic": ([at(0, 1810, U1), at(1, 1103, U2)], clip(0, 1810, U1), 0),
    "its restore has its UUID": ([at(0, uuid=U1), at(1, 3103, U1)], clip(0, uuid=U1), 0),
    "before its alarm": ([], clip(0, uuid=U1), None),
}


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_is_its_alarms_and_nobody_elses(log: Log, name: str) -> None:
    before, message, which = CLIPS[name]
    found = log.put(*before)
    (film,) = log.put(message)
    assert film["type"] == "security.video_review"
    assert (film["phase"], film["update"]) == ("update", False)
    if which is None:
        assert not {"updates", "incident"} & film.keys()
    else:
        assert film["updates"] == film["incident"] == found[which]["id"]
        assert film["id"] not in {one["id"] for one in found}


DIFFERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "keypad": ({"keypad": 1}, {"keypad": 2}),
    "channel": ({"ipcChannel": 1}, {"ipcChannel": 2}),
    "module": ({"extensionModule": 1}, {}),
    "disk": ({}, {"hddNo": 3}),
    "partition on one side": ({}, {"system": 0}),
    "several": ({"keypad": 1, "siren": 1}, {"keypad": 7, "extensionModule": 2, "cardReader": 4}),
}


@pytest.mark.parametrize("name", DIFFERS)
def test_a_restore_that_differs_closes_its_zones_alarm_and_says_by_which_rule(log: Log, name: str) -> None:
    first, second = DIFFERS[name]
    start, end, later = log.put(at(0, **first), at(1, 3103, **second), at(2, **first))
    assert (end["phase"], end["incident"]) == ("end", start["id"])
    assert end["alarm"].get("rule") == (None if name == "disk" else "zone and code")  # a disk is no part of a matter
    assert later["incident"] == later["id"]
    assert "rule" in GROUPS["alarm"]


@pytest.mark.parametrize("more", [{"zone": 4}, {"code": 3130}, {"system": 2}])
def test_a_restore_of_something_else_closes_nothing(log: Log, more: dict[str, Any]) -> None:
    start, end, again = log.put(at(0, keypad=1), at(1, **{"code": 3103, **more}), at(2, keypad=1))
    assert "incident" not in end
    assert "rule" not in end["alarm"]
    assert again["incident"] == start["id"]


def test_of_two_alarms_of_a_zone_the_restore_takes_its_own_then_the_likest_then_the_oldest(log: Log) -> None:
    one, two, three, own, like, left = log.put(
        at(0, keypad=1), at(1, keypad=2), at(2, keypad=3, ipcChannel=7),
        at(3, 3103, keypad=2), at(4, 3103, keypad=4, ipcChannel=7), at(5, 3103, keypad=4),
    )  # fmt: skip
    assert [each["incident"] for each in (own, like, left)] == [two["id"], three["id"], one["id"]]


WITHOUT_ZONE: dict[str, tuple[list[dict[str, Any]], dict[str, Any], int | None]] = {
    "another keypad": ([{"keypad": 1}], {"keypad": 2}, None),
    "a keypad, and none": ([{"keypad": 1}], {}, 0),
    "none, and a keypad": ([{}], {"keypad": 2}, 0),
    "which?": ([{"keypad": 1}, {"keypad": 2}], {}, None),
    "its own": ([{"keypad": 1}, {"keypad": 2}], {"keypad": 2}, 1),
    "another siren": ([{"siren": 1}], {"siren": 2}, None),
    "a siren, by another keypad": ([{"siren": 1}, {"siren": 2}], {"siren": 2, "keypad": 1}, 1),
}


@pytest.mark.parametrize("name", WITHOUT_ZONE)
def test_without_a_zone_the_parts_are_what_it_is_about(log: Log, name: str) -> None:
    firsts, restore, closed = WITHOUT_ZONE[name]
    starts = log.put(*(at(n, 1302, zone=None, **first) for n, first in enumerate(firsts)))
    (end,) = log.put(at(9, 3302, zone=None, **restore))
    assert [end.get("incident") == start["id"] for start in starts] == [n == closed for n in range(len(firsts))]


def test_what_is_sent_again_begins_and_ends_nothing(log: Log) -> None:
    first = [at(0, uuid=U1), at(1, 3103)]
    start, end, again, ended, late, over = log.put(*first, *first, at(2, uuid=U2), first[1])
    assert (again["id"], again["incident"]) == (start["id"], start["incident"])
    assert (ended["id"], ended["incident"]) == (end["id"], end["incident"])
    assert (late["incident"], over["incident"]) == (late["id"], start["id"])
    (last,) = log.put(at(3, 3103))
    assert last["incident"] == late["id"]


@pytest.mark.parametrize("state", ["inactive", "INACTIVE", False, "false", 0, "0"])
def test_an_alarm_that_is_inactive_has_ended(log: Log, state: object) -> None:
    start, end = log.put(at(0, uuid=U1), {**at(0, uuid=U1), "eventState": state})
    assert (end["phase"], end["incident"], end["name"]) == ("end", start["id"], "Instant Alarm Restored")
    assert end["id"] != start["id"]
    pulse, over = log.put(at(3, 1121, U2), {**at(3, 1121, U2), "eventState": state})
    assert (pulse["phase"], over["phase"], over["incident"]) == ("pulse", "end", pulse["id"])
    for code in (1401, 3103):  # these have their second code, or are it
        (plain,), (done,) = (Log(False).put({**at(5, code), "eventState": one}) for one in ("active", state))
        assert (plain["id"], plain["phase"], plain["type"]) == (done["id"], done["phase"], done["type"])


def test_one_uuid_is_one_start_however_often_it_is_sent(log: Log) -> None:
    assert len(log.put(at(0, uuid=U1), at(1, uuid=U1), at(2, uuid=U1))) == 1
    (end,) = log.put(at(3, 3103))
    assert len(log.put(at(4, uuid=U1))) == 1, "it has ended"
    assert end["phase"] == "end"


@pytest.mark.parametrize(("system", "partition"), [(0, None), ("0", None), (-1, None), (None, None), (1, 1), ("2", 2)])
def test_system_0_is_no_partition(system: object, partition: int | None) -> None:
    found = read(OpenIncidents(10.0), cid_event(1103, system=system))
    assert found["place"].get("partition") == found["alarm"].get("partition") == partition
    assert found["place"]["zone"] == 3


def test_alarms_of_the_version_before_are_still_ended_and_nonsense_is_left_out() -> None:
    log = Log(True)
    (start,) = log.put(at(0))
    (key,) = (key for key in log.state if key.startswith(PREFIX))
    del log.state[key]["spot"]
    log.state |= {f"{PREFIX}x": {**log.state[key], "spot": [1, 2]}, "alarm/0": ["nonsense"], "alarm/1": 7}
    (end,) = log.put(at(1, 3103))
    assert end["incident"] == start["id"]
    assert "rule" not in end["alarm"]
