"""ManualClock: what its users rely on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pump.testing import ManualClock

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def test_time_stands_still_until_moved() -> None:
    clock = ManualClock()
    assert clock.now() == START
    assert clock.monotonic() == 0.0
    clock.advance(1.5)
    assert clock.now() == START + timedelta(seconds=1.5)
    assert clock.monotonic() == 1.5
    assert clock.now_ms() == int(START.timestamp() * 1000) + 1500


def test_jump_moves_the_wall_time_alone() -> None:
    clock = ManualClock()
    clock.jump(-3600)
    assert clock.now() == START - timedelta(hours=1)
    assert clock.monotonic() == 0.0


def test_monotonic_time_never_goes_back() -> None:
    with pytest.raises(ValueError, match="never goes back"):
        ManualClock().advance(-1)


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    clock = ManualClock()
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as tasks:
        for seconds in (3.0, 1.0, 2.0):
            tasks.create_task(sleeper(seconds))
        await clock.sleeping(3)
        clock.advance(2)
        await asyncio.sleep(0)
        assert woken == [1.0, 2.0]
        assert clock.sleepers == 1
        clock.advance(1)
    assert woken == [1.0, 2.0, 3.0]


async def test_run_stops_at_each_deadline() -> None:
    clock = ManualClock()
    seen: list[float] = []

    async def ticker() -> None:
        while True:
            await clock.sleep(0.5)
            seen.append(clock.monotonic())

    task = asyncio.create_task(ticker())
    await clock.run(2.2)
    assert seen == [0.5, 1.0, 1.5, 2.0]
    assert clock.monotonic() == 2.2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.sleepers == 0
    assert clock.deadline is None


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(clock.sleep(10), 0.001)
    assert clock.sleepers == 0
    clock.advance(10)
