"""Gaps filled from the simulator's logs, over a real socket, into a real spool; the clock is moved by hand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from pump.ingest.intake import Intake
from pump.spool import Gap
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.vendors.hik_connect.backfill import filler
from pump.vendors.hik_connect.backfill.inventory import FIRST
from pump.vendors.hik_connect.simulator.logs import Logged
from pump.vendors.hik_connect.simulator.messages import identity
from pump.vendors.hik_connect.simulator.quirks import LogQuirks, Quirks
from pump.vendors.hik_connect.simulator.server import Fault, Simulator
from tests.unit.vendors.hik_connect.test_source import APP_KEY, SECRET_KEY, Site, site

HOUR = 3600.0
DAY = 24 * HOUR
SETTLE = timedelta(minutes=2)
"""`backfill_delay`."""
PACE = 0.2
"""Seconds of the clock between two looks: the vendor is given minutes before a time is searched."""


def vendor(clock: ManualClock, quirks: Quirks | None = None, logs: LogQuirks | None = None) -> Simulator:
    return Simulator(clock=clock, quirks=quirks, log_quirks=logs, app_key=APP_KEY, secret_key=SECRET_KEY)


async def ledger(pump: Site) -> list[Gap]:
    return await pump.spool.gaps.read()


async def filled(pump: Site, count: int = 1) -> list[Gap]:
    """The ledger, once it has so many records and none is open."""

    def states() -> dict[str, int]:
        return dict(pump.spool.gaps.counts.get("teams", {}))

    await pump.until(lambda: sum(states().values()) >= count)
    if isinstance(pump.clock, ManualClock):
        pump.clock.advance(SETTLE.total_seconds())
    await pump.until(lambda: not states().get("open"))
    return await ledger(pump)


def at_fault(vendor: Simulator) -> None:
    assert vendor.account.busiest_second() <= 5
    assert not {code for code in vendor.account.refusals if code not in ("OPEN000016", "OPEN000010")}


def keys(rows: Iterable[Logged]) -> dict[str, str]:
    """Which row a record's identity became."""
    return {identity: row.row.get("guid") or row.row["recordGuid"] for row in rows for identity in row.identities}


class Happened:
    """What the simulated vendor's devices did, by row of the logs; each row may be met in a queue too."""

    def __init__(self, simulator: Simulator) -> None:
        simulator.logs._absorb()
        self.rows = {**keys(simulator.logs.alarms.values()), **keys(simulator.logs.access.values())}
        self.guids = Counter(self.rows.values())

    def of(self, event: dict[str, Any]) -> str:
        """The row that a stored event is of."""
        raw = event["data"]["raw"]
        if event["data"]["reconciled"]:
            return str(raw.get("guid") or raw["recordGuid"])
        return self.rows.get(identity(raw), identity(raw))


async def stored(pump: Site) -> list[dict[str, Any]]:
    """The vendor's records; not what the pump itself noticed of devices."""
    return [event for event in await pump.events() if event["data"]["vendor"] != "pump" and "raw" in event["data"]]


@pytest.mark.parametrize("fate", ["keeps", "empties"])
async def test_four_days_away_are_filled_each_event_once(tmp_path: Path, fate: Any) -> None:
    """The subscription dies on the second day, messages after three; all that a log has is there in the end."""
    clock = ManualClock()
    async with vendor(clock, Quirks(lost_subscription=fate)) as hik:
        async with site(hik, tmp_path, clock) as pump:
            hik.put("combine", *hik.make("combine", 20))
            await pump.completed()
        for _ in range(96):
            clock.advance(HOUR)
            hik.put("combine", *hik.make("combine", 8, "camera"), *hik.make("combine", 3, "access"))
        async with site(hik, tmp_path, clock, verify="0s") as pump:
            pump.pace = PACE
            await pump.completed()
            live = hik.put("combine", *hik.make("combine", 5, "anpr"))
            [gap] = await filled(pump)
            events = await stored(pump)
            happened = Happened(hik)
            times = Counter(happened.of(event) for event in events)
            assert {key: count for key, count in times.items() if count != 1} == {}
            assert set(happened.guids) <= set(times), "nothing is missing that a log has"
            assert gap.state == "filled"
            assert gap.filled == sum(event["data"]["reconciled"] for event in events)
            assert gap.filled > 500
            assert set(live) <= {identity(event["data"]["raw"]) for event in events}
            assert pump.spool.state("teams", "backfill/gap/") == {}
            at_fault(hik)


def phases(events: Iterable[dict[str, Any]]) -> Counter[str]:
    return Counter(event["data"]["phase"] for event in events)


async def test_an_alarm_that_the_queue_lost_is_a_start_and_an_end(tmp_path: Path) -> None:
    """What the queue brought of others stays as it is: of a start that came, the end alone is missing."""
    clock = ManualClock()
    async with vendor(clock) as hik, site(hik, tmp_path, clock, queues=["alarm"]) as pump:
        pump.pace = PACE
        await pump.completed()
        came = hik.make("alarm", 3, "matter")
        hik.put("alarm", came[0])
        await pump.completed()
        hik.lose_subscription("alarm")
        lost = hik.make("alarm", 1, "matter")  # what is left of the first, its end
        hik.put("alarm", *lost, *(whole := hik.make("alarm", 4, "matter")))
        [gap] = await filled(pump)
        events = [event for event in await stored(pump) if event["data"]["reconciled"]]
        assert phases(events) == {"start": 1, "end": 2}
        assert (gap.state, gap.filled) == ("filled", 3)
        incidents = {event["data"]["incident"] for event in events}
        assert incidents == {whole[0]["guid"], came[0]["guid"]}
        ours = {event["data"]["phase"]: event for event in events if event["data"]["incident"] == whole[0]["guid"]}
        start, end = ours["start"], ours["end"]
        assert start["time"] < end["time"]
        assert start["data"]["alarm"]["acknowledged"], "the log has an alarm's last state"
        assert "confirmations and marks are in no log" in gap.notes
        at_fault(hik)


@pytest.mark.parametrize("logs", [
    LogQuirks(log_list="alarmlogList", log_times="flat", log_order="oldest first"),
    LogQuirks(log_guid="event", search_criteria="searchCreteria", door_alarms="logged"),
    LogQuirks(log_time="local"),
])  # fmt: skip
async def test_the_habits_of_tenants_make_nothing_twice(tmp_path: Path, logs: LogQuirks) -> None:
    clock = ManualClock()
    zone = {"time_zone": "Asia/Shanghai"} if logs.log_time == "local" else {}
    queues = ["combine", "rawmsg"]
    async with vendor(clock, logs=logs) as hik, site(hik, tmp_path, clock, queues=queues, **zone) as pump:
        pump.pace = PACE
        await pump.until(lambda: hik.account.queues["rawmsg"].subscribed)
        await pump.completed()
        hik.put("combine", *hik.make("combine", 30, "camera"), *hik.make("combine", 10, "access"))
        clock.advance(5.0)  # a door's alarm and its record, of one second, would be one
        hik.put("rawmsg", *hik.make("rawmsg", 20, "access"), *hik.make("rawmsg", 5, "driving"))
        await pump.completed()
        hik.lose_subscription()
        hik.put("combine", *hik.make("combine", 30, "camera"), *hik.make("combine", 10, "access"))
        clock.advance(5.0)  # a door's alarm and its record, of one second, would be one
        hik.put("rawmsg", *hik.make("rawmsg", 20, "access"), *hik.make("rawmsg", 5, "driving"))
        await pump.until(lambda: hik.account.queues["rawmsg"].subscribed)
        await pump.completed()
        gaps = await filled(pump, 2)
        events, happened = await stored(pump), Happened(hik)
        times = Counter(happened.of(event) for event in events)
        assert set(times.values()) == {1}
        assert set(happened.guids) <= set(times)
        assert len(events) == 60 + 20 + 40 + 5
        assert {gap.reason.split()[4]: (gap.state, "in no log" in gap.notes) for gap in gaps} == {
            "combine": ("filled", True), "rawmsg": ("unfillable", True),
        }  # fmt: skip
        assert sum(gap.filled for gap in gaps) == 60
        people = [event["data"]["access"] for event in events if "devSerialNo" in event["data"]["raw"]]
        assert len(people) == 20
        assert all({"person", "person_id", "card", "door"} <= one.keys() for one in people)
        at_fault(hik)


async def test_a_queue_s_message_that_comes_behind_the_log_is_no_second_event(tmp_path: Path) -> None:
    """Its later pictures are an update of the event that there is."""
    clock = ManualClock()
    async with vendor(clock) as hik, site(hik, tmp_path, clock, queues=["combine"]) as pump:
        pump.pace = PACE
        await pump.completed()
        first, second = hik.make("combine", 2, "second upload")
        other = hik.make("combine", 1, "camera")
        hik.logs.add("combine", identity(first), orjson.dumps(first))
        hik.lose_subscription("combine")
        [gap] = await filled(pump)
        assert gap.filled == 1
        [event] = await stored(pump)
        hik.put("combine", first, *other)
        hik.faults.push(Fault("redeliver", "combine/v1/mq/messages", skip=1))
        await pump.completed()
        assert pump.counted("filled before") >= 1
        hik.put("combine", second)
        await pump.completed()
        await pump.polls(3)
        events = await stored(pump)
        assert [identity(one["data"]["raw"]) for one in events[1:]] == [identity(other[0]), identity(second)]
        assert (events[2]["data"]["update"], events[2]["data"]["updates"]) == (True, event["id"])


async def test_a_time_is_searched_by_hand(tmp_path: Path) -> None:
    clock = ManualClock()
    async with vendor(clock) as hik, site(hik, tmp_path, clock) as pump:
        pump.pace = PACE
        await pump.completed()
        hik.put("combine", *hik.make("combine", 5, "camera"))
        await pump.completed()
        began = clock.now()
        for record in hik.make("combine", 7, "camera"):
            hik.logs.add("combine", identity(record), orjson.dumps(record))
        clock.advance(60.0)
        progress: list[dict[str, Any]] = []

        async def report(each: dict[str, Any]) -> None:
            progress.append(each)

        asked = asyncio.create_task(pump.source.backfill(began - timedelta(hours=30), clock.now(), report))
        await pump.until(asked.done)
        result = await asked
        assert (result["state"], result["filled"]) == ("filled", 7)
        assert "5 events were known" in result["notes"]
        assert progress
        assert all(0 <= each["looked"] <= each["of"] for each in progress)
        again = asyncio.create_task(pump.source.backfill(began - timedelta(hours=30), clock.now(), report))
        await pump.until(again.done)
        assert (await again)["filled"] == 0


async def test_what_the_queue_never_brought_is_found_by_comparing(tmp_path: Path) -> None:
    clock = ManualClock()
    async with vendor(clock) as hik, site(hik, tmp_path, clock, verify="5m", inventory_interval="0s") as pump:
        pump.pace = PACE * 5
        await pump.completed()
        hik.put("combine", *hik.make("combine", 5, "camera"))
        await pump.until(lambda: "backfill/verified" in pump.spool.state("teams", "backfill/verified"))
        never = hik.make("combine", 3, "camera")
        for record in never:
            hik.logs.add("combine", identity(record), orjson.dumps(record))
        [gap] = await filled(pump)
        assert (gap.filled, gap.state, gap.reason) == (3, "filled", "the queues did not bring it")
        assert pump.counted("missing") == 3
        assert await pump.events("pump.gap") == []
        assert len(await stored(pump)) == 8


async def test_a_log_that_may_not_be_read_is_said_and_the_other_fills(tmp_path: Path) -> None:
    clock = ManualClock()
    async with vendor(clock) as hik, site(hik, tmp_path, clock) as pump:
        pump.pace = PACE
        await pump.completed()
        hik.faults.push(Fault("error", "certificaterecords/search", times=99, code="OPEN000021"))
        hik.faults.push(Fault("status", "alarmlog", times=2, status=503), Fault("cut_answer", "alarmlog"))
        hik.lose_subscription()
        hik.put("combine", *hik.make("combine", 5, "camera"), *hik.make("combine", 5, "access"))
        [gap] = await filled(pump)
        assert (gap.filled, gap.state) == (5, "unfillable")
        assert "give it the permission" in gap.notes
        assert pump.counted("backfill retry") >= 2
        assert pump.state == "up"


async def test_only_subscribed_types_are_filled(tmp_path: Path) -> None:
    clock = ManualClock()
    types = {"combine": ["80001", "10002"]}
    async with vendor(clock) as hik, site(hik, tmp_path, clock, event_types=types) as pump:
        pump.pace = PACE
        await pump.completed()
        hik.lose_subscription()
        hik.put("combine", *hik.make("combine", 60, "camera"), *hik.make("combine", 30, "access"))
        await filled(pump)
        codes = {event["data"]["code"] for event in await stored(pump)}
        assert codes == {"10002", "Msg110003"}


def is_online(pump: Site, device: str) -> bool:
    """As the spool has it."""
    return bool(pump.spool.state("teams", f"device/{device}")[f"device/{device}"]["online"])


async def test_devices_are_listed_name_events_and_are_asked_after_a_gap(tmp_path: Path) -> None:
    clock = ManualClock()
    async with vendor(clock) as hik, site(hik, tmp_path, clock) as pump:
        pump.pace = PACE
        await pump.completed()
        clock.advance(FIRST)
        await pump.until(lambda: pump.spool.state("teams", "device/"))
        listed = pump.spool.state("teams", "device/")
        assert len(listed) == 18
        assert {row["facts"]["model"] for row in listed.values()} == {"DS-2CD2T86"}
        camera, door = sorted(key.removeprefix("device/") for key in listed)[1:9:6]
        hik.logs.online |= {camera: 0, door: 0}
        hik.lose_subscription()
        await filled(pump)
        await pump.until(lambda: not is_online(pump, camera) and not is_online(pump, door))
        turned = [event for event in await pump.events() if event["type"] == "device.offline"]
        assert {event["subject"] for event in turned} == {f"device/{camera}", f"device/{door}"}
        assert all(event["data"]["reconciled"] for event in turned)
        hik.logs.online |= {camera: 1}
        hik.lose_subscription()
        await filled(pump, 2)
        await pump.until(lambda: is_online(pump, camera))
        [back] = [event for event in await pump.events() if event["type"] == "device.online"]
        assert back["data"]["incident"] in {event["data"]["incident"] for event in turned}
        assert not is_online(pump, door)
        [record] = hik.make("combine", 1, "camera")
        del (device := record["basicInfo"]["resourceInfo"]["deviceInfo"])["name"]
        hik.put("combine", record)
        await pump.completed()
        assert (await stored(pump))[-1]["data"]["device"]["name"] == f"Device {device['deviceSerial']}"


async def test_live_events_are_not_late_for_a_gap_that_is_filled(tmp_path: Path) -> None:
    """Three queues are polled and leave no place of their own; no event of theirs waits more than 2 s for a search.

    The clock goes on only when all four tasks sleep, so that nothing here is measured in the machine's own time.
    """
    clock, tasks = ManualClock(), 4
    queues = ["combine", "alarm", "rawmsg"]
    async with vendor(clock) as hik:
        async with site(hik, tmp_path, clock, queues=queues) as pump:
            await pump.polls(6)
        clock.advance(3 * DAY)
        async with site(hik, tmp_path, clock, queues=queues) as pump:
            await pump.until(lambda: hik.account.queues["rawmsg"].subscribed)
            await pump.until(lambda: pump.spool.gaps.counts.get("teams", {}).get("open") == 3)
            clock.advance(SETTLE.total_seconds())
            put: dict[str, float] = {}
            while pump.spool.gaps.counts["teams"].get("open"):
                async with asyncio.timeout(60.0):
                    await clock.sleeping(tasks)
                assert clock.deadline is not None
                clock.advance(max(clock.deadline - clock.monotonic(), 0.0))
                if not put or clock.monotonic() - max(put.values()) > 0.7:
                    put |= dict.fromkeys(hik.put("combine", *hik.make("combine", 1, "camera")), clock.monotonic())
            await pump.completed()
            assert len(put) > 10
            stood = {identity(event["data"]["raw"]): event["recordedtime"] for event in await stored(pump)}
            late = [_monotonic(clock, stood[one]) - at for one, at in list(put.items())[:-3]]
            assert max(late) < 2.0
            assert hik.logs.asked["alarm/v1/alarmlog"] >= 4
            at_fault(hik)


def _monotonic(clock: ManualClock, stamp: str) -> float:
    return clock.monotonic() - (clock.now() - datetime.fromisoformat(stamp)).total_seconds()


def happen(hik: Simulator, count: int) -> None:
    """Events that the logs have, and no queue ever had."""
    for record in hik.make("combine", count, "camera"):
        hik.logs.add("combine", identity(record), orjson.dumps(record))


async def test_a_time_of_failures_is_compared_with_the_logs(tmp_path: Path) -> None:
    """The vendor answers 503 for a quarter of an hour, and its queue has lost what came meanwhile, without a word."""
    clock = ManualClock()
    async with vendor(clock) as hik, site(hik, tmp_path, clock) as pump:
        await pump.completed()
        pump.pace = 2.0
        hik.faults.push(Fault("status", "combine/v1/mq/messages", times=100_000, status=503))
        begun = clock.monotonic()
        await pump.until(lambda: clock.monotonic() - begun > 300.0)
        happen(hik, 4)
        await pump.until(lambda: clock.monotonic() - begun > 900.0)
        hik.faults.clear()
        pump.pace = PACE * 2
        [gap] = await filled(pump)
        assert (gap.filled, gap.state) == (4, "filled")
        assert pump.counted("missing") == 4
        assert await pump.events("pump.gap") == []
        at_fault(hik)


async def test_what_the_spool_itself_has_lost_is_asked_for_once(tmp_path: Path) -> None:
    clock = ManualClock()
    async with vendor(clock) as hik:
        async with site(hik, tmp_path, clock) as pump:
            await pump.completed()
            happen(hik, 3)
            own = Intake("pump", spool=pump.spool, site="north", clock=clock, metrics=Metrics(), health=Health(clock))
            span = {"from": clock.now() - timedelta(hours=1), "to": clock.now() + timedelta(minutes=1)}
            await own.put_own(own.own("pump.gap", "Gap", "warning", **span, reason="the spool was damaged", count=3))
        for _ in range(2):
            async with site(hik, tmp_path, clock) as pump:
                clock.advance(2 * SETTLE.total_seconds())
                lost, gap = await filled(pump, 1)
                assert (lost.source, lost.state) == ("pump", "unfillable")
                assert (gap.source, gap.filled, gap.state) == ("teams", 3, "filled")
                assert "the spool was damaged" in gap.reason


async def test_a_bug_in_the_filling_leaves_the_queues_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filler, "BEFORE", "no time")
    clock = ManualClock()
    async with vendor(clock, Quirks(lost_subscription="keeps")) as hik:
        async with site(hik, tmp_path, clock) as pump:
            await pump.completed()
        for _ in range(96):
            clock.advance(HOUR)
        with capture_logs() as logs:
            async with site(hik, tmp_path, clock, verify="0s") as pump:
                pump.pace = PACE
                await pump.completed()
                clock.advance(SETTLE.total_seconds())
                await pump.until(lambda: any("met a bug" in line["event"] for line in logs))
                live = hik.put("combine", *hik.make("combine", 5, "anpr"))
                await pump.completed()
                assert set(live) <= set(await pump.identities())
                assert not pump.task.done()
                assert [gap.state for gap in await ledger(pump)] == ["open"]
