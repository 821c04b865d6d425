"""Appending to the spool, against a framed append with CRC and fdatasync of the same bodies."""

from __future__ import annotations

import asyncio
import os
import struct
import tempfile
import time
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pump.core.clock import Clock
from pump.core.event import event_id
from pump.spool import Row as Stored
from pump.spool import Spool, SpoolSettings
from pump.telemetry.metrics import Metrics
from tests.bench.measure import Figure, Meter, Row, interleaved, share

_BODY = os.urandom(600).hex().encode()
"""1.2 kB, the size of a camera alarm with its envelope."""
_FRAME = struct.Struct("<II")
_WORK = {1: 400, 30: 200, 500: 40}
"""Batches a repetition, by the size of a batch."""
_SMALL = "32MiB"
_GOALS = {1: (0.4, 0.15), 30: (0.6, 0.0), 500: (0.35, 0.1)}
"""Of the limit, by events a batch: beside an idle loop, and beside a busy one."""


def rows(first: int, count: int) -> list[Stored]:
    """Rows with a time-first key, as most vendors' records have."""
    now = Clock().now_ms()
    return [
        Stored("teams", "vehicle.passed", 0, now, now + 3 * n, event_id("bench", n), _BODY)
        for n in range(first, first + count)
    ]


def framed(folder: Path, batch: int) -> Figure:
    """The plainest durable append there is."""
    bodies = [_BODY] * batch
    file = os.open(folder / "framed", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    meter = Meter()
    for _ in range(_WORK[batch]):
        os.write(file, b"".join([part for body in bodies for part in (_FRAME.pack(len(body), zlib.crc32(body)), body)]))
        os.fdatasync(file)
    figure = meter.figure(_WORK[batch] * batch)
    os.close(file)
    return figure


async def _busy() -> None:
    """Keep the event loop at work, in slices of a millisecond: a loop that parses and encodes all day."""
    while True:
        end = time.perf_counter() + 0.001
        while time.perf_counter() < end:
            pass
        await asyncio.sleep(0)


async def _at_the_limit(folder: Path, max_bytes: str) -> Figure:
    """Batches of 500 into a spool that has filled up to where its oldest events go, or is far from it."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        settings = SpoolSettings.model_validate({"max_bytes": max_bytes})
        spool = await Spool.open(Path(place), settings, clock=Clock(), metrics=Metrics())
        for first in range(0, 30_000, 2000):
            await spool.append(rows(first, 2000), source="teams")
        figure = await _rate(spool, 30_000, 500)
        assert bool(spool.floor) == (max_bytes == _SMALL), "events went where none should, or none where they should"
        await spool.close()
    return figure


async def _append(folder: Path, batch: int, *, busy: bool = False, behind: int = 0) -> tuple[Figure, Figure]:
    """The figures into a new spool, and into the same one with `behind` events in it."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        spool = await Spool.open(Path(place), SpoolSettings(), clock=Clock(), metrics=Metrics())
        noise = asyncio.create_task(_busy(), name="noise") if busy else None
        first = await _rate(spool, 0, batch)
        second = Figure(0.0)
        if behind:
            number = _WORK[batch] * batch
            while number < behind:
                await spool.append(rows(number, 2000), source="teams")
                number += 2000
            second = await _rate(spool, number, batch)
        if noise is not None:
            noise.cancel()
        await spool.close()
    return first, second


async def _rate(spool: Spool, first: int, batch: int) -> Figure:
    batches = [rows(first + n * batch, batch) for n in range(_WORK[batch])]
    head, meter = spool.head, Meter()
    for each in batches:
        await spool.append(each, source="teams")
    figure = meter.figure(len(batches) * batch)
    assert spool.head - head == len(batches) * batch, "not every event was new to the spool"
    return figure


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows."""
    for batch, (idle, busy) in _GOALS.items():
        found = interleaved(
            repetitions,
            limit=partial(framed, folder, batch),
            idle=lambda batch=batch: asyncio.run(_append(folder, batch))[0],  # type: ignore[misc]
            busy=lambda batch=batch: asyncio.run(_append(folder, batch, busy=True))[0],  # type: ignore[misc]
        )
        words = "events/s framed append + CRC + fdatasync"
        yield share(f"append, batch {batch}, loop idle", found["idle"], found["limit"], idle, words)
        yield share(f"append, batch {batch}, loop busy", found["busy"], found["limit"], busy, words)
    found = interleaved(
        repetitions,
        away=lambda: asyncio.run(_at_the_limit(folder, "4GiB")),
        at=lambda: asyncio.run(_at_the_limit(folder, _SMALL)),
    )
    yield share("append, batch 500, at the size limit", found["at"], found["away"], 0.6, "events/s away from it")
    first, second = asyncio.run(_append(folder, 500, behind=1_000_000))
    yield share("append, batch 500, a million events behind", second, first, 0.6, "events/s in an empty spool")
