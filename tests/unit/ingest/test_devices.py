"""The device table: online, offline after three intervals spent listening, once, whatever restarts."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.core.errors import Unavailable
from pump.ingest import signs
from pump.ingest.devices import Devices
from pump.ingest.intake import Intake
from pump.spool import Spool, SpoolSettings
from pump.spool.errors import Verdict
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock

_KEY = "10000/1001"


@asynccontextmanager
async def _table(folder: Path, clock: ManualClock, *, watched: bool = True) -> AsyncIterator[tuple[Devices, Intake]]:
    """One run of a pump: a table over a spool, watched while it is open."""
    metrics = Metrics()
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=metrics)
    intake = Intake("gate", spool=spool, site="s", clock=clock, metrics=metrics, health=Health(clock))
    devices = Devices(intake, clock, vendor="avaeye", kind="camera")
    task = asyncio.create_task(devices.watch())
    if watched:
        await clock.sleeping()
    try:
        yield devices, intake
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await spool.close()


async def _sign(devices: Devices, intake: Intake, key: str = _KEY, **facts: Any) -> None:
    async with devices.heard(key, **facts) as sign:
        await intake.put(*sign.events, state=sign.state)


async def _pass(clock: ManualClock, devices: Devices, seconds: float) -> None:
    """Let the watch look every quarter of a second."""
    for _ in range(int(seconds * 4)):
        clock.advance(0.25)
        await _looked(clock, devices)


async def _looked(clock: ManualClock, devices: Devices) -> None:
    """Return when the beat has had its tick, and the watch has done what it may have been woken for."""
    await clock.sleeping()
    while not devices._listening.waits:
        await asyncio.sleep(0)


async def _events(intake: Intake) -> list[dict[str, Any]]:
    return [
        event
        for record in await intake._spool.read(0, limit=1000)
        if (event := orjson.loads(record.body))["type"].startswith("device.")
    ]


async def _types(intake: Intake) -> list[str]:
    return [event["type"] for event in await _events(intake)]


async def test_silence_of_three_intervals_is_offline_once_and_a_sign_brings_it_back(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake, interval=10.0, facts={"version": "1"})
        assert await _types(intake) == ["device.online"]
        await _pass(clock, devices, 29.5)
        assert await _types(intake) == ["device.online"]
        await _pass(clock, devices, 1.0)
        assert await _types(intake) == ["device.online", "device.offline"]
        await _pass(clock, devices, 100)
        assert await _types(intake) == ["device.online", "device.offline"]
        await _sign(devices, intake)
        first, offline, online = await _events(intake)
        assert first["data"]["phase"] == "pulse"
        assert (offline["data"]["phase"], online["data"]["phase"]) == ("start", "end")
        assert offline["data"]["incident"] == online["data"]["incident"]
        known = devices.get(_KEY)
        assert known is not None
        assert known.facts == {"version": "1"}


async def test_only_time_spent_listening_counts_across_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake, interval=10.0)
        await _pass(clock, devices, 20)
    clock.advance(3600)
    async with _table(tmp_path, clock) as (devices, intake):
        await _pass(clock, devices, 9)
        assert await _types(intake) == ["device.online"], "no false offline at the start"
        await _pass(clock, devices, 2)
        assert await _types(intake) == ["device.online", "device.offline"]
    async with _table(tmp_path, clock) as (devices, intake):
        await _pass(clock, devices, 60)
        assert await _types(intake) == ["device.online", "device.offline"]
        await _sign(devices, intake)
        assert await _types(intake) == ["device.online", "device.offline", "device.online"]


async def test_a_standstill_of_the_process_is_no_time_spent_listening(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake, interval=10.0)
        clock.advance(500)
        await _looked(clock, devices)
        assert await _types(intake) == ["device.online"]


@pytest.mark.parametrize("jump", [10 * 86400.0, 3650 * 86400.0, -10 * 86400.0, -20_000 * 86400.0])
async def test_a_clock_that_jumps_makes_nobody_offline_and_keeps_nobody_online(tmp_path: Path, jump: float) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake, interval=10.0)
        clock.jump(jump)
        await _pass(clock, devices, 25)
        assert await _types(intake) == ["device.online"]
        await _sign(devices, intake)
        clock.jump(-jump)
        await _pass(clock, devices, 25)
        assert await _types(intake) == ["device.online"]
        await _pass(clock, devices, 10)
        assert await _types(intake) == ["device.online", "device.offline"]


async def test_a_refusing_spool_delays_the_event_and_loses_none(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake, interval=1.0)
        writer = intake._spool._writer
        writer.refuse(Verdict.FULL.value)
        await _pass(clock, devices, 10)
        assert await _types(intake) == ["device.online"]
        assert writer.accept()
        await _pass(clock, devices, 1)
        assert await _types(intake) == ["device.online", "device.offline"]


async def test_who_is_heard_while_the_spool_refuses_is_not_offline_after_it(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake, interval=10.0)
        writer = intake._spool._writer
        writer.refuse(Verdict.FULL.value)
        for _ in range(10):
            await _pass(clock, devices, 10)
            with pytest.raises(Unavailable):
                await _sign(devices, intake)
        assert writer.accept()
        await _pass(clock, devices, 1)
        assert await _types(intake) == ["device.online"]


async def test_a_shorter_interval_counts_from_its_sign_though_that_is_not_stored(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake, interval=600.0)
        await _pass(clock, devices, 5)
        writer = intake._spool._writer
        writer.refuse(Verdict.FULL.value)
        with pytest.raises(Unavailable):
            await _sign(devices, intake, interval=10.0)
        assert writer.accept()
        await _pass(clock, devices, 29.5)
        assert await _types(intake) == ["device.online"]
        await _pass(clock, devices, 1.0)
        assert await _types(intake) == ["device.online", "device.offline"]


async def test_two_first_signs_at_a_time_are_one_coming(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await asyncio.gather(*(_sign(devices, intake, interval=10.0) for _ in range(20)))
        assert await _types(intake) == ["device.online"]


async def test_a_device_without_an_interval_is_offline_only_where_that_is_known(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake)
        await _pass(clock, devices, 600)
        assert await _types(intake) == ["device.online"]
        for _ in range(2):
            async with devices.lost(_KEY) as sign:
                await intake.put(*sign.events, state=sign.state)
        assert await _types(intake) == ["device.online", "device.offline"]


async def test_who_comes_while_the_spool_refuses_comes_once_it_takes_events_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        writer = intake._spool._writer
        writer.refuse(Verdict.FULL.value)
        for _ in range(2):
            with pytest.raises(Unavailable):
                await _sign(devices, intake, interval=10.0)
            known = devices.get(_KEY)
            assert known is not None
            assert not known.online, "nothing says so on disk"
        assert writer.accept()
        for _ in range(2):
            await _sign(devices, intake)
        (event,) = await _events(intake)
        assert (event["type"], event["data"]["phase"]) == ("device.online", "pulse")


async def test_a_loss_that_is_not_stored_has_not_been(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake)
        writer = intake._spool._writer
        writer.refuse(Verdict.FULL.value)
        with pytest.raises(Unavailable):
            async with devices.lost(_KEY) as sign:
                await intake.put(*sign.events, state=sign.state)
        known = devices.get(_KEY)
        assert known is not None
        assert known.online
        assert writer.accept()
        async with devices.lost(_KEY) as sign:
            await intake.put(*sign.events, state=sign.state)
        assert await _types(intake) == ["device.online", "device.offline"]


async def _alone(devices: Devices, intake: Intake, key: str = _KEY) -> None:
    if not devices.alone(key):
        await _sign(devices, intake, key)


def _commits(intake: Intake) -> float:
    return intake._metrics.registry.get_sample_value("pump_commits_total") or 0


async def test_signs_that_come_alone_are_stored_once_a_minute_in_one_row_however_many_devices_there_are(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        keys = [f"10000/{number}" for number in range(1000)]

        async def begin(key: str) -> None:
            async with devices.heard(key, interval=30.0, facts={"name": f"Camera {key}" * 5}) as sign:
                await intake.put(*sign.events, state=sign.state)

        await asyncio.gather(*map(begin, keys))  # in few commits, whatever one of them costs
        before = _commits(intake)
        for _ in range(4):  # two minutes
            for key in keys:
                await _alone(devices, intake, key)
            await _pass(clock, devices, 30.0)
        await intake._spool.flush()
        assert _commits(intake) - before <= 8, "of 4000 signs"
        found = intake.state(signs.KEY)[signs.KEY]
        assert len(orjson.dumps(found)) < 100 * len(keys)
        assert len(found["signs"]) == len(keys)
        assert set(await _types(intake)) == {"device.online"}


async def test_a_minute_without_a_sign_stores_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake, interval=600.0)
        await _alone(devices, intake)
        await _pass(clock, devices, 61.0)
        await intake._spool.flush()
        stored = intake.state(signs.KEY)[signs.KEY]
        await _pass(clock, devices, 130.0)
        assert intake.state(signs.KEY)[signs.KEY] is stored, "the very object: nothing took its place"
        await _alone(devices, intake)
        await _pass(clock, devices, 1.0)
        assert intake.state(signs.KEY)[signs.KEY]["signs"][_KEY][0] > stored["signs"][_KEY][0], "not a minute later"
        await _sign(devices, intake)
        await _pass(clock, devices, 61.0)
        assert intake.state(signs.KEY)[signs.KEY]["signs"] == {}, "its row has it"


async def test_a_kill_costs_a_minute_of_last_seen_and_no_turn(tmp_path: Path) -> None:
    """The files as they are while the pump runs are those that a kill leaves."""
    clock = ManualClock()
    async with _table(tmp_path / "run", clock) as (devices, intake):
        await _sign(devices, intake, interval=20.0)
        for _ in range(30):
            await _pass(clock, devices, 19.0)
            await _alone(devices, intake)
        await _pass(clock, devices, 15.0)
        seen = devices._known[_KEY].seen
        await intake._spool.flush()
        shutil.copytree(tmp_path / "run", tmp_path / "killed")
    clock.advance(5.0)
    async with _table(tmp_path / "killed", clock) as (devices, intake):
        device = devices._known[_KEY]
        lost = datetime.fromisoformat(seen) - datetime.fromisoformat(device.seen)
        assert timedelta(0) <= lost <= timedelta(seconds=61)
        await _pass(clock, devices, 19.0)
        await _alone(devices, intake)
        await _pass(clock, devices, 50.0)
        assert await _types(intake) == ["device.online"]
        await _pass(clock, devices, 15.0)
        assert await _types(intake) == ["device.online", "device.offline"], "silent for three intervals"


async def test_a_stop_in_order_costs_nothing_of_last_seen(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake, interval=20.0)
        await _pass(clock, devices, 13.0)
        await _alone(devices, intake)
        heard, seen = devices._known[_KEY].heard, devices._known[_KEY].seen
        await _pass(clock, devices, 4.0)
    for _ in range(2):  # a run without signs forgets none of the one before
        async with _table(tmp_path, clock) as (devices, intake):
            assert devices._known[_KEY].heard == pytest.approx(heard, abs=0.001)
            assert devices._known[_KEY].seen == seen
    async with _table(tmp_path, clock) as (devices, intake):
        await _alone(devices, intake, "10000/1002")
        await _pass(clock, devices, 55.0)
        assert "device.offline" not in await _types(intake)
        await _pass(clock, devices, 1.0)
        assert (await _types(intake))[-1] == "device.offline"
