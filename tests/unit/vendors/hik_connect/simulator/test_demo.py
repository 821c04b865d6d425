"""The demo's part: a subscription is lost, and the pump fills the gap from the alarm log."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pump.core.clock import Clock
from pump.ingest.intake import Intake
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.vendors.hik_connect import SOURCE
from pump.vendors.hik_connect.simulator.demo import stage


async def test_the_demo_opens_a_gap_and_shows_it_filled(tmp_path: Path) -> None:
    clock, metrics, said = Clock(), Metrics(), list[str]()
    spool = await Spool.open(tmp_path, SpoolSettings(), clock=clock, metrics=metrics)
    intake = Intake("hik-connect", spool=spool, site="demo", clock=clock, metrics=metrics, health=Health(clock))
    async with stage() as played:
        source = SOURCE("hik-connect", SOURCE.Settings.model_validate(dict(played.source)), clock)
        tasks = [asyncio.create_task(source.run(intake)), asyncio.create_task(played.play(said.append))]
        async with asyncio.timeout(60.0):
            while not any("its gap is filled" in words for words in said):
                await asyncio.sleep(0.05)
            while not spool.gaps.counts["hik-connect"].get("filled"):
                await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    [gap] = await spool.gaps.read()
    assert gap.filled >= 5
    assert any("cancels a subscription" in words for words in said)
    await spool.close()
