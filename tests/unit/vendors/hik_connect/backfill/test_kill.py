"""Cut short at any moment a gap is filled all the same: no window lost, no event and no count twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path

import orjson
import pytest

from pump.core.clock import Clock
from pump.ingest.intake import Intake
from pump.spool import Spool, SpoolSettings, offline
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.vendors.hik_connect.simulator.messages import identity
from pump.vendors.hik_connect.simulator.server import Simulator
from tests.unit.vendors.hik_connect.backfill.test_filler import (
    DAY,
    HOUR,
    SETTLE,
    Happened,
    at_fault,
    filled,
    stored,
    vendor,
)
from tests.unit.vendors.hik_connect.test_source import APP_KEY, SECRET_KEY, site

ROWS = 60


@pytest.mark.parametrize("seed", range(3))
async def test_cancelled_at_many_moments_and_resumed(tmp_path: Path, seed: int) -> None:
    """Each run is cut short a few turns of the event loop after the one before it was."""
    clock = ManualClock()
    async with vendor(clock) as hik:
        async with site(hik, tmp_path, clock) as pump:
            await pump.polls(2)
        for _ in range(12):
            clock.advance(5 * HOUR)
            hik.put("combine", *hik.make("combine", ROWS // 12, "camera"))
        hik.lose_subscription()
        async with site(hik, tmp_path, clock) as pump:
            await pump.until(lambda: pump.spool.gaps.counts.get("teams"))
        clock.advance(SETTLE.total_seconds())
        for turn in range(8):
            async with site(hik, tmp_path, clock) as pump:
                asked, spool = hik.logs.asked.total(), pump.spool
                await pump.until(partial(_went_on, spool, hik, asked))
                for _ in range((7 * turn + 3 * seed) % 40):
                    await asyncio.sleep(0)
        async with site(hik, tmp_path, clock) as pump:
            [gap] = await filled(pump)
            events = await stored(pump)
            assert set(Counter(map(Happened(hik).of, events)).values()) == {1}
            assert len(events) == ROWS
            assert gap.filled == sum(event["data"]["reconciled"] for event in events)
            assert gap.state == "filled"
            assert pump.spool.state("teams", "backfill/gap/") == {}
        at_fault(hik)


def _went_on(spool: Spool, hik: Simulator, asked: int) -> bool:
    return not spool.gaps.counts["teams"].get("open") or hik.logs.asked.total() > asked


_RUNNER = """
import asyncio, sys
from pathlib import Path
from pump.core.clock import Clock
from pump.ingest.intake import Intake
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.vendors.hik_connect import SOURCE
from pump.vendors.hik_connect.backfill import reader

reader.INTERVAL = 0.01

async def main(folder, server):
    clock, metrics = Clock(), Metrics()
    spool = await Spool.open(Path(folder), SpoolSettings(), clock=clock, metrics=metrics)
    intake = Intake("teams", spool=spool, site="north", clock=clock, metrics=metrics, health=Health(clock))
    settings = {"type": "hik-connect", "server": server, "app_key": "ak-north", "secret_key": "sk-north"}
    await SOURCE("teams", SOURCE.Settings.model_validate(settings), clock, paced=False).run(intake)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_killed_for_real_while_it_fills(tmp_path: Path) -> None:
    """kill -9 once a page has been answered, again and again; the ledger is as the events are."""
    clock = Clock()
    async with Simulator(clock=clock, app_key=APP_KEY, secret_key=SECRET_KEY, rate_limit=None) as hik:
        made = hik.make("combine", ROWS, "camera")
        for record in made:
            hik.logs.add("combine", identity(record), orjson.dumps(record))
        spool = await Spool.open(tmp_path, SpoolSettings(), clock=clock, metrics=Metrics())
        await spool.close()
        await _hand_over(tmp_path, clock)
        for kill in range(3):
            asked = hik.logs.asked.total()
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _RUNNER, str(tmp_path), hik.url, stderr=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:
                async with asyncio.timeout(60.0):
                    if kill < 2:
                        while hik.logs.asked.total() < asked + 1 + kill:
                            await asyncio.sleep(0.001)
                        os.kill(child.pid, signal.SIGKILL)
                    else:
                        while [gap.state for gap in offline.gaps(tmp_path)] == ["open"]:
                            await asyncio.sleep(0.05)
                        child.terminate()
            finally:
                if child.returncode is None:
                    child.kill()
                await child.wait()
    [gap] = offline.gaps(tmp_path)
    events = [orjson.loads(record.body) for record in offline.events(tmp_path)]
    theirs = [event for event in events if event["data"]["vendor"] == "hik-connect" and "raw" in event["data"]]
    assert len({event["id"] for event in theirs}) == len(theirs) == ROWS
    assert (gap.state, gap.filled) == ("filled", ROWS)


async def _hand_over(folder: Path, clock: Clock) -> None:
    """A gap that waits in the ledger, as a run before would have left it."""
    metrics = Metrics()
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=metrics)
    intake = Intake("teams", spool=spool, site="north", clock=clock, metrics=metrics, health=Health(clock))
    end = clock.now()
    await intake.gaps.note("before", end - timedelta(seconds=DAY + HOUR), end, "asked for by hand")
    await spool.close()
