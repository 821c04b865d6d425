"""What belongs together: clips and their alarms, restores that differ, what is repeated while it lasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pump.core.schema import GROUPS
from pump.testing import ManualClock
from pump.vendors.hik_gateway.incidents import Incidents
from pump.vendors.hik_gateway.parse import Context, parse
from pump.vendors.hik_gateway.simulator.server import Quirks, Simulator
from tests.unit.vendors.hik_gateway.site import Site, site, spooled

Data = dict[str, Any]


class Log:
    """What becomes of messages, one after the other; each is read by an Incidents made anew from what is stored."""

    def __init__(self, *, restarts: bool) -> None:
        self.state: Data = {}
        self.restarts = restarts
        self.incidents = Incidents({})
        self.events: list[Data] = []

    def put(self, message: Data) -> Data | None:
        """The event's data with its id; None for a repetition."""
        found = parse(message, Context())
        assert found is not None
        if self.restarts:
            self.incidents = Incidents({key: value for key, value in self.state.items() if value is not None})
        if not self.incidents.note(found, self.state):
            return None
        self.events.append({"id": found.event.id, "type": found.event.type, **found.event.data})
        return self.events[-1]


@pytest.fixture(params=[False, True], ids=["one run", "restarts between"])
def log(request: pytest.FixtureRequest) -> Log:
    return Log(restarts=request.param)


def alarm(
    code: str = "1103", uuid: Any = "A", at: int = 0, *, zone: Any = 1, sub: Any = 1, state: Any = "active",
    param: str = "1,2,1,1,1,1,0,admin", count: int = 1,
) -> Data:  # fmt: skip
    cid = {"CIDCode": code, "UUID": uuid, "triggerTime": f"2026-01-01 10:{at:02d}:00", "zoneNo": zone, "subSys": sub,
           "CIDParam": param, "timeZoneIdx": 15}  # fmt: skip
    return {
        "EventNotificationAlert": {
            "devIndex": "d", "eventType": "CIDAlarm", "eventState": state, "activePostCount": count,
            "dateTime": f"2026-01-01T10:{at:02d}:{count:02d}Z", "CIDAlarm": cid,
        }
    }  # fmt: skip


def clip(code: str = "1103", uuid: Any = "A", at: int = 0, *, zone: Any = 1, sub: Any = 1, url: str = "/a.mp4") -> Data:
    params = {"CIDCode": code, "UUID": uuid, "triggerTime": f"2026-01-01 10:{at:02d}:00", "ZoneNo": zone, "subSys": sub,
              "CIDType": 2, "timeZoneIdx": 15, "videoURL": url}  # fmt: skip
    alert = {"devIndex": "d", "eventType": "videoReview", "eventState": "active", "dateTime": "2026-01-01T11:00:00Z"}
    return {"EventNotificationAlert": {**alert, "VideoReview": {"HikCIDParams": params}}}


def put(log: Log, *messages: Data) -> list[Data]:
    found = [log.put(message) for message in messages]
    assert None not in found
    return [one for one in found if one is not None]


# --- clips ----------------------------------------------------------------------------------------------------------


def test_a_clip_after_its_alarm_s_restore_is_its_alarm_s(log: Log) -> None:
    start, end, video = put(log, alarm(), alarm("3103", "B", 1), clip())
    assert start["incident"] == end["incident"] == video["incident"] == start["id"]
    assert (video["updates"], video["phase"]) == (start["id"], "update")
    assert (start["alarm"]["uuid"], video["alarm"]["uuid"]) == ("A", "A")


def test_a_clip_of_an_alarm_before_the_open_one_is_not_the_open_one_s(log: Log) -> None:
    one, _, two, video = put(log, alarm(), alarm("3103", "R", 1), alarm("1103", "B", 2), clip())
    assert two["incident"] != one["incident"]
    assert (video["incident"], video["updates"]) == (one["incident"], one["id"])


@pytest.mark.parametrize("code", ["1121", "1810", "1811", "1999"])
def test_a_clip_of_what_nothing_restores_names_it_by_its_uuid_and_nothing_else(log: Log, code: str) -> None:
    panic, video, foreign = put(log, alarm(code), clip(code), clip(code, "X", url="/x.mp4"))
    assert panic["phase"] == "pulse"
    assert (video["updates"], video["incident"]) == (panic["id"], panic["id"])
    assert "updates" not in foreign
    assert "incident" not in foreign


@pytest.mark.parametrize(
    ("alarms", "clips", "paired"),
    [
        ({}, {}, True),
        ({}, {"sub": 0}, True),  # as the document's two samples differ
        ({}, {"zone": 7, "at": 30, "code": "1130"}, True),  # the UUID is enough
        ({"uuid": "f14eef8d"}, {"uuid": "F14EEF8D"}, True),
        ({"uuid": 77}, {"uuid": "77"}, True),
        ({}, {"uuid": "X"}, False),
        # without a UUID on either side: the same alarm is of the same moment
        ({"uuid": "0"}, {"uuid": "0"}, True),
        ({"uuid": "0"}, {"uuid": "F14EEF8D"}, True),
        ({"uuid": "0"}, {"uuid": "0", "at": 1}, False),
        ({"uuid": "0"}, {"uuid": "0", "zone": 2}, False),
        ({"uuid": "0"}, {"uuid": "0", "code": "1130"}, False),
        ({"uuid": 0}, {"uuid": 0}, True),
        ({"uuid": ""}, {"uuid": None}, True),
        ({"uuid": "00000000-0000-0000-0000-000000000000"}, {"uuid": "00000000-0000-0000-0000-000000000000"}, True),
        ({"uuid": "00000000-0000-0000-0000-000000000000"}, {"uuid": "0", "at": 1}, False),
    ],
)
def test_what_pairs_a_clip(log: Log, alarms: Data, clips: Data, paired: bool) -> None:
    start, video = put(log, alarm(**alarms), clip(**clips))
    assert (video.get("updates") == start["id"]) == paired
    assert (video.get("incident") == start["id"]) == paired
    assert paired or not {"updates", "incident"} & video.keys()


def test_alarms_without_a_uuid_are_told_apart_by_their_moments(log: Log) -> None:
    one, _, two, of_two, of_one = put(
        log, alarm(uuid="0"), alarm("3103", "0", 1), alarm(uuid="0", at=2), clip(uuid="0", at=2), clip(uuid="0")
    )
    assert (of_one["updates"], of_two["updates"]) == (one["id"], two["id"])


def test_a_restore_with_its_alarm_s_uuid_takes_no_clip_of_it(log: Log) -> None:
    start, end, video = put(log, alarm(), alarm("3103", "A", 1), clip())
    assert end["incident"] == video["incident"] == video["updates"] == start["id"]


def test_each_camera_s_clip_is_told_and_the_same_one_sent_again_is_not(log: Log) -> None:
    def of(channel: Any, url: str) -> Data:
        message = clip(url=url)
        message["EventNotificationAlert"]["channelID"] = channel
        return message

    cameras: list[tuple[Any, str]] = [("1", "/a"), ("2", "/b"), ("1", "/a"), (2, "/signed afresh"), (None, "/a")]
    start, *videos = put(log, alarm(), *(of(*camera) for camera in cameras))
    first, second, again, too, unnamed = videos
    assert {video["updates"] for video in videos} == {start["id"]}
    assert first["id"] == again["id"] == unnamed["id"] != second["id"] == too["id"]
    assert second["media"][0]["id"] == f"{second['id']}/0"


def test_another_device_s_uuid_is_another_alarm(log: Log) -> None:
    other = clip()
    other["EventNotificationAlert"]["devIndex"] = "e"
    _, video = put(log, alarm(), other)
    assert "updates" not in video


def test_alarms_are_remembered_in_a_ring() -> None:
    log = Log(restarts=False)
    put(log, *(alarm("1121", f"u{n}", n % 60) for n in range(1100)))
    assert len(log.state) == 1024
    first, last = put(log, clip("1121", "u3", 3), clip("1121", "u1099", 19))
    assert "updates" not in first
    assert last["updates"] == log.events[1099]["id"]
    after = Log(restarts=True)
    after.state = log.state
    (again,) = put(after, clip("1121", "u1099", 19))
    assert again["updates"] == last["updates"]


# --- restores -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "param", ["1,2,1,9,1,1,0,admin", "1,2,1,1,9,1,0,admin", "1,2,1,1,1,9,0,admin", "1,2,1,1,1,1,9,admin", "", "-1,-1"]
)
@pytest.mark.parametrize("sub", [1, 0])
def test_a_restore_that_differs_closes_its_zone_s_alarm_and_says_so(log: Log, param: str, sub: int) -> None:
    start, end, later = put(log, alarm(), alarm("3103", "R", 1, param=param, sub=sub), alarm("1103", "B", 2))
    assert end["incident"] == start["incident"]
    assert end["alarm"]["rule"] == "zone and code"
    assert later["incident"] == later["id"]
    assert "rule" in GROUPS["alarm"]


def test_a_restore_that_agrees_needs_no_rule(log: Log) -> None:
    _, end = put(log, alarm(), alarm("3103", "R", 1))
    assert "rule" not in end["alarm"]


@pytest.mark.parametrize("more", [{"zone": 2}, {"code": "3130"}, {"sub": 2}])
def test_a_restore_of_something_else_closes_nothing(log: Log, more: Data) -> None:
    start, end, again = put(
        log, alarm(), alarm(**{"code": "3103", "uuid": "R", "at": 1, "param": "", **more}), alarm("1103", "B", 2)
    )
    assert end["incident"] != start["incident"]
    assert again["incident"] == start["incident"]


def test_of_two_alarms_of_a_zone_the_restore_takes_its_own_then_the_likest_then_the_oldest(log: Log) -> None:
    params = {keypad: f"1,2,1,{keypad},1,1,0,admin" for keypad in (1, 2, 3, 4)}
    one, two, three, own, like, left = put(
        log,
        alarm("1103", "A", 0, param=params[1]),
        alarm("1103", "B", 1, param=params[2]),
        alarm("1103", "C", 2, param="1,2,1,3,7,7,7,admin"),
        alarm("3103", "E", 3, param=params[2]),
        alarm("3103", "F", 4, param="1,2,1,4,7,7,7,admin"),
        alarm("3103", "G", 5, param=params[4]),
    )
    assert [each["incident"] for each in (own, like, left)] == [two["id"], three["id"], one["id"]]


@pytest.mark.parametrize(
    ("first", "second", "restore", "closed"),
    [
        ("-1,-1,-1,1", None, "-1,-1,-1,2", None),  # another keypad
        ("-1,-1,-1,1", None, "", 0),
        ("", None, "-1,-1,-1,2", 0),
        ("-1,-1,-1,1", "-1,-1,-1,2", "", None),  # which?
        ("-1,-1,-1,1", "-1,-1,-1,2", "-1,-1,-1,2", 1),
    ],
)
def test_without_a_zone_the_parts_are_what_it_is_about(
    log: Log, first: str, second: str | None, restore: str, closed: int | None
) -> None:
    params = [first] if second is None else [first, second]
    starts = put(log, *(alarm("1302", f"{n}", n, zone=-1, param=param) for n, param in enumerate(params)))
    (end,) = put(log, alarm("3302", "R", 9, zone=-1, param=restore))
    assert [end["incident"] == start["id"] for start in starts] == [n == closed for n in range(len(params))]


def test_what_is_sent_again_begins_and_ends_nothing(log: Log) -> None:
    first = [alarm(), alarm("3103", "R", 1)]
    start, end, again, ended, late, over = put(log, *first, *first, alarm("1103", "B", 2), first[1])
    assert (again["id"], again["incident"]) == (start["id"], start["incident"])
    assert (ended["id"], ended["incident"]) == (end["id"], end["incident"])
    assert late["incident"] == late["id"]
    assert over["incident"] == start["incident"]
    (last,) = put(log, alarm("3103", "S", 3))
    assert last["incident"] == late["incident"]


def test_matters_of_the_version_before_are_still_ended() -> None:
    message = alarm()
    found = parse(message, Context())
    assert found is not None
    incidents = Incidents({f"incident/{found.matter}": "the start's id", "incident/x": 7, "alarm/0": ["nonsense"]})
    end = parse(alarm("3103", "R", 1), Context())
    assert end is not None
    assert incidents.note(end, {})
    assert end.event.data["incident"] == "the start's id"


# --- partitions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sub", "partition"), [(0, None), ("0", None), (-1, None), (None, None), (1, 1), ("32", 32)])
def test_partition_0_is_none(log: Log, sub: Any, partition: int | None) -> None:
    for event in put(log, alarm(sub=sub), clip(sub=sub)):
        assert event["place"].get("partition") == event["alarm"].get("partition") == partition


# --- eventState -----------------------------------------------------------------------------------------------------


def other(kind: str, state: Any, second: int, minute: int = 0, **more: Any) -> Data:
    return {
        "EventNotificationAlert": {
            "devIndex": "d", "channelID": "1", "eventType": kind, "eventState": state, "activePostCount": second + 1,
            "dateTime": f"2026-01-01T10:{minute:02d}:{second:02d}Z", "eventDescription": kind, **more,
        }
    }  # fmt: skip


STATES = [("active", "inactive"), ("Active", "INACTIVE"), (True, False), ("true", "false"), (1, 0), ("1", " 0 ")]


@pytest.mark.parametrize(("on", "off"), STATES)
@pytest.mark.parametrize("kind", ["linedetection", "VMD", "somethingNew"])
def test_active_again_and_again_is_one_start_and_inactive_its_end(log: Log, kind: str, on: Any, off: Any) -> None:
    start = log.put(other(kind, on, 0))
    assert start is not None
    if log.restarts and kind == "somethingNew":
        return  # nobody knows that it lasts: what is heard again after a restart is told again
    assert [log.put(other(kind, on, second)) for second in range(1, 5)] == [None] * 4
    end, later = put(log, other(kind, off, 6), other(kind, on, 7))
    assert (start["phase"], end["phase"], later["phase"]) == ("start", "end", "start")
    assert start["incident"] == end["incident"] == start["id"]
    assert later["incident"] == later["id"]


def test_what_is_known_to_last_is_one_start_whatever_its_numbers_say(log: Log) -> None:
    assert log.put(other("fielddetection", "active", 0, x=1)) is not None
    assert log.put(other("fielddetection", "active", 1, minute=20, x=2)) is None
    (there,) = put(log, other("fielddetection", "active", 2, channelID="2"))
    assert there["incident"] == there["id"]


def test_what_nobody_knows_is_dropped_only_where_it_says_the_same_again_at_once() -> None:
    log = Log(restarts=False)
    first, different, later = put(
        log,
        other("somethingNew", "active", 0, n=1),
        other("somethingNew", "active", 1, n=2),
        other("somethingNew", "active", 0, minute=9, n=2),
    )
    assert first["incident"] == different["incident"] == later["incident"]
    assert log.put(other("somethingNew", "active", 5, minute=9, n=2)) is None
    (end,) = put(log, other("somethingNew", "inactive", 6, minute=9))
    assert log.put(other("somethingNew", "inactive", 7, minute=9)) is None
    assert end["incident"] == first["id"]


@pytest.mark.parametrize("kind", ["AccessControllerEvent", "ANPR"])
def test_what_happens_once_each_time_is_no_matter(log: Log, kind: str) -> None:
    events = put(log, *(other(kind, "active", second) for second in range(3)))
    assert {event["phase"] for event in events} == {"pulse"}
    assert len({event["id"] for event in events}) == 3


@pytest.mark.parametrize("state", [None, "", "strange"])
def test_a_state_that_says_nothing_is_none(log: Log, state: Any) -> None:
    assert {event["phase"] for event in put(log, *(other("VMD", state, n) for n in range(2)))} == {"pulse"}


@pytest.mark.parametrize(("on", "off"), STATES)
@pytest.mark.parametrize("uuid", ["A", "0"])
def test_an_alarm_that_is_inactive_has_ended(log: Log, on: Any, off: Any, uuid: str) -> None:
    start, again, end, later = put(
        log, alarm(uuid=uuid, state=on), alarm(uuid=uuid, state=on, count=2), alarm(uuid=uuid, state=off, count=3),
        alarm("1103", "B", 2, state=on),
    )  # fmt: skip
    assert start["id"] == again["id"] != end["id"]  # the spool drops the second
    assert (start["phase"], end["phase"], end["type"]) == ("start", "end", start["type"])
    assert (end["name"], end["code"]) == ("Instant Alarm Restored", "1103")
    assert end["incident"] == start["incident"]
    assert later["incident"] == later["id"]


def test_an_alarm_s_uuid_is_one_start_while_it_is_open(log: Log) -> None:
    (start,) = put(log, alarm())
    assert log.put(alarm(at=1)) is None
    second, video = put(log, alarm("1103", "B", 2), clip())  # another alarm of the zone
    assert second["incident"] == start["incident"]
    assert video["updates"] == start["id"]


@pytest.mark.parametrize(
    ("code", "phase"),
    [("1121", "end"), ("1810", "end"), ("1999", "end"), ("3103", "end"), ("1401", "pulse"), ("3401", "pulse"),
     ("3441", "pulse"), ("1975", "pulse")],
)  # fmt: skip
def test_inactive_by_code(log: Log, code: str, phase: str) -> None:
    first, last = put(log, alarm(code), alarm(code, state="inactive", count=2))
    assert last["phase"] == phase
    if phase == "end" and code != "3103":
        assert last["incident"] == first["id"] != last["id"]


def test_a_battery_that_is_inactive_is_low_no_more(log: Log) -> None:
    low, normal = put(log, alarm("1302"), alarm("1302", state="inactive"))
    assert (low["power"], normal["power"]) == ({"low": True}, {"low": False})


# --- through the source ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uuid", ["unique", "0"])
async def test_the_simulator_s_clips_find_their_alarms_over_a_restart(tmp_path: Path, uuid: Any) -> None:
    clock = ManualClock()
    quirks = Quirks(cid_uuid=uuid)
    async with Simulator(clock=clock, quirks=quirks) as vendor, spooled(tmp_path, clock) as spool:
        one = Site(vendor, spool, clock, {})
        await one.up()
        index = next(iter(vendor.devices))
        alarms = [vendor.messages.cid(index, code, zone=2) for code in ("1103", "3103", "1103", "1121")]
        vendor.put(*alarms)
        await one.stored(4)
        await one.stop()
        one = Site(vendor, spool, clock, {})
        await one.up()
        vendor.put(*(vendor.messages.review(index, of=alarms[n]) for n in (0, 2, 3)))
        await one.stored(7)
        a, end, b, duress, *clips = await one.events()
        assert end["data"]["incident"] == a["id"] != b["data"]["incident"]
        assert [each["data"]["updates"] for each in clips] == [a["id"], b["id"], duress["id"]]
        assert [each["data"]["incident"] for each in clips] == [a["id"], b["id"], duress["id"]]
        await one.stop()


async def test_what_lasts_is_one_start_and_one_end_over_a_reconnect(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        index = next(iter(one.vendor.devices))
        make = one.vendor.messages.lasting
        one.vendor.put(*(make(index, count=n) for n in range(1, 6)))
        await one.stored(1)
        await one.source.change(events=())
        one.source.stream.renew()
        await one.until(lambda: one.vendor.account.streams == 2)
        await one.up()
        one.vendor.put(make(index, count=6), make(index, state="inactive"), one.vendor.messages.cid(index))
        await one.stored(3)
        start, end, _ = await one.events()
        assert [start["data"]["phase"], end["data"]["phase"]] == ["start", "end"]
        assert start["data"]["incident"] == end["data"]["incident"] == start["id"]
