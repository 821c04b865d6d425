"""From the spool's file to JSON lines, against a buffered write of the same lines."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pump.core.clock import Clock
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.sinks.jsonl.sink import SINK
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from tests.bench.measure import Row, interleaved, share
from tests.bench.spool import rows

_EVENTS = 100_000


async def _lost(sink: str, first: int, last: int, count: int) -> None:
    raise AssertionError(f"{sink} lost {count}")


async def _drain(folder: Path, events: int, fsync: str) -> float:
    clock, metrics = Clock(), Metrics()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        spool = await Spool.open(Path(place), SpoolSettings(), clock=clock, metrics=metrics)
        for first in range(0, events, 2000):
            await spool.append(rows(first, 2000), source="teams")
        settings = SINK.Settings.model_validate(
            {"type": "jsonl", "path": f"{place}/out.jsonl", "fsync": fsync}, strict=False
        )
        delivery = Delivery(
            Surroundings(spool, clock, metrics, "b", _lost), SINK, "out", settings, Health(clock).component("sink out")
        )
        running = asyncio.create_task(delivery.run(), name="delivery")
        begun = time.perf_counter()
        while delivery.position < events:
            await asyncio.sleep(0.002)
        elapsed = time.perf_counter() - begun
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await spool.close()
    return events / elapsed


def _write(folder: Path, events: int) -> float:
    lines = [row.body + b"\n" for row in rows(0, events)]
    begun = time.perf_counter()
    with (folder / "plain.jsonl").open("wb") as file:
        for line in lines:
            file.write(line)
    return events / (time.perf_counter() - begun)


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows."""
    found = interleaved(
        repetitions,
        limit=lambda: _write(folder, _EVENTS),
        never=lambda: asyncio.run(_drain(folder, _EVENTS, "never")),
        batch=lambda: asyncio.run(_drain(folder, _EVENTS, "batch")),
    )
    words = "lines/s buffered write"
    yield share("drain to JSON lines, fsync never", found["never"], found["limit"], 0.25, words)
    yield share("drain to JSON lines, fsync each batch", found["batch"], found["limit"], 0.25, words)
