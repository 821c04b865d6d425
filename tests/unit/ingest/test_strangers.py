"""Strangers in the device table: a share of their own; forgotten when silent, known after a day or by a word."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.ingest import devices as table
from pump.ingest.devices import PREFIX, Devices
from pump.ingest.intake import Intake
from pump.ingest.strangers import AGE, BYTES, DAY, PARKS, ROWS, Share
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock

_KEY = "10000/1001"


@asynccontextmanager
async def _table(
    folder: Path, clock: ManualClock, *, named: Collection[str] = (), listened: float | None = None
) -> AsyncIterator[tuple[Devices, Intake]]:
    """One run of a pump: a table over a spool, watched while it is open, after `listened` seconds of listening."""
    if listened is not None:
        folder.joinpath("listened-gate").write_bytes(struct.pack("<d", listened))
    metrics = Metrics()
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=metrics)
    intake = Intake("gate", spool=spool, site="s", clock=clock, metrics=metrics, health=Health(clock))
    devices = Devices(intake, clock, vendor="avaeye", kind="camera", named=frozenset(named))
    task = asyncio.create_task(devices.watch())
    await clock.sleeping()
    try:
        yield devices, intake
        await intake.flush()
        await spool.flush()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await spool.close()


async def _looked(clock: ManualClock, devices: Devices) -> None:
    """Return when the beat has had its tick, and the watch has done what it may have been woken for."""
    await clock.sleeping()
    while not devices._listening.waits:
        await asyncio.sleep(0)


async def _sign(devices: Devices, intake: Intake, key: str = _KEY, **facts: Any) -> None:
    async with devices.heard(key, **facts) as sign:
        await intake.put(*sign.events, state=sign.state)


async def _flood(devices: Devices, intake: Intake, count: int, name: str = "made up") -> None:
    """So many made-up devices, each once, many at a time as over many connections."""
    for begin in range(0, count, 500):
        keys = [f"0/{name} {number}" for number in range(begin, min(count, begin + 500))]
        await asyncio.gather(*(_sign(devices, intake, key, interval=30.0) for key in keys))


async def _events(intake: Intake, type_: str) -> list[dict[str, Any]]:
    found, after = [], 0
    while batch := await intake._spool.read(after):
        found += [orjson.loads(record.body) for record in batch if record.type == type_]
        after = batch[-1].seq
    return found


async def test_who_is_a_stranger(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock, named={"10000/1002", "1003"}) as (devices, intake):
        assert devices.stranger(None)
        assert devices.stranger(_KEY)
        assert not devices.stranger("10000/1002")
        assert not devices.stranger("10000/1003")
        assert devices.stranger("10000/x/1003"), "a device's own slashes make it nobody else"
        await _sign(devices, intake)
        assert devices.stranger(_KEY)
        await intake.accept([_KEY, "10000/9"])
        assert not devices.stranger(_KEY)
        assert not devices.stranger("10000/9"), "though it was never heard of"
    async with _table(tmp_path, clock) as (devices, _):
        assert not devices.stranger(_KEY)
        assert not devices.stranger("10000/9")


async def test_one_that_is_heard_over_more_than_a_day_of_listening_is_known_for_good(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake)
    clock.advance(10 * DAY)
    async with _table(tmp_path, clock, listened=DAY - 1) as (devices, intake):
        await _sign(devices, intake)
        assert devices.stranger(_KEY), "the time of which it was heard is no more than the pump has listened"
    async with _table(tmp_path, clock, listened=DAY) as (devices, intake):
        assert devices.stranger(_KEY), "it has to be heard after it"
        await _sign(devices, intake)
        assert not devices.stranger(_KEY)
    async with _table(tmp_path, clock, listened=DAY + 3 * AGE) as (devices, intake):
        clock.advance(1)
        await _looked(clock, devices)
        assert not devices.stranger(_KEY)
        assert devices.get(_KEY) is not None


async def test_a_silent_stranger_is_forgotten_in_memory_and_on_disk(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock, named={"10000/1002"}) as (devices, intake):
        await _sign(devices, intake)
        await _sign(devices, intake, "10000/1002")
    async with _table(tmp_path, clock, named={"10000/1002"}, listened=AGE - 10) as (devices, intake):
        clock.advance(1)
        await _looked(clock, devices)
        assert devices.get(_KEY) is not None
    async with _table(tmp_path, clock, named={"10000/1002"}, listened=AGE + 1) as (devices, intake):
        clock.advance(1)
        await _looked(clock, devices)
        assert devices.get(_KEY) is None
        assert devices.get("10000/1002") is not None
    async with _table(tmp_path, clock) as (devices, intake):
        assert [device.key for device in devices] == ["10000/1002"]
        assert [*intake.state(PREFIX)] == [PREFIX + "10000/1002"]
        await _sign(devices, intake)
        first, _, again = await _events(intake, "device.online")
        assert (first["subject"], again["subject"]) == (f"camera/{_KEY}",) * 2
        assert first["id"] != again["id"], "one that comes again has turns of its own, or they were duplicates"


async def test_a_flood_of_made_up_devices_forgets_its_own_and_nobody_else(tmp_path: Path) -> None:
    clock = ManualClock()
    named = {"10000/1002", "10000/1003"}
    async with _table(tmp_path, clock, named=named) as (devices, intake):
        await _sign(devices, intake, "10000/1002")
        await _flood(devices, intake, 300, "before")
        devices._share = share = _smaller(devices, 200)
        await _flood(devices, intake, 1000)
        assert len(share) == 200
        assert len(devices) == 201
        await _sign(devices, intake, "10000/1003", interval=10.0)
        assert (first := devices.get("10000/1002")) is not None
        assert first.online
        for _ in range(31 * 4):
            clock.advance(0.25)
            await _looked(clock, devices)
        (offline,) = [one for one in await _events(intake, "device.offline") if "1003" in one["subject"]]
        assert offline["data"]["phase"] == "start", "a camera that the configuration names is watched at once"
        await intake.flush()
        (full,) = await _events(intake, "pump.devices.full")
        assert full["data"]["strangers"] == 200
        assert full["source"] == "/s/gate"
        await _flood(devices, intake, 300, "more")
        await intake.flush()
        assert len(await _events(intake, "pump.devices.full")) == 1, "at most one an hour"
        clock.advance(3600)
        await _flood(devices, intake, 1, "late")
        await intake.flush()
        assert len(await _events(intake, "pump.devices.full")) == 2
    async with _table(tmp_path, clock, named=named, listened=3 * AGE) as (devices, intake):
        assert len(intake.state(PREFIX)) == 202, "no more rows on disk than in the table"
        clock.advance(1)
        await _looked(clock, devices)
        assert {device.key for device in devices} == named, "nobody was asked to clean up"
    async with _table(tmp_path, clock) as (devices, intake):
        assert {*intake.state(PREFIX)} == {PREFIX + key for key in named}


def _smaller(devices: Devices, rows: int) -> Share:
    share = Share(rows=rows)
    for device in devices:
        if device.since is not None:
            share.count(device.key, device.bytes)
    while (key := share.surplus()) is not None:
        devices._forget(key)
        share.drop(key)
    return share


def test_the_share_is_one_of_bytes_too() -> None:
    share = Share(rows=10, size=100)
    for number in range(3):
        share.count(f"{number}", 40)
    assert share.surplus() == "0"
    share.drop("0")
    assert share.surplus() is None
    share.heard("1")
    assert share.oldest == "2"
    share.count("3", 1000)
    gone = []
    while (key := share.surplus()) is not None:
        share.drop(key)
        gone.append(key)
    assert gone == ["2", "1"]
    assert share.surplus() is None, "the newest stays, however large"


def test_the_shares_are_what_a_process_can_spare() -> None:
    assert ROWS <= 5_000
    assert BYTES + table.MOST_BYTES <= 48 << 20


async def test_a_name_without_a_park_stands_for_a_few_devices_alone(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock, named={"7"}) as (devices, intake):
        for number in range(PARKS + 3):
            await _sign(devices, intake, f"{number}/7")
        strangers = [device.key for device in devices if devices.stranger(device.key)]
        assert strangers == [f"{number}/7" for number in range(PARKS, PARKS + 3)]


async def test_who_was_accepted_while_it_was_a_stranger_is_forgotten_no_more(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake)
        await intake.accept([_KEY])
        devices._share = _smaller(devices, 10)
        await _flood(devices, intake, 30)
        assert devices.get(_KEY) is not None
        assert len(devices) == 11


async def test_no_more_are_known_by_their_time_than_the_table_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "MOST", 2)
    clock = ManualClock()
    keys = ["1/1", "1/2", "1/3", "1/4"]
    async with _table(tmp_path, clock, named={"1/4"}) as (devices, intake):
        for key in keys:
            await _sign(devices, intake, key)
    async with _table(tmp_path, clock, named={"1/4"}, listened=DAY) as (devices, intake):
        for key in keys:
            await _sign(devices, intake, key)
        assert [device.key for device in devices if devices.stranger(device.key)] == ["1/2", "1/3"]
        await intake.flush()
        (full,) = await _events(intake, "pump.devices.full")
        assert full["data"]["known"] == 2


async def test_rows_of_versions_before_are_known_but_for_keys_that_no_device_has(tmp_path: Path) -> None:
    clock = ManualClock()
    row = {"interval": 30.0, "online": True, "turns": 3, "heard": 12.5, "seen": "2026-11-20T07:00:00Z", "facts": {}}
    async with _table(tmp_path, clock) as (_, intake):
        large = {**row, "facts": {"name": "x" * 1_000_000, "space_ids": ["y" * 100_000]}}
        await intake._spool.append((), source="gate", state={PREFIX + "x" * 1_000_000: row, PREFIX + _KEY: large})
    async with _table(tmp_path, clock, listened=10 * AGE) as (devices, intake):
        (device,) = devices
        assert (device.key, device.turns, device.since) == (_KEY, 3, None)
        assert len(orjson.dumps(device.json())) < 1000
        assert not devices.stranger(_KEY)
    async with _table(tmp_path, clock) as (devices, intake):
        assert [*intake.state(PREFIX)] == [PREFIX + _KEY]


async def test_what_a_device_says_of_itself_is_bounded(tmp_path: Path) -> None:
    clock = ManualClock()
    long = "x" * 1_000_000
    async with _table(tmp_path, clock) as (devices, intake):
        await _sign(devices, intake, long, facts={"name": long, "space_ids": [long], "spaces": 4})
        known = devices.get(long)
        assert known is not None
        assert known.facts["spaces"] == 4
        assert known.bytes < 4096
        assert sum(len(key) for key in intake.state(PREFIX)) < 1024
