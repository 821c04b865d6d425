"""Turns at a target: in order, given on whatever becomes of who waits."""

from __future__ import annotations

import asyncio

import pytest

from pump.commands.contract import Expired
from pump.ops.commands.turns import Turns
from pump.testing import ManualClock


async def _had(turns: Turns, name: str, deadline: float, had: list[str]) -> None:
    async with turns.turn("gate", deadline):
        had.append(name)


@pytest.mark.parametrize("end", ["expires", "is cancelled"])
async def test_a_turn_that_comes_in_the_moment_of_its_end_goes_to_the_next(end: str) -> None:
    clock = ManualClock()
    turns = Turns(clock)
    had: list[str] = []
    first = turns.turn("gate", 100.0)
    await first.__aenter__()
    second = asyncio.create_task(_had(turns, "second", 5.0, had))
    third = asyncio.create_task(_had(turns, "third", 1000.0, had))
    await clock.sleeping(2)
    await first.__aexit__(None, None, None)  # without a pass of the loop between this and what follows
    if end == "expires":
        clock.advance(5.0)
    else:
        second.cancel()
    await asyncio.wait({second, third})
    assert had[-1] == "third"
    assert not second.cancelled() or end == "is cancelled"
    if not second.cancelled():
        assert isinstance(second.exception(), Expired | None)
    assert not turns.taken


async def test_who_waits_too_long_has_no_turn_and_takes_none_away() -> None:
    clock = ManualClock()
    turns = Turns(clock)
    had: list[str] = []
    async with turns.turn("gate", 100.0):
        late = asyncio.create_task(_had(turns, "late", 5.0, had))
        other = asyncio.create_task(_had(turns, "other", 50.0, had))
        await clock.sleeping(2)
        clock.advance(5.0)
        with pytest.raises(Expired):
            await late
    await other
    assert had == ["other"]
    assert not turns.taken
