"""Pictures that a camera's messages name by an address of its own: fetched with its login, and with care for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path

from pump.ingest.fetch.fetcher import Fetcher, FetchLimits
from pump.ingest.media import Media
from pump.simulation.pictures import jpeg
from pump.testing import ManualClock
from pump.vendors.hik_camera.simulator.server import Quirks, Simulator
from tests.unit.vendors.hik_camera.site import Site, site


@asynccontextmanager
async def fetching(one: Site, folder: Path) -> AsyncIterator[Fetcher]:
    """The fetcher beside the source."""
    media = Media(folder / "media", clock=one.clock)
    fetcher = Fetcher(
        one.spool, media, lambda name: one.intake, {"door": one.source.pictures()}, limits=FetchLimits(),
        clock=one.clock, metrics=one.metrics, component=one.intake.component,
    )  # fmt: skip
    task = asyncio.create_task(fetcher.run())
    try:
        yield fetcher
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_picture_of_the_device_s_own_address_comes_with_its_login(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock, quirks=Quirks(pictures_by_address=True)) as device:
        device.records.pictures_at = f"{device.url}/picture/"
        async with site(tmp_path, device, clock) as one, fetching(one, tmp_path):
            await device.connected()
            device.emit("line")
            found = await one.stored(lambda events: any(event["type"] == "media.stored" for event in events))
            event, stored = found[0], next(event for event in found if event["type"] == "media.stored")
            (linked,), (medium,) = event["data"]["media"], stored["data"]["media"]
            assert medium["id"] == linked["id"]
            path = linked["url"].removeprefix(device.url)
            assert medium["sha256"] == sha256(jpeg(path)).hexdigest()
            assert one.counted("rejected") == 0


async def test_a_right_that_is_missing_stops_pictures_for_a_while_and_nothing_else(tmp_path: Path) -> None:
    clock = ManualClock()
    withheld = tuple(f"/picture/{n}.jpg" for n in range(50))
    async with Simulator(clock=clock, quirks=Quirks(pictures_by_address=True, withheld=withheld)) as device:
        device.records.pictures_at = f"{device.url}/picture/"
        async with site(tmp_path, device, clock) as one, fetching(one, tmp_path):
            await device.connected()
            for _ in range(5):
                device.emit("line")
            await one.stored(lambda events: sum("media" in event["data"] for event in events) >= 3)
            await one.until(lambda: one.intake.component.details.get("hosts_away"))
            asked = [path for path in device.account.requests if path.startswith("/picture/")]
            assert 0 < len({*asked}) == 1  # each may count as a failed login
            assert one.state == "up"
            assert device.streams == 1
