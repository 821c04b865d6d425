"""A terminal's gaps, filled from its own search for access events."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from structlog.testing import capture_logs

from pump.simulation.pictures import jpeg
from pump.spool import Gap
from pump.testing import ManualClock
from pump.vendors.hik_camera.backfill import filler
from pump.vendors.hik_camera.backfill.rows import form_of, read, written
from pump.vendors.hik_camera.backfill.search import PATH, TIME
from pump.vendors.hik_camera.incidents import OpenIncidents
from pump.vendors.hik_camera.parse import Facts, parse
from pump.vendors.hik_camera.simulator.search import AcsLog
from pump.vendors.hik_camera.simulator.server import Quirks, Simulator
from tests.unit.vendors.hik_camera.site import Site, numbers, site
from tests.unit.vendors.hik_camera.test_pictures_fetched import fetching

FOUND_FIRST = "of what came after the outage the search may find some before the disk has what the stream brought"


async def settled(one: Site, count: int = 1) -> list[Gap]:
    """The source's records, once there are `count` and none is open."""
    async with asyncio.timeout(60.0):
        while True:
            found = await one.spool.gaps.read(source="door")
            if len(found) >= count and not any(gap.state == "open" for gap in found):
                return found
            if one.task.done():
                await one.task
            one.pass_by(0.1)
            await asyncio.sleep(0.001)


async def outage(one: Site, device: Simulator, *, before: int, lost: int, after: int) -> None:
    """The stream is lost for a while, and people go through the door all the while."""
    await one.until(lambda: one.state == "up")
    for _ in range(before):
        device.emit("access")
    await one.stored(lambda events: len(numbers(events)) >= before)
    await device.go_away()
    await one.until(lambda: one.state == "down")
    for _ in range(lost):
        device.emit("access")
    await device.come_back()
    await one.until(lambda: one.state == "up")
    for _ in range(after):
        device.emit("access")
    await device.drained()
    await one.stored(lambda events: sum(event["type"].startswith("access.") for event in events) >= before + after)
    await settled(one)


async def test_what_the_stream_missed_is_found_each_once(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock, quirks=Quirks(search=True)) as device, site(tmp_path, device, clock) as one:
        await outage(one, device, before=20, lost=70, after=10)
        events = await one.stored(lambda events: len(numbers(events)) >= 100)
        assert sorted(numbers(events)) == [message.number for message in device.account.made]
        found = [event for event in events if event["data"].get("reconciled")]
        assert {message.number for message in device.account.lost} <= set(numbers(found))
        assert {event["type"] for event in found} <= {"access.granted", "access.denied", "access.door.unlocked"}
        [gap] = await settled(one)
        assert gap.state == "filled"
        assert 70 <= gap.filled == len(found) <= 70 + 10, FOUND_FIRST
        asked = device.log.asked
        assert len({one.search for one in asked}) == 1
        assert [one.position for one in asked] == [30 * n for n in range(len(asked))]
        assert not device.log.refused
        assert device.account.rejected == []


@pytest.mark.parametrize(
    ("stream", "row"),
    [
        ("iso", "utc"), ("iso", "local"), ("iso", "other offset"), ("short offset", "utc"), ("short offset", "local"),
        ("short offset", "other offset"), ("local", "utc"), ("local", "local"),
    ],
)  # fmt: skip
async def test_a_time_that_is_written_otherwise_is_the_same_time(tmp_path: Path, stream: Any, row: Any) -> None:
    clock = ManualClock()
    quirks = Quirks(search=True, time=stream, search_time=row)
    async with Simulator(clock=clock, quirks=quirks) as device, site(tmp_path, device, clock) as one:
        await outage(one, device, before=10, lost=10, after=5)
        events = await one.stored(lambda events: len(numbers(events)) >= 25)
        assert Counter(numbers(events)) == Counter(message.number for message in device.account.made)
        [gap] = await settled(one)
        assert gap.state == "filled"
        assert 10 <= gap.filled <= 10 + 5, FOUND_FIRST


@pytest.mark.parametrize(("streams", "rows"), [(True, False), (False, True), (False, False)])
async def test_a_record_without_a_number_is_known_by_what_happened_and_when(
    tmp_path: Path, streams: bool, rows: bool
) -> None:
    clock = ManualClock()
    quirks = Quirks(search=True, serial_numbers=streams, search_numbers=rows)
    async with Simulator(clock=clock, quirks=quirks) as device, site(tmp_path, device, clock) as one:
        await outage(one, device, before=10, lost=10, after=5)
        events = await one.stored(lambda events: sum(e["type"].startswith("access.") for e in events) >= 25)
        times = [event["time"] for event in events if event["type"].startswith("access.")]
        assert len(times) == len(set(times)) == 25
        [gap] = await settled(one)
        assert gap.state == "filled"
        assert 10 <= gap.filled <= 10 + 5, FOUND_FIRST


@pytest.mark.parametrize("status", [404, 403, 400])
async def test_a_device_without_a_search_is_asked_once_a_link(tmp_path: Path, status: int) -> None:
    clock = ManualClock()
    quirks = Quirks(search_refusal=status)
    async with Simulator(clock=clock, quirks=quirks) as device, site(tmp_path, device, clock) as one:
        await outage(one, device, before=2, lost=3, after=2)
        for number in (1, 2):
            result = await by_hand(one)
            assert (result["state"], result["filled"]) == ("unfillable", 0), number
            assert "offers no search" in result["notes"]
        asked = device.log.refused
        assert len(asked) == 1
        links = len(device.account.streams)
        device.cut()
        await one.until(lambda: len(device.account.streams) > links and one.state == "up")
        assert {gap.state for gap in await settled(one, 4)} == {"unfillable"}
        assert len(asked) == 2
        assert one.state == "up"


async def by_hand(one: Site, since: timedelta = timedelta(hours=1)) -> dict[str, Any]:
    async def report(progress: dict[str, Any]) -> None:
        assert set(progress) <= {"looked", "of", "filled", "waiting"}

    now = one.clock.now()
    task = asyncio.create_task(one.source.backfill(now - since, now, report))
    await one.until(task.done, step=0.1)
    return task.result()


async def test_by_hand_it_brings_what_there_was_before_the_pump_and_nothing_twice(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock, quirks=Quirks(search=True)) as device:
        for _ in range(45):
            device.emit("access")
        async with site(tmp_path, device, clock) as one:
            await one.until(lambda: one.state == "up")
            device.emit("access")
            await one.stored(lambda events: len(numbers(events)) == 1)
            first, second = await by_hand(one), await by_hand(one)
            assert (first["state"], first["filled"]) == ("filled", 45)
            assert first["notes"].startswith("1 events were known")
            assert (second["state"], second["filled"]) == ("filled", 0)
            assert second["notes"].startswith("46 events were known")
            assert sorted(numbers(await one.events())) == list(range(1, 47))


async def test_a_stop_amid_the_pages_repeats_and_loses_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock, quirks=Quirks(search=True)) as device:
        for _ in range(100):
            device.emit("access")
        async with site(tmp_path, device, clock) as one:
            await one.until(lambda: one.state == "up")
            now = clock.now()
            asking = asyncio.create_task(one.source.backfill(now - timedelta(hours=1), now, lambda _: asyncio.sleep(0)))
            await one.until(lambda: len(device.log.asked) == 2)
            await one.stop()
            asking.cancel()
        async with site(tmp_path, device, clock) as one:
            gaps = await settled(one, 2)
            assert sorted(numbers(await one.events())) == list(range(1, 101))
            assert sum(gap.filled for gap in gaps) == 100


async def test_a_device_keeps_but_its_newest_records(tmp_path: Path) -> None:
    clock = ManualClock()
    quirks = Quirks(search=True, search_keeps=20)
    async with Simulator(clock=clock, quirks=quirks) as device, site(tmp_path, device, clock) as one:
        await outage(one, device, before=3, lost=50, after=0)
        [gap] = await settled(one)
        assert (gap.state, gap.filled) == ("filled", 20)
        assert "a device forgets its oldest" in gap.notes


@pytest.mark.parametrize("times", [1, 2])
async def test_a_search_that_the_device_forgets_amid_its_pages_begins_anew(tmp_path: Path, times: int) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock, quirks=Quirks(search=True)) as device, site(tmp_path, device, clock) as one:
        device.log.forget_searches, device.log.busy = times, 1
        await outage(one, device, before=3, lost=70, after=0)
        [gap] = await settled(one)
        assert (gap.state, gap.filled) == ("filled", 70)
        assert sorted(numbers(await one.events())) == list(range(1, 74))
        assert one.counted("search forgotten") == times


async def test_a_right_that_is_missing_is_tried_once_in_ten_minutes(tmp_path: Path) -> None:
    clock = ManualClock()
    quirks = Quirks(search=True, withheld=(PATH,))
    async with Simulator(clock=clock, quirks=quirks) as device, site(tmp_path, device, clock) as one:
        await one.until(lambda: one.state == "up")
        await one.source_gap()
        await one.until(lambda: one.counted("rejected") == 1, step=0.1)
        begun, asked = clock.monotonic(), device.account.requests.count(PATH)
        await one.until(lambda: clock.monotonic() > begun + 550.0, step=1.0)
        assert device.account.requests.count(PATH) == asked
        [gap] = await one.spool.gaps.read(source="door")
        assert (gap.state, gap.notes[:6]) == ("open", "waits:")
        assert one.state == "up"
        device.quirks = Quirks(search=True)
        await settled(one)


async def test_a_picture_of_a_row_is_fetched_with_the_device_s_login(tmp_path: Path) -> None:
    clock = ManualClock()
    quirks = Quirks(search=True, pictures_by_address=True)
    async with Simulator(clock=clock, quirks=quirks) as device:
        device.records.pictures_at = f"{device.url}/picture/"
        device.emit("access")
        async with site(tmp_path, device, clock) as one, fetching(one, tmp_path):
            await one.until(lambda: one.state == "up")
            assert (await by_hand(one))["filled"] == 1
            events = await one.stored(lambda events: any(event["type"] == "media.stored" for event in events))
            linked = next(event for event in events if event["data"].get("reconciled"))["data"]["media"][0]
            [medium] = next(event for event in events if event["type"] == "media.stored")["data"]["media"]
            assert medium["id"] == linked["id"]
            assert medium["sha256"] == sha256(jpeg(linked["url"].removeprefix(device.url))).hexdigest()


async def test_settings_without_access_events_leave_gaps_as_they_are(tmp_path: Path) -> None:
    clock = ManualClock()
    quirks = Quirks(search=True)
    async with Simulator(clock=clock, quirks=quirks) as device, site(tmp_path, device, clock, events=["ANPR"]) as one:
        await one.until(lambda: one.state == "up")
        await one.source_gap()
        assert [gap.state for gap in await settled(one)] == ["unfillable"]
        assert not device.log.asked


@pytest.mark.parametrize(
    ("sent", "form", "expected"),
    [
        ("2026-07-01T10:00:00+02:00", "+02:00", "2026-07-01T10:00:00+02:00"),
        ("2026-07-01T08:00:00Z", "+02:00", "2026-07-01T10:00:00+02:00"),
        ("2026-07-01T08:00:00-00:00", "+02:00", "2026-07-01T10:00:00+02:00"),
        ("2026-01-01T08:00:00-00:00", "+00:00", "2026-01-01T08:00:00+00:00"),
        ("2026-07-01T10:00:00", "+02:00", "2026-07-01T10:00:00+02:00"),
        ("2026-07-01T10:00:00+02:00", "", "2026-07-01T10:00:00"),
        ("2026-07-01T08:00:00Z", "", "2026-07-01T10:00:00"),
        ("2026-01-01T10:00:00+01:00", "+02:00", "2026-01-01T10:00:00+01:00"),
        ("2026-07-01T02:00:00-06:00", "-6:00", "2026-07-01T02:00:00-6:00"),
        ("2026-07-01T02:00:00-05:00", "-6:00", "2026-07-01T02:00:00-5:00"),
        ("2026-07-01T10:00:00+02:00", "Z", "2026-07-01T08:00:00Z"),
        ("2026-07-01T08:00:00+00:00", "00:00", "2026-07-01T08:00:0000:00"),
        ("0001-01-01T00:00:00Z", "-6:00", "0001-01-01T00:00:00Z"),
        ("2026-07-01T10:00:00", None, "2026-07-01T10:00:00"),
        ("yesterday", "+02:00", "yesterday"),
    ],
)
def test_a_row_s_time_as_the_stream_writes_it(sent: str, form: str | None, expected: str) -> None:
    assert written(sent, form, ZoneInfo("Europe/Paris")) == expected
    assert form is None or sent == "yesterday" or expected == sent or form_of(expected) is not None


def test_a_row_is_the_stream_s_event_of_the_record() -> None:
    facts = Facts(serial="K1")
    inner = {"majorEventType": 5, "subEventType": 75, "serialNo": 7, "doorNo": 1, "name": "Ada", "currentEvent": True}
    sent = "2026-11-20T09:00:00+01:00"
    live = parse({"eventType": "AccessControllerEvent", "dateTime": sent, "AccessControllerEvent": inner}, facts, UTC)
    row = {"major": 5, "minor": 75, "time": sent, "serialNo": 7, "doorNo": 1, "name": "Ada"}
    found = read(row, facts, UTC, "+01:00").event
    one = live.event
    assert (found.id, found.dedup_time_ms, found.type, found.subject, found.time) == (
        one.id, one.dedup_time_ms, one.type, one.subject, one.time,
    )  # fmt: skip
    assert found.data == one.data | {"reconciled": True, "raw": row}


def test_what_a_search_ends_is_ended_and_what_began_since_is_left_alone() -> None:
    matters, facts, begin = OpenIncidents(10.0), Facts(serial="K1"), datetime(2026, 11, 20, 8, tzinfo=UTC)

    def row(minor: int, minute: int) -> Any:
        time = (begin + timedelta(minutes=minute)).isoformat()
        return read({"major": 5, "minor": minor, "time": time, "serialNo": minute, "doorNo": 1}, facts, UTC, None)

    held, released = 0x13, 0x14
    [start], _ = matters.take(row(held, 0), 0.0)
    [end], _ = matters.found(row(released, 10), 0.0)
    assert end.data["incident"] == start.id
    assert not matters.open
    [now], _ = matters.take(row(held, 60), 0.0)
    [again], _ = matters.found(row(held, 20), 0.0)
    [over], state = matters.found(row(released, 30), 0.0)
    assert (again.data["phase"], again.data["incident"]) == ("start", again.id)
    assert (over.data["phase"], over.data.get("incident")) == ("end", None)
    assert [one.matter.id for one in matters.open.values()] == [now.id]
    assert state == {}


def test_the_simulated_terminal_refuses_what_terminals_refuse() -> None:
    log, now = AcsLog(Quirks(search=True)), datetime.now(UTC)
    good: dict[str, Any] = {
        "searchID": "a", "searchResultPosition": 0, "maxResults": 30, "major": 0, "minor": 0,
        "startTime": "2026-11-20T00:00:00+01:00", "endTime": "2026-11-21T00:00:00+01:00",
    }  # fmt: skip

    def status(method: str = "POST", **more: Any) -> int:
        answer = log.answer(method, PATH, orjson.dumps({"AcsEventCond": good | more}), now)
        assert answer is not None
        return answer[0]

    assert status() == 200
    assert status(searchResultPosition=30) == 200
    assert status("GET") == 403
    assert status(maxResults=31) == status(searchID="b", searchResultPosition=30) == status(searchID=7) == 400
    assert status(startTime="2026-11-20T00:00:00") == status(endTime="soon") == status(major="5") == 400
    assert log.answer("POST", PATH, b"<AcsEventCond/>", now) == log.answer("POST", PATH, b"{}", now)
    time = log.answer("GET", TIME, b"", now)
    assert time is not None
    assert time[0] == 200


async def test_a_search_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come until then is kept."""
    monkeypatch.setattr(filler, "MOST_PAGES", 2)
    clock = ManualClock()
    async with Simulator(clock=clock, quirks=Quirks(search=True)) as device, site(tmp_path, device, clock) as one:
        await outage(one, device, before=5, lost=90, after=5)
        [gap] = await settled(one)
        assert gap.state == "unfillable"
        assert "has no end after 60 rows" in gap.notes
        assert 0 < gap.filled < 90


async def test_a_bug_in_the_filling_leaves_the_stream_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filler, "SLICE", "no time")
    clock = ManualClock()
    async with Simulator(clock=clock, quirks=Quirks(search=True)) as device, site(tmp_path, device, clock) as one:
        await one.until(lambda: one.state == "up")
        await device.go_away()
        await one.until(lambda: one.state == "down")
        device.emit("access")
        await device.come_back()
        await one.until(lambda: one.state == "up")
        with capture_logs() as logs:
            await one.until(lambda: any("met a bug" in line["event"] for line in logs))
        streams = len(device.account.streams)
        for _ in range(5):
            device.emit("access")
        await device.drained()
        await one.stored(lambda events: sum(event["type"].startswith("access.") for event in events) >= 5)
        assert (len(device.account.streams), one.state) == (streams, "up")
        [gap] = await one.spool.gaps.read(source="door")
        assert gap.state == "open"
