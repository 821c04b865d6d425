"""Pictures that a camera's messages name by an address: fetched where the configuration gives it, and nowhere else."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from pump.core.clock import Clock
from pump.ingest.fetch.fetcher import Fetcher, FetchLimits
from pump.simulation.pictures import PictureHost, jpeg
from tests.unit.vendors.avaeye.site import AvaEyeSite, avaeye_site, capture


def _fetcher(site: AvaEyeSite, clock: Clock) -> Fetcher:
    """The fetcher beside the source."""
    return Fetcher(
        site.spool, site.media, lambda name: site.intakes[0], {"gate": site.sources[0].pictures()},
        limits=FetchLimits(), clock=clock, metrics=site.metrics, component=site.intakes[0].component,
    )  # fmt: skip


async def _results(site: AvaEyeSite) -> list[dict[str, Any]]:
    found = [orjson.loads(record.body) for record in await site.spool.read(0)]
    return [event for event in found if event["type"].startswith("media.")]


async def test_a_picture_at_the_camera_s_configured_address_is_fetched_and_none_elsewhere(tmp_path: Path) -> None:
    clock = Clock()
    async with PictureHost(clock=clock) as camera, PictureHost(clock=clock) as another:
        table = {"cameras": {"10000/1001": {"url": camera.url}}}
        async with avaeye_site(tmp_path, table, clock=clock) as site:
            fetcher = _fetcher(site, clock)
            running = asyncio.create_task(fetcher.run())
            try:
                links = [camera.link("a.jpg"), another.link("b.jpg"), "http://169.254.169.254/c.jpg"]
                body = capture(picInfo=[{"type": 1, "url": link} for link in links])
                assert (await site.post("capture", body)).status == 200
                while len(site.spool.fetches):
                    await site.spool.fetches.settled()
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
            results = await _results(site)
            assert sorted(event["type"] for event in results) == ["media.failed", "media.failed", "media.stored"]
            (stored,) = (event for event in results if event["type"] == "media.stored")
            assert stored["data"]["media"][0]["sha256"] == sha256(jpeg("a.jpg")).hexdigest()
            assert all("does not" in event["data"]["reason"] for event in results if event["type"] == "media.failed")
            assert not another.asked
