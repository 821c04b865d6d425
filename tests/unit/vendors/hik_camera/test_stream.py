"""The stream's life: cuts, silence, rejected passwords, a day of heartbeats. Time is moved by hand where it can be."""

from __future__ import annotations

import asyncio
import gc
import random
import tracemalloc
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pump.core.clock import Clock
from pump.core.errors import Misconfigured
from pump.testing import ManualClock
from pump.vendors.hik_camera.document import read_document
from pump.vendors.hik_camera.simulator.server import Quirks, Simulator, identity
from tests.unit.vendors.hik_camera.site import Site, numbers, site

HABITS = {
    "chunked": Quirks(heartbeat="none"),
    "plain": Quirks(chunked=False, heartbeat="none"),
    "no lengths": Quirks(chunked=False, length="none", line_feed=True, heartbeat="none", boundary="differs"),
}


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("cuts", [40, pytest.param(1000, marks=pytest.mark.long)])
async def test_a_stream_cut_anywhere_loses_nothing_that_was_whole(tmp_path: Path, habit: str, cuts: int) -> None:
    clock, rng = ManualClock(), random.Random(11)
    start = clock.now()
    async with (
        Simulator(clock=clock, quirks=HABITS[habit], seed=5) as device,
        site(tmp_path, device, clock) as pump,
    ):
        device.cut_after.extend(rng.randrange(1, 9000) for _ in range(cuts))
        for number in range(cuts):
            await pump.until(lambda number=number: len(device.account.streams) > number)  # type: ignore[misc]
            begun = len(device.account.made)
            while device.account.streams[number].ended is None:
                assert len(device.account.made) < begun + 1000, "the cut never comes"
                device.emit(rng.choice(("access", "anpr", "unknown")))
                await device.drained()
                await asyncio.sleep(0)
        await pump.until(lambda: len(device.account.streams) > cuts)
        last = device.emit("access")[0].number
        events = await pump.stored(lambda events: last in numbers(events))
        found = numbers(events)
        whole = [message.number for message in device.account.delivered()]
        assert len(found) == len(set(found)), "twice"
        assert found == sorted(found)
        assert set(whole) <= set(found), "lost"
        made = {message.number: message for message in device.account.made}
        for event in events:
            if (raw := event["data"].get("raw")) and isinstance(raw, dict) and event["type"] != "pump.record.unparsed":
                sent = read_document(made[identity(raw) or 0].body)
                root = sent.pop("")
                assert raw == ({root: sent} if root else sent), "misread"
        gaps = [event["data"] for event in events if event["type"] == "pump.gap"]
        assert len(gaps) == cuts
        spans = [(datetime.fromisoformat(gap["from"]), datetime.fromisoformat(gap["to"])) for gap in gaps]
        grain = timedelta(milliseconds=1)
        for stream in device.account.streams[:cuts]:
            moment = start + timedelta(seconds=stream.ended or 0.0)
            assert any(begin - grain <= moment <= end + grain for begin, end in spans), "a cut that no gap covers"


@pytest.mark.parametrize("how", ["stall", "half_open"])
async def test_silence_is_noticed_and_the_link_comes_back(tmp_path: Path, how: str) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: device.account.heartbeats >= 3)
        getattr(device, how)()
        silent = clock.monotonic()
        await pump.until(lambda: pump.intake.component.state == "down")
        # the last heartbeat may have come up to an interval before the silence
        assert 19.0 <= clock.monotonic() - silent <= 31.0
        if how == "stall":
            for _ in range(20):
                clock.advance(7.0)
                await asyncio.sleep(0.01)
            device.resume()
        back = clock.monotonic()
        streams = len(device.account.streams)
        # small steps: what the sockets take in the world counts as well
        await pump.until(lambda: len(device.account.streams) > streams, step=0.001)
        assert clock.monotonic() - back <= 2.0
        await pump.until(lambda: pump.state == "up", step=0.001)
        message = device.emit("access")[0]
        events = await pump.stored(lambda events: message.number in numbers(events))
        gaps = [event["data"] for event in events if event["type"] == "pump.gap"]
        assert [gap["reason"] for gap in gaps] == ["the device was silent for 30 s"]


async def test_a_refused_connection_is_tried_every_two_seconds(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: device.streams)
        await device.go_away()
        for _ in range(300):
            clock.advance(1.0)
            await asyncio.sleep(0.001)
        assert pump.counted("reconnect") >= 30
        await device.come_back()
        back = clock.monotonic()
        await pump.until(lambda: device.streams, step=0.001)
        assert clock.monotonic() - back <= 2.0


async def test_a_rejected_password_waits_ten_minutes_over_restarts_too(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock, password="another") as device:

        async def supervised(pump: Site) -> None:
            while True:
                with pytest.raises(Misconfigured, match="password") as rejected:
                    await pump.source.run(pump.intake)
                assert "Camera-1" not in rejected.value.reason
                await clock.sleep(rejected.value.retry_after or 600.0)

        for _ in range(5):  # five processes, each alive for six minutes
            async with site(tmp_path, device, clock) as pump:
                pump.task.cancel()
                with suppress(asyncio.CancelledError, Misconfigured):
                    await pump.task
                pump.task = asyncio.create_task(supervised(pump))
                for _ in range(360):
                    clock.advance(1.0)
                    await asyncio.sleep(0.002)
        times = device.account.rejected
        assert 2 <= len(times) <= 4
        assert all(later - earlier >= 599.0 for earlier, later in pairwise(times))
        device.login.password = "Camera-1"
        async with site(tmp_path, device, clock, password="Camera-1", event_timeout="5s") as pump:
            with pytest.raises(Misconfigured):
                await pump.task  # the same password as before: it waits
            pump.task = asyncio.create_task(asyncio.sleep(0))
        async with site(tmp_path, device, clock, password="Camera-2") as pump:
            with pytest.raises(Misconfigured):
                await pump.task
            pump.task = asyncio.create_task(asyncio.sleep(0))
        assert len(device.account.rejected) == len(times), "another password was tried at once, and rejected"


_WORDS = ("videoloss", "heartBeat", "other", "cidEvent")


@pytest.mark.parametrize(
    ("word", "beaten"),
    [
        *((word, 360 if word == "videoloss" else 110) for word in _WORDS),
        *(pytest.param(word, 24 * 360, marks=pytest.mark.long) for word in _WORDS),
    ],
)
async def test_heartbeats_for_a_day_change_nothing(tmp_path: Path, word: Any, beaten: int) -> None:
    clock = ManualClock()
    async with (
        Simulator(clock=clock, quirks=Quirks(heartbeat=word)) as device,
        site(tmp_path, device, clock) as pump,
    ):

        async def beats(n: int) -> None:
            for _ in range(n):
                seen = pump.counted("heartbeat")
                await clock.sleeping(2)
                clock.advance(10.0)
                while pump.counted("heartbeat") == seen:
                    await asyncio.sleep(0)

        await pump.until(lambda: device.account.heartbeats >= 1 and pump.counted("heartbeat"))
        await beats(50)
        tasks, begun = len(asyncio.all_tasks()), clock.monotonic()
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.take_snapshot()
        await beats(beaten - 50)
        gc.collect()
        grown = sum(row.size_diff for row in tracemalloc.take_snapshot().compare_to(before, "filename"))
        tracemalloc.stop()
        assert grown < 200_000, "memory grows with heartbeats"
        assert clock.monotonic() - begun == pytest.approx((beaten - 50) * 10.0)
        assert len(asyncio.all_tasks()) == tasks
        assert len(device.account.streams) == 1
        assert pump.intake.component.state == "up"
        assert await pump.events() == []


async def test_a_spool_that_refuses_pauses_the_reading_and_not_the_link(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: device.streams)
        pump.intake.refusing = True
        made = [device.emit("access")[0].number for _ in range(20)]
        await pump.until(lambda: pump.intake.refused >= 3)
        assert pump.state == "down"
        await pump.until(lambda: clock.monotonic() > 300.0, step=0.2)  # ten time-outs
        assert len(device.account.streams) == 1, "the watchdog counted what was no reading"
        pump.intake.refusing = False
        events = await pump.stored(lambda events: made[-1] in numbers(events))
        assert numbers(events) == made
        assert not [event for event in events if event["type"] == "pump.gap"]
        assert pump.state == "up"


async def test_limits_and_stale_nonces_are_lived_with(tmp_path: Path) -> None:
    clock = ManualClock()
    quirks = Quirks(most_streams=1, nonce_life=0.5, close_after=3)
    async with Simulator(clock=clock, quirks=quirks) as device, site(tmp_path / "a", device, clock) as pump:
        await pump.until(lambda: device.streams)
        async with site(tmp_path / "b", device, clock) as second:
            await pump.until(lambda: device.account.refused)
            await pump.until(lambda: second.intake.component.state == "down")
            assert "as many event connections" in second.intake.component.reason
        for _ in range(5):
            device.expire_nonces()
            device.emit("access")
            await pump.until(lambda: device.streams)
        device.emit("access")
        await pump.until(lambda: len(device.account.streams) >= 3)
        assert not device.account.rejected


async def test_a_stream_that_ends_after_every_other_part_and_repeats_itself(tmp_path: Path) -> None:
    clock = Clock()
    quirks = Quirks(heartbeat="none", close_after=2, keep_offline=True, replay=1)
    async with Simulator(clock=clock, quirks=quirks) as device, site(tmp_path, device, clock) as pump:
        await device.connected()
        made = []
        for _ in range(5):
            made.append(device.emit("anpr")[0].number)
            await device.drained()
        events = await pump.stored(lambda events: set(made) <= set(numbers(events)))
        assert sorted(numbers(events)) == made
