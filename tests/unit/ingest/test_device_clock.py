"""Devices whose clock is off: found over ten live events, told once, over restarts, and again when it is right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from pump.core.errors import Unavailable
from pump.core.event import Event, event_id
from pump.core.schema import event_schema
from pump.ingest.device_clock import LIVE, MOST, DeviceClocks
from pump.ingest.intake import Intake
from pump.spool import Spool, SpoolSettings
from pump.spool.errors import Verdict
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
SCHEMA = Draft202012Validator(event_schema())
HOURS = 3 * 3600.0


class Site:
    def __init__(self, spool: Spool, clock: ManualClock) -> None:
        self.spool, self.clock, self.metrics = spool, clock, Metrics()
        self.intake = Intake("gate", spool=spool, site="s", clock=clock, metrics=self.metrics, health=Health(clock))
        self.number = 0

    def event(self, offset: float, device: str | None = "7", subject: str | None = None, **data: Any) -> Event:
        self.number += 1
        groups = {} if device is None else {"device": {"id": device}}
        head = {"vendor": "v", "code": "1", "name": "N", "phase": "pulse", "severity": "info"}
        time = self.clock.now() + timedelta(seconds=offset)
        return Event("vehicle.passed", event_id(self.number, id(self)), {**head, **groups, **data}, time, subject)

    async def hear(self, offsets: Iterable[float], every: float = 60.0, **more: Any) -> None:
        for offset in offsets:
            await self.intake.put(self.event(offset, **more))
            self.clock.advance(every)

    async def told(self) -> list[dict[str, Any]]:
        found, after = [], 0
        while batch := await self.spool.read(after):
            found += [orjson.loads(record.body) for record in batch]
            after = batch[-1].seq
        for event in found:
            SCHEMA.validate(event)
        return [event for event in found if event["type"] == "device.clock.off"]

    def metric(self) -> float | None:
        return self.metrics.registry.get_sample_value("pump_device_clock_offset_seconds", {"source": "gate"})


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    clock = ManualClock(NOW)
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=Metrics())
    spool.set_holders({"out": True})
    try:
        yield Site(spool, clock)
        await spool.flush()
    finally:
        await spool.close()


async def test_a_clock_that_is_off_is_told_once_and_again_when_it_is_right(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.hear([HOURS] * 9, subject="camera/7", place={"lot": "10"})
        assert await one.told() == []
        await one.hear([HOURS] * 21, subject="camera/7", place={"lot": "10"})
        (off,) = await one.told()
        assert (off["subject"], off["data"]["phase"], off["data"]["severity"]) == ("camera/7", "start", "warning")
        assert off["data"]["measure"] == {"what": "clock offset", "value": 10800.0, "unit": "s"}
        assert (off["data"]["device"], off["data"]["place"]) == ({"id": "7"}, {"lot": "10"})
        assert one.metric() == HOURS
        await one.hear([2.0] * 5)
        assert len(await one.told()) == 1
        await one.hear([2.0] * 15)
        _, right = await one.told()
        assert (right["data"]["phase"], right["data"]["incident"]) == ("end", off["data"]["incident"])
        assert right["data"]["measure"]["value"] == 2.0
        assert one.metric() == 2.0
        await one.hear([-HOURS] * 10)
        again = (await one.told())[2]
        assert (again["data"]["phase"], again["data"]["measure"]["value"]) == ("start", -10800.0)
        assert again["data"]["incident"] != off["data"]["incident"]


@pytest.mark.parametrize(
    ("offsets", "off"),
    [
        ([60.0] * 10, False),
        ([-60.0] * 10, False),
        ([61.0] * 10, True),
        ([-61.0] * 10, True),
        ([HOURS] * 4 + [0.0] * 6, False),  # the median
        ([HOURS] * 6 + [0.0] * 4, True),
        ([-0.5, -15.0, -3.0, -9.0, 0.0] * 2, False),
        ([-HOURS + lag for lag in (0, 12, 3, 9, 1)] * 2, True),  # behind, and the way takes its time
        ([86400.0 * day for day in range(1, 11)], True),
    ],
)
async def test_the_median_of_ten_is_the_offset(tmp_path: Path, offsets: list[float], off: bool) -> None:
    async with site(tmp_path) as one:
        await one.hear(offsets)
        assert bool(await one.told()) == off


async def test_a_backlog_is_no_clock(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        # an hour's captures, ten seconds apart, in a few moments
        await one.hear([-3600.0 + 10.0 * number for number in range(360)], every=0.05)
        assert await one.told() == []
        # those of a camera that is an hour behind
        await one.hear([-3600.0] * 12, every=10.0, device="8")
        await one.hear([-3600.0] * 12, every=0.0, device="9")
        assert [event["data"]["device"]["id"] for event in await one.told()] == ["8", "9"]


@pytest.mark.parametrize(
    "data",
    [{"late": True}, {"update": True}, {"reconciled": True}, {"phase": "update"}],
    ids=lambda data: next(iter(data)),
)
async def test_what_is_not_live_does_not_count(tmp_path: Path, data: dict[str, Any]) -> None:
    async with site(tmp_path) as one:
        await one.hear([HOURS] * 20, **data)
        for number in range(20):  # nor what has no time, nor what the pump noticed
            event = one.event(HOURS)
            event.time = None if number % 2 else event.time
            event.clocked = bool(number % 2)
            await one.intake.put(event)
        assert await one.told() == []
        assert one.metric() is None


async def test_a_redelivery_does_not_count(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        first = one.event(0.0)
        await one.intake.put(first)
        for _ in range(30):
            one.clock.advance(600.0)
            await one.intake.put(first)
        assert await one.told() == []


async def test_what_is_put_again_after_a_refusal_counts_once(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.hear([HOURS] * 8)
        event = one.event(HOURS)
        one.spool._writer.refuse(Verdict.FULL.value)
        for _ in range(20):
            with pytest.raises(Unavailable):
                await one.intake.put(event)
        assert one.spool._writer.accept()
        await one.intake.put(event)
        assert await one.told() == []
        await one.hear([HOURS])
        assert len(await one.told()) == 1


async def test_devices_have_clocks_of_their_own_and_parks_devices_too(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        for number in range(LIVE):
            batch = [
                one.event(0.0, "1", "camera/a/1"), one.event(HOURS, "1", "camera/b/1"),
                one.event(120.0, "DEV", "zone/DEV/3"), one.event(-90.0, None),
                one.event(0.0, "2", f"zone/2/{number}"),
            ]  # fmt: skip
            await one.intake.put(*batch)
            one.clock.advance(30.0)
        assert [event.get("subject") for event in await one.told()] == ["camera/b/1", "device/DEV", "device/gate"]
        await one.spool.flush()
        assert one.intake.state("clock/").keys() == {f"clock/{key}" for key in ("a/1", "b/1", "DEV", "gate", "2")}
        assert one.metric() == HOURS


async def test_the_sources_name_in_a_subject_is_no_part_of_a_devices_name(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        for _ in range(LIVE):
            await one.intake.put(one.event(HOURS, "1", "camera/gate/1"))
            one.clock.advance(30.0)
        assert [event.get("subject") for event in await one.told()] == ["camera/gate/1"]
        await one.spool.flush()
        assert one.intake.state("clock/").keys() == {"clock/1"}


async def test_a_restart_tells_nothing_again(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.hear([HOURS] * 12)
        assert len(await one.told()) == 1
    async with site(tmp_path) as one:
        assert one.metric() == HOURS
        await one.hear([HOURS] * 12)
        assert len(await one.told()) == 1
        await one.hear([0.0] * 12)
        start, end = await one.told()
        assert start["data"]["incident"] == end["data"]["incident"]
    async with site(tmp_path) as one:
        await one.hear([0.0] * 12)
        assert len(await one.told()) == 2


async def test_puts_at_the_same_time_tell_it_once(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await asyncio.gather(*(one.intake.put(one.event(HOURS)) for _ in range(50)))
        assert len(await one.told()) == 1
        await one.hear([HOURS] * 12)
        assert len(await one.told()) == 1


def test_memory_is_bounded() -> None:
    clocks = DeviceClocks("s", {})
    data: dict[str, Any] = {"phase": "pulse", "severity": "info"}
    for number in range(MOST + 50):
        for _ in range(LIVE + 1 if number < 3 else 1):
            clocks.hear(Event("x.y", "1", {**data, "device": {"id": str(number)}}, NOW), NOW)
    assert len(clocks._heard) == MOST
    assert max(len(heard.offsets) for heard in clocks._heard.values()) == LIVE


def test_what_is_stored_wrong_is_no_clock() -> None:
    clocks = DeviceClocks("s", {"clock/1": None, "clock/2": 5, "clock/3": {"offset": 70.5, "off": True}})
    assert clocks.largest == 70.5
