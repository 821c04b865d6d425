"""Dead letters hold no more than their share of the spool: whoever has most loses its oldest, counted and reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pump.core.record import Record
from pump.spool import Spool, SpoolSettings, offline
from pump.spool.tables import dead_share
from pump.spool.tables.dead_letters import STRANGE
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.testing.records import record
from tests.unit.spool.conftest import rows

SHARE = dead_share.share(16 << 20)
SIZE = 10_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@asynccontextmanager
async def opened(folder: Path, clock: ManualClock, metrics: Metrics | None = None) -> AsyncIterator[Spool]:
    settings = SpoolSettings(max_bytes="16MiB")  # type: ignore[arg-type]  # as TOML says it
    spool = await Spool.open(folder, settings, clock=clock, metrics=metrics or Metrics())
    try:
        yield spool
    finally:
        await spool.close()


def letters(first: int, count: int, size: int = SIZE) -> list[Record]:
    return [record(seq)._replace(body=b"x" * size) for seq in range(first, first + count)]


async def until(spool: Spool, done: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not done():
            await spool.flush()


def held(spool: Spool) -> int:
    return sum(spool.dead_letters.bytes.values())


async def numbers(spool: Spool, sink: str) -> list[int]:
    found: list[int] = []
    after = 0
    while read := await spool.dead_letters.read(sink=sink, after=after):
        found += [letter.record.seq for letter in read]
        after = read[-1].id
    return found


async def test_who_has_most_loses_its_oldest(tmp_path: Path, clock: ManualClock, metrics: Metrics) -> None:
    reported: list[tuple[str, int, int]] = []
    async with opened(tmp_path, clock, metrics) as spool:
        spool.listen(filling=print, damaged=print, buried=lambda *facts: reported.append(facts))
        await spool.dead_letters.add("quiet", letters(1, 10), "HTTP 400", 1)
        for first in range(11, 311, 50):
            await spool.dead_letters.add("hook", letters(first, 50), "HTTP 400", 1)
        await until(spool, lambda: held(spool) <= SHARE)
        left = await numbers(spool, "hook")
        assert left == list(range(left[0], 311)), "the oldest went"
        assert len(left) > 0.85 * SHARE / SIZE
        assert await numbers(spool, "quiet") == list(range(1, 11))
        gone = 300 - len(left)
        assert spool.dead_letters.counts == {"quiet": 10, "hook": len(left)}
        assert spool.dead_letters.removed("hook") == gone
        assert spool.dead_letters.removed("quiet") == 0
        assert metrics.registry.get_sample_value("pump_dead_letters_evicted_total", {"sink": "hook"}) == gone
        assert reported[0][0] == "hook"

        await spool.dead_letters.add("hook", letters(311, 60), "HTTP 400", 1)
        await until(spool, lambda: held(spool) <= SHARE)
        assert len(reported) == 1, "an event an hour"
        clock.advance(dead_share.EVERY)
        await until(spool, lambda: len(reported) == 2)
        left = await numbers(spool, "hook")
        assert sum(count for _, count, _ in reported) == 360 - len(left) == spool.dead_letters.removed("hook")
        assert sum(size for _, _, size in reported) >= SIZE * (360 - len(left))
    async with opened(tmp_path, clock) as spool:
        assert held(spool) <= SHARE
        assert spool.dead_letters.removed("hook") == 360 - len(left)
        assert [(key, value[0]) for _, key, value in offline.state(tmp_path, "dead-evicted/")] == [
            ("dead-evicted/hook", 360 - len(left))
        ]
        await spool.dead_letters.drop(ids=[left[0]])
        assert spool.dead_letters.removed("hook")
        await spool.dead_letters.drop(sink="hook")
        assert held(spool) == spool.dead_letters.bytes["quiet"]
        assert spool.dead_letters.removed("hook") == 0, "whoever drops all has seen it"


async def test_an_older_spool_s_letters_come_down_to_their_share_by_themselves(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(dead_share, "PART", 1)
        async with opened(tmp_path, clock) as spool:
            await spool.dead_letters.add("hook", letters(1, 300), "HTTP 400", 1)
    reported: list[tuple[str, int, int]] = []
    async with opened(tmp_path, clock) as spool:
        await until(spool, lambda: held(spool) <= SHARE)
        spool.listen(filling=print, damaged=print, buried=lambda *facts: reported.append(facts))
        assert reported[0][0] == "hook", "what was before anybody listened is reported too"
        assert (await numbers(spool, "hook"))[-1] == 300


async def test_letters_about_strangers_events_are_few_and_go_before_any_other(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_share, "STRANGERS", 20)
    recorded = clock.now_ms()
    async with opened(tmp_path, clock) as spool:
        known = rows(1, 10, recorded=recorded)
        await spool.append(known, source="gate")
        strange = [replace(row, stranger=True) for row in rows(11, 30, recorded=recorded)]
        await spool.append(strange, source="gate")
        stored = await spool.read(0)
        assert len(stored) == 40
        await spool.dead_letters.add("hook", stored, "HTTP 400", 1)
        await until(spool, lambda: spool.dead_letters.counts["hook"] == 30)
        assert await numbers(spool, "hook") == [*range(1, 11), *range(21, 41)]
        assert len(spool._state.value(STRANGE)) == 20
        # known devices' letters fill the share: strangers' go for them
        await spool.dead_letters.add("hook", letters(100, 220), "HTTP 400", 1)
        await until(spool, lambda: held(spool) <= SHARE)
        left = await numbers(spool, "hook")
        assert not set(range(21, 41)) & set(left)
        assert left == list(range(left[0], 320))
        assert spool._state.value(STRANGE) == []
    async with opened(tmp_path, clock) as spool:
        assert await numbers(spool, "hook") == left


async def test_a_letter_that_is_refused_again_counts_once(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as spool:
        for _ in range(3):
            await spool.dead_letters.add("hook", letters(1, 5), "HTTP 400", 1)
        assert held(spool) == 5 * (SIZE + len("HTTP 400") + 96)
        await spool.dead_letters.drop(ids=[1, 2, 3, 4, 5])
        assert held(spool) == 0


async def test_of_strangers_letters_no_more_go_than_make_room(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as spool:
        many = [replace(row, stranger=True) for row in rows(1, 180, size=SIZE, recorded=clock.now_ms())]
        await spool.append(many, source="gate")
        await spool.dead_letters.add("hook", await spool.read(0), "HTTP 400", 1)
        await spool.dead_letters.add("hook", letters(1000, 60), "HTTP 400", 1)
        await until(spool, lambda: held(spool) <= SHARE)
        left = await numbers(spool, "hook")
        assert left[-60:] == list(range(1000, 1060))
        assert left[:-60] == list(range(left[0], 181))
        assert len(left) > 60
        assert len(spool._state.value(STRANGE)) == len(left) - 60
