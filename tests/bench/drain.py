"""From the spool's file to JSON lines, against a buffered write of the same lines."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pump.core.clock import Clock
from pump.sinks.jsonl.sink import SINK
from pump.spool import Spool, SpoolSettings
from pump.telemetry.metrics import Metrics
from tests.bench.drained import through_the_pump
from tests.bench.measure import Figure, Meter, Row, interleaved, share
from tests.bench.spool import rows

_EVENTS = 100_000


async def _drain(folder: Path, events: int, fsync: str) -> Figure:
    metrics = Metrics()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        spool = await Spool.open(Path(place), SpoolSettings(), clock=Clock(), metrics=metrics)
        for first in range(0, events, 2000):
            await spool.append(rows(first, 2000), source="teams")
        path = Path(place) / "out.jsonl"
        settings = SINK.Settings.model_validate(
            {"type": "jsonl", "path": str(path), "fsync": fsync, "start": "oldest"}, strict=False
        )
        figure = await through_the_pump(spool, SINK, settings, metrics)
        with path.open("rb") as file:
            lines = sum(1 for _ in file)
        assert lines == events, f"the file has {lines} lines of {events}"
        await spool.close()
    return figure


def _write(folder: Path, events: int) -> Figure:
    lines = [row.body + b"\n" for row in rows(0, events)]
    meter = Meter()
    with (folder / "plain.jsonl").open("wb") as file:
        for line in lines:
            file.write(line)
    return meter.figure(events)


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
