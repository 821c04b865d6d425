"""kill -9 while events are counted and windows reported: no window is lost, and no event counted twice or missing."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pump.sinks.tuya.simulator import Cloud
from tests.conformance.test_tuya_conformance import DayAfter
from tests.unit.sinks.tuya.pump_process import POINTS

ROOT = Path(__file__).parents[4]
EVENTS = 200


async def _started(folder: Path, cloud: Cloud, events: int, point: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.unit.sinks.tuya.pump_process", str(folder), cloud.url, str(events), point,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    return process


def _agreed(cloud: Cloud, events: int) -> None:
    lot = next(iter(cloud.lots.values()))
    assert sum(total for (_, direction, _, _), total in lot.newest().items() if direction == 0) == events
    assert not cloud.refusals


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_at_a_chosen_point(tmp_path: Path, point: str) -> None:
    async with Cloud(clock=DayAfter()) as cloud:
        process = await _started(tmp_path, cloud, EVENTS, point)
        await process.wait()
        assert process.returncode == -9
        process = await _started(tmp_path, cloud, EVENTS, "none")
        assert await process.wait() == 0
        _agreed(cloud, EVENTS)


async def test_kills_at_random_moments(tmp_path: Path) -> None:
    draw = random.Random("kills")
    async with Cloud(clock=DayAfter()) as cloud:
        for kill in range(1, 4):
            process = await _started(tmp_path, cloud, kill * EVENTS, "none")
            with suppress(TimeoutError):  # a random moment is meant: nothing waits for it
                await asyncio.wait_for(process.wait(), draw.uniform(0.02, 0.4))
            if process.returncode is None:
                process.kill()
            await process.wait()
        process = await _started(tmp_path, cloud, 4 * EVENTS, "none")
        assert await process.wait() == 0
        _agreed(cloud, 4 * EVENTS)
