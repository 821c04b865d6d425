"""A sink that had not had strangers' events when they were evicted goes on; its loss is counted and reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pump.delivery.evicted import EVERY, EvictedEvents
from pump.spool import Spool, SpoolSettings
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.testing.records import rows
from pump.testing.sinks import CollectingSinks
from tests.unit.delivery.test_delivery import Stage

MAX_BYTES = 16 << 20


@asynccontextmanager
async def small_stage(folder: Path, clock: ManualClock) -> AsyncIterator[Stage]:
    metrics = Metrics()
    spool = await Spool.open(folder, SpoolSettings.model_validate({"max_bytes": "16MiB"}), clock=clock, metrics=metrics)
    try:
        yield Stage(spool, clock, metrics)
    finally:
        await spool.close()


async def settled(spool: Spool) -> None:
    async with asyncio.timeout(30):
        while spool.strangers > MAX_BYTES // 8 or spool._retention._evicting:
            await spool.flush()


async def strangers(on: Stage, first: int, count: int = 400) -> None:
    """A stranger's events, 10 KB each, more than the share."""
    for begin in range(first, first + count, 10):
        made = rows(range(begin, begin + 10), on.clock)
        made = [replace(row, body=row.body.ljust(10_000), stranger=True) for row in made]
        await on.spool.append(made, source="gate")
    await settled(on.spool)


async def drained(on: Stage, sinks: CollectingSinks) -> None:
    delivery = on.delivery(sinks, batch_size=10)
    delivery.stop()
    await delivery.run()


async def test_a_sink_that_was_away_has_all_else_and_one_gap(tmp_path: Path) -> None:
    async with small_stage(tmp_path, ManualClock()) as on:
        sinks = CollectingSinks()
        await drained(on, sinks)  # it has a cursor from now on
        on.spool.set_holders({"out": True})
        await on.put(50)
        await strangers(on, 1000)
        on.stored = 50
        await on.put(50)
        head = on.spool.head
        await drained(on, sinks)
        ((sink, first, last, count),) = on.lost
        assert (sink, first) == ("out", 51)
        assert last < head
        assert len(sinks.sequence) == 500 - count
        assert sinks.sequence[:50] == [*range(1, 51)]
        assert sinks.sequence[-50:] == [*range(head - 49, head + 1)]
        assert on.value("pump_lost_total", sink="out") == count
        await drained(on, sinks)
        assert len(on.lost) == 1, "once"


async def test_a_sink_that_keeps_up_loses_nothing(tmp_path: Path) -> None:
    async with small_stage(tmp_path, ManualClock()) as on:
        sinks = CollectingSinks()
        on.spool.set_holders({"out": True})
        for turn in range(8):
            await strangers(on, 1000 + turn * 100, 100)
            await drained(on, sinks)
        assert len(sinks.sequence) == 800
        assert on.lost == []
        assert on.value("pump_lost_total", sink="out") == 0


@pytest.mark.parametrize("killed", [False, True], ids=["one run", "killed in between"])
async def test_losses_are_one_gap_a_minute_and_no_kill_hides_one(tmp_path: Path, killed: bool) -> None:
    told: list[tuple[str, int, int, int]] = []

    async def on_lost(*loss: object) -> None:
        told.append(loss)  # type: ignore[arg-type]

    clock = ManualClock()
    async with small_stage(tmp_path, clock) as on:
        on.spool.set_holders({"out": True})
        on.spool.set_cursor("out", 0, None)

        def made() -> EvictedEvents:
            return EvictedEvents(on.spool, "out", clock=clock, metrics=on.metrics, on_lost=on_lost)

        evicted, place, lost = made(), 0, 0
        for turn in range(3):
            await on.put(50)
            await strangers(on, 1000 * (turn + 1))
            found = on.spool.evicted(place, on.spool.head)
            assert found is not None
            place, lost = found[1], lost + found[2]
            await evicted.passing(0, place)
            await evicted.passing(0, place)
        assert len(told) == 1
        await on.spool.flush()
        if killed:
            evicted = made()
        clock.advance(EVERY)
        await evicted.passing(place, place)
        assert len(told) == 2
        assert sum(count for *_, count in told) == lost == on.value("pump_lost_total", sink="out")
        assert told[1][1] > told[0][2]
        await evicted.report()
        assert len(told) == 2
