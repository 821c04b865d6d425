"""The time spent listening: one beat for all sources, kept over runs, and believed only as it was written."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from pump.core.clock import Clock
from pump.ingest.listening import STANDSTILL, TICK, Beat, Listening
from pump.testing import ManualClock


def _listening(clock: Clock, folder: Path, name: str = "gate") -> Listening:
    """As a new run finds it."""
    return Listening(Beat(clock, folder), name)


@asynccontextmanager
async def _listened(clock: ManualClock, folder: Path, seconds: float) -> AsyncIterator[Listening]:
    """A run that has listened for so long, and still does."""
    listening = _listening(clock, folder)
    with listening.going_on():
        await clock.run(seconds)
        yield listening


async def test_a_listening_time_with_a_flipped_byte_is_not_believed_and_one_without_a_checksum_is(
    tmp_path: Path,
) -> None:
    path, clock = tmp_path / "listened-gate", ManualClock()
    listening = _listening(clock, tmp_path)
    listening.reached(12345.5)
    with listening.going_on():
        clock.advance(STANDSTILL)
    whole = path.read_bytes()
    assert _listening(clock, tmp_path).looked == 12345.5 + STANDSTILL
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        assert _listening(clock, tmp_path).looked == 0.0, place
    path.write_bytes(whole[:8])
    assert _listening(clock, tmp_path).looked == 12345.5 + STANDSTILL, "an older version's"


async def test_a_kill_costs_a_tick_of_the_time_and_a_damaged_file_no_more_than_its_run(tmp_path: Path) -> None:
    """The files as they are while it goes are those that a kill leaves."""
    clock = ManualClock()
    async with _listened(clock, tmp_path, 30.0):
        pass
    async with _listened(clock, tmp_path, 20.0) as listening:
        clock.advance(TICK / 2)
        assert listening.now == 50.0 + TICK / 2
        shutil.copytree(tmp_path, killed := tmp_path / "killed")
    clock.advance(3600.0)
    assert _listening(clock, killed).looked == 50.0
    for name, left in (("listened-gate", 0.0), ("listened", 30.0)):
        whole = (killed / name).read_bytes()
        for place in range(len(whole)):
            (killed / name).write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
            assert _listening(clock, killed).looked == left, (name, place)
        (killed / name).write_bytes(whole)
    (killed / "listened").unlink()
    assert _listening(clock, killed).looked == 30.0


async def test_who_was_away_after_a_kill_has_not_listened_meanwhile(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _listened(clock, tmp_path, 10.0):
        shutil.copytree(tmp_path, killed := tmp_path / "killed")
    other = _listening(clock, killed, "other")
    with other.going_on():
        await clock.run(1000.0)
    assert other.looked == 1000.0
    assert _listening(clock, killed).looked == 0.0, "the time of a run before the last is not known: never too much"


async def test_a_source_that_is_made_anew_before_the_old_one_has_ended_goes_on_from_there(tmp_path: Path) -> None:
    """As a reload may make one whose devices have called already."""
    clock = ManualClock()
    beat = Beat(clock, tmp_path)
    with Listening(beat, "gate").going_on():
        await clock.run(100.0)
        assert Listening(beat, "gate").looked == 100.0


async def test_sources_that_come_and_go_count_their_own_time_alone(tmp_path: Path) -> None:
    clock = ManualClock()
    beat = Beat(clock, tmp_path)
    early, late = (Listening(beat, name) for name in ("early", "late"))
    with early.going_on():
        await clock.run(10.1)
        with late.going_on():
            await clock.run(5.0)
            assert early.now == pytest.approx(15.1)
            assert late.now == pytest.approx(5.0)
        await clock.run(100.0)
        assert late.now == late.looked == pytest.approx(5.0)
        with late.going_on():
            clock.advance(500.0)  # a standstill
            await clock.run(TICK)
    assert early.looked == pytest.approx(116.35)
    assert late.looked == pytest.approx(6.25)
    assert clock.sleepers == 0


async def test_any_number_of_sources_has_one_timer_and_one_write_a_tick_and_is_woken_where_something_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, woken, writes = ManualClock(), 0, 0
    beat = Beat(clock, tmp_path)
    write = os.pwrite

    def counted(file: int, data: bytes, place: int) -> int:
        nonlocal writes
        writes += 1
        return write(file, data, place)

    async def wait(listening: Listening) -> None:
        nonlocal woken
        while True:
            await listening.until_due()
            woken += 1
            listening.due = listening.looked + 10.0

    sources = [Listening(beat, f"{number}") for number in range(200)]
    with ExitStack() as going:
        for each in sources:
            going.enter_context(each.going_on())
        tasks = [asyncio.create_task(wait(each)) for each in sources]
        await clock.run(TICK)
        assert woken == len(sources), "nobody knows yet what is due"
        monkeypatch.setattr(os, "pwrite", counted)
        await clock.run(9.0)
        assert clock.sleepers == 1
        assert writes == 9.0 / TICK
        assert woken == len(sources)
        sources[7].expect(sources[7].looked + 0.5)
        await clock.run(0.5)
        assert woken == len(sources) + 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_where_the_beat_fails_all_who_wait_fail_and_the_next_ones_have_a_new_one(tmp_path: Path) -> None:
    class Broken(ManualClock):
        broken = True

        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if self.broken:
                raise ArithmeticError("a bug")

    clock = Broken()
    beat = Beat(clock, tmp_path)
    sources = [Listening(beat, f"{number}") for number in range(3)]
    with ExitStack() as going:
        for each in sources:
            going.enter_context(each.going_on())
        waits = [asyncio.ensure_future(each.until_due()) for each in sources]
        await clock.run(TICK)
        found = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(each) for each in found] == [ArithmeticError] * 3
        with pytest.raises(RuntimeError):
            await sources[0].until_due()
    clock.broken = False
    with sources[0].going_on():
        wait = asyncio.ensure_future(sources[0].until_due())
        await clock.run(TICK)
        await wait
