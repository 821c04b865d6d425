"""One record, one event: whichever side brings it first, however many share a name, and over a restart."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pump.core.event import Event, Unparsed
from pump.ingest.intake import Intake
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.vendors.hik_connect.backfill import rows
from pump.vendors.hik_connect.backfill.matching import Matcher
from pump.vendors.hik_connect.parse import Queue, normalise
from pump.vendors.hik_connect.simulator.logs import Logs
from pump.vendors.hik_connect.simulator.messages import Traffic
from pump.vendors.hik_connect.simulator.quirks import LogQuirks, Quirks
from pump.vendors.hik_connect.uploads import Uploads

ZONE = ZoneInfo("UTC")
FOREVER = (0, 1 << 40)


@asynccontextmanager
async def intake(folder: Path, clock: ManualClock) -> AsyncIterator[Intake]:
    metrics = Metrics()
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=metrics)
    try:
        yield Intake("teams", spool=spool, site="north", clock=clock, metrics=metrics, health=Health(clock))
    finally:
        await spool.close()


async def from_queue(matcher: Matcher, intake: Intake, queue: Queue, records: list[dict[str, Any]]) -> int:
    """A batch of a queue; how many events were stored."""
    uploads = Uploads()
    items = [item for record in records for item in normalise(queue, record, ZONE, intake.clock.now(), uploads)]
    async with matcher.among_queues():
        return (await intake.put(*await matcher.unknown(items, uploads))).stored


async def from_log(matcher: Matcher, intake: Intake, found: list[rows.Found]) -> int:
    """A page of a log; how many events were stored."""
    matcher.search(*FOREVER)
    async with matcher.alone():
        judged = await matcher.judge(found)
        return (await intake.gaps.fill(None, judged.new, matcher.state(), seen=judged.seen)).stored


def logged(clock: ManualClock, queue: Queue, records: list[dict[str, Any]]) -> list[rows.Found]:
    """The rows that a log has of these records."""
    logs = Logs(clock, Quirks(), LogQuirks())
    for number, record in enumerate(records):
        logs.add(queue, str(number), orjson.dumps(record))
    logs._absorb()
    now = clock.now()
    alarms = [rows.alarm(logs._alarm_row(one.row), ZONE, now) for one in logs.alarms.values()]
    return alarms + [rows.record(one.row, ZONE, now) for one in logs.access.values()]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    queue=st.sampled_from(["combine", "alarm", "rawmsg"]),
    kinds=st.lists(st.sampled_from(["camera", "access", "matter", "pulse", "anpr"]), min_size=1, max_size=3),
    order=st.lists(st.sampled_from(["queue", "log", "restart"]), min_size=2, max_size=6),
    seed=st.integers(0, 1 << 30),
)
async def test_any_order_of_queue_and_log_gives_each_record_once(
    tmp_path_factory: pytest.TempPathFactory, queue: Queue, kinds: list[Any], order: list[str], seed: int
) -> None:
    clock, draw = ManualClock(), random.Random(seed)
    traffic = Traffic(clock, Quirks(), seed)
    known: dict[Queue, set[Any]] = {
        "combine": {"camera", "access", "anpr"},
        "alarm": {"camera", "matter", "pulse", "anpr"},
        "rawmsg": {"access"},
    }
    records = [
        record
        for kind in kinds
        for record in traffic.make(queue, draw.randint(1, 8), kind if kind in known[queue] else min(known[queue]))
    ]
    records = [record for record in records if queue != "alarm" or record["msgType"] in ("0", "1")]
    stored = 0
    folder = tmp_path_factory.mktemp("spool")
    while order:
        async with intake(folder, clock) as site:
            matcher = Matcher(site, ends=queue == "alarm")
            while order and (step := order.pop(0)) != "restart":
                some = draw.sample(records, draw.randint(1, len(records)))
                if step == "queue":
                    stored += await from_queue(matcher, site, queue, sorted(some, key=records.index))
                else:
                    found = logged(clock, queue, some)
                    draw.shuffle(found)
                    stored += await from_log(matcher, site, found)
            if not order:
                # In the end both sides have brought all, and there is one event of each.
                stored += await from_queue(matcher, site, queue, records)
                stored += await from_log(matcher, site, logged(clock, queue, records))
                assert stored == len(records)
                assert await from_queue(matcher, site, queue, records) == 0
                assert await from_log(matcher, site, logged(clock, queue, records)) == 0


async def test_a_row_that_nobody_can_read_is_kept_once(tmp_path: Path) -> None:
    clock = ManualClock()
    now = clock.now()
    alarms: list[Any] = [
        None, 7, "x", [], {}, {"guid": []}, {"eventSource": 3}, {"timeInfo": {"startTime": {}}, "guid": {}},
    ]  # fmt: skip
    records: list[Any] = [None, [], {"eventType": {}}, {"personInfo": "x", "recordGuid": 1e999}]
    broken = [rows.alarm(row, ZONE, now) for row in alarms] + [rows.record(row, ZONE, now) for row in records]
    assert all(isinstance(each.first, Event | Unparsed) for each in broken)
    async with intake(tmp_path, clock) as site:
        matcher = Matcher(site, ends=True)
        assert await from_log(matcher, site, broken) > 0
        assert await from_log(matcher, site, broken) == 0


async def test_nobody_stores_while_a_log_does(tmp_path: Path) -> None:
    clock = ManualClock()
    async with intake(tmp_path, clock) as site:
        matcher = Matcher(site, ends=True)
        order: list[str] = []

        async def queue(name: str) -> None:
            async with matcher.among_queues():
                order.append(f"{name} in")
                await asyncio.sleep(0)
                order.append(f"{name} out")

        async def log() -> None:
            async with matcher.alone():
                order.append("log in")
                for _ in range(5):
                    await asyncio.sleep(0)
                order.append("log out")

        async with asyncio.TaskGroup() as group:
            for work in (queue("a"), queue("b"), log(), queue("c")):
                group.create_task(work)
        begin = order.index("log in")
        assert order[begin + 1] == "log out"
        assert {"a out", "b out"} <= set(order[:begin])
        assert order[begin + 2 :] == ["c in", "c out"]


def test_rows_say_what_the_log_says() -> None:
    """5.3.4's own example, its times flat and its pulse 0."""
    row = {
        "guid": "9af74b16484d43eaaa64c833c05bcb3a", "dataRetransmission": 1, "alarmState": "0", "pulseAlarm": "0",
        "alarmMainCategory": "alarmCategoryVideo", "alarmSubCategory": "alarmCategoryVideo",
        "startTime": "2023-04-26T04:00:00Z", "endTime": "2023-04-26T04:00:15Z",
        "eventSource": {
            "eventType": "100657", "sourceID": "a333cd708cd542be975e8f1298cc8aa1", "sourceName": "201",
            "sourceType": "camera", "areaID": "96c4b7293d4a4a30818c988d1a79b438", "areaName": "11",
            "deviceInfo": {"devID": "8838bae9a94b4d0591a13bd16bcebe43", "devName": "K44201853", "devCategory": "2001"},
        },
        "alarmPriority": {"id": "1", "level": "1"}, "markState": "0", "affirmedState": "0", "fileInfo": {},
    }  # fmt: skip
    start, end = rows.alarm(row, ZONE, datetime(2026, 11, 20, tzinfo=UTC))
    assert isinstance(start, Event)
    assert end is not None
    assert (start.data["phase"], end.data["phase"]) == ("start", "end")
    assert start.data["incident"] == end.data["incident"] == row["guid"]
    assert start.data["raw"] is row
    assert start.data["reconciled"]
    assert start.time is not None
    assert end.time is not None
    assert (end.time - start.time).total_seconds() == 15
    assert start.id != end.id
    assert {one.side for one in start.sightings} == {"alarmlog"}
