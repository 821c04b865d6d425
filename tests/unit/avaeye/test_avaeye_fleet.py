"""The simulated fleet against the real listener: introductions, keep-alives, captures tried again until answered."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from pump.spool.faults import Verdict
from pump.vendors.avaeye.simulator import Fleet
from pump.vendors.avaeye.traffic import ENTRY, EXIT, Scene, weight
from tests.unit.avaeye.site import avaeye_site


async def _until_told(fleet: Fleet) -> None:
    while any(camera.waiting for camera in fleet.cameras):
        await asyncio.sleep(0.01)


def test_every_capture_is_stored_once_though_answers_get_lost_and_the_spool_refuses(tmp_path: Path) -> None:
    async def main() -> None:
        async with avaeye_site(tmp_path, {"park_ids": ("10000",)}) as site, Fleet(3, rate=0, picture=500) as fleet:
            await fleet.reach(site.listener.url)
            sent = {camera.see() for camera in fleet.cameras for _ in range(20)}
            await _until_told(fleet)
            fleet.cameras[0].lose_answer = True
            writer = site.spool._writer
            writer.refuse(Verdict.FULL.value)
            sent |= {camera.see() for camera in fleet.cameras}
            while not all(camera.retries for camera in fleet.cameras):
                await asyncio.sleep(0.01)
            assert writer.accept()
            await _until_told(fleet)
            events = [event for event in await site.events() if event["type"].startswith("vehicle.")]
            assert len(events) == len(sent) == 63
            assert {event["data"]["raw"]["params"]["recordId"] for event in events} == sent
            assert {event["data"]["media"][0]["state"] for event in events} == {"stored"}
            table = site.sources[0].devices(site.intakes[0])
            assert sorted(device.key for device in table) == ["10000/1001", "10000/1002", "10000/1003"]
            assert all(device.online and device.facts["version"] == "PARK_1201-B0003" for device in table)
            assert {record for camera in fleet.cameras for record in camera.answered} == sent

    asyncio.run(main())


def test_a_day_has_its_rush_hours_and_its_average_is_one() -> None:
    def at(hour: int) -> datetime:
        return datetime(2026, 11, 20, hour, tzinfo=UTC)

    assert weight(ENTRY, at(8)) > 3 > 0.3 > weight(ENTRY, at(3))
    assert weight(EXIT, at(17)) > 3
    for curve in (ENTRY, EXIT):
        assert abs(sum(weight(curve, at(hour)) for hour in range(24)) / 24 - 1) < 1e-9


def test_one_seed_sees_one_traffic() -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    first, second, other = Scene(1), Scene(1), Scene(2)
    assert first.message("1", "2", now) == second.message("1", "2", now) != other.message("1", "2", now)
