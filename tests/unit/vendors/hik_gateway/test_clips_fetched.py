"""The clips of a gateway's alarms: by digest, from its own address (document, 7.2 step 5, 8.6.1)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from pump.ingest.fetch.fetcher import Fetcher, FetchLimits
from pump.ingest.media import Media
from pump.vendors.hik_gateway.simulator.server import CLIP
from tests.unit.vendors.hik_gateway.site import site


async def test_a_clip_is_fetched_with_the_gateway_s_login(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        media = Media(tmp_path / "media", clock=one.clock)
        fetcher = Fetcher(
            one.spool, media, lambda name: one.intake, {"arc": one.source.pictures()}, limits=FetchLimits(),
            clock=one.clock, metrics=one.metrics, component=one.intake.component,
        )  # fmt: skip
        task = asyncio.create_task(fetcher.run())
        try:
            await one.up()
            one.vendor.put(one.vendor.messages.review(next(iter(one.vendor.devices))))
            while not (stored := [event for event in await one.events() if event["type"] == "media.stored"]):
                await asyncio.sleep(0.001)
                one.pass_by()
            (medium,) = stored[0]["data"]["media"]
            assert (medium["mime"], medium["bytes"]) == ("video/mp4", len(CLIP))
            assert (media.folder / medium["path"]).read_bytes() == CLIP
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
