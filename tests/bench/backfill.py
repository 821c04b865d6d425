"""Filling a gap from the Hik-Connect simulator's log at the pace that it has: what it takes of a core."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from pump.core.clock import Clock
from pump.ingest.intake import Intake
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.vendors.hik_connect.settings import HikConnectSettings
from pump.vendors.hik_connect.simulator.server import Simulator
from pump.vendors.hik_connect.source import HikConnect
from tests.bench.measure import Row
from tests.bench.vendor import Records, vendor

_ROWS: Final = 12_000
_SPACING: Final = timedelta(seconds=5)
_SECONDS: Final = 20.0
_MOST: Final = 15.0
"""Per cent of a core."""


def _spread(records: list[Any], end: datetime) -> list[Any]:
    """One every few seconds up to `end`, as on a busy site, and not all at once."""
    for place, record in enumerate(reversed(records)):
        moment = end - place * _SPACING
        record["timeInfo"] = {"startTime": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
    return records


async def _fill(folder: Path, records: Records, begin: datetime, end: datetime) -> tuple[float, float]:
    """Per cent of a core while pages come, and rows a second."""
    clock = Clock()
    with tempfile.TemporaryDirectory(dir=folder) as place, vendor(records) as there:
        metrics, health = Metrics(), Health(clock)
        spool = await Spool.open(Path(place), SpoolSettings(), clock=clock, metrics=metrics)
        settings = TypeAdapter(HikConnectSettings).validate_python(
            {"type": "hik-connect", "server": there.url, "app_key": "ak", "secret_key": "sk", "queues": ["alarm"]}
        )
        source = HikConnect("teams", settings, clock)
        intake = Intake("teams", spool=spool, site="b", clock=clock, metrics=metrics, health=health)
        await there.log()
        await intake.gaps.note("bench", begin, end, "asked for by hand")
        running = asyncio.create_task(source.run(intake), name="source")
        while spool.head == 0:
            await asyncio.sleep(0.05)
        head, cpu, begun = spool.head, time.process_time(), time.perf_counter()
        await asyncio.sleep(_SECONDS)
        elapsed = time.perf_counter() - begun
        found = 100 * (time.process_time() - cpu) / elapsed, (spool.head - head) / elapsed
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await spool.close()
    return found


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The row."""
    end = datetime.now(UTC)
    made = _spread(list(Simulator(clock=Clock()).make("alarm", _ROWS, "camera")), end)
    share, rate = asyncio.run(_fill(folder, {"alarm": made}, end - _ROWS * _SPACING, end))
    detail = f"{rate:.0f} rows/s beside one queue that is polled every 500 ms; pages of 500, one a second"
    yield Row("backfill at its pace: share of a core", share, f"<= {_MOST:.0f}", share <= _MOST, detail, " %")
