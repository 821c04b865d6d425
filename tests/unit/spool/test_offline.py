"""Reading from outside: a search by time reads what was asked for, however much lies before and behind it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from pump.core.record import Record
from pump.spool import Spool, SpoolSettings, blocks, offline, reader
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from tests.unit.spool.conftest import rows

HOUR = 3600.0


async def written(folder: Path, clock: ManualClock, jumps: dict[int, float], *, runs: int = 3, each: int = 20) -> None:
    """Events of several runs, a minute apart; at these numbers the wall clock jumps by so many seconds."""
    number = 0
    for _ in range(runs):
        spool = await Spool.open(
            folder, SpoolSettings.model_validate({"retention": "9999d"}), clock=clock, metrics=Metrics()
        )
        for _ in range(each):
            if number in jumps:
                clock.jump(jumps[number])
                clock.ages.look()
            await spool.append(rows(number, 3, recorded=clock.now_ms()), source="teams")
            number += 3
            clock.advance(60.0)
        await spool.close()
        clock = ManualClock(clock.now())
        clock.advance(HOUR)


@pytest.mark.parametrize(
    "jumps",
    [{}, {30: 5 * HOUR}, {30: -5 * HOUR}, {75: -2 * HOUR, 78: 2 * HOUR}, {60: 9 * HOUR, 90: -9 * HOUR}, {9: -30.0}],
)
async def test_a_search_by_time_finds_what_a_look_at_every_event_finds(tmp_path: Path, jumps: dict[int, float]) -> None:
    clock = ManualClock()
    await written(tmp_path, clock, jumps)
    every = list(offline.events(tmp_path))
    assert len(every) == 180
    moments = [None, *sorted({one.recorded + off for one in every[::29] for off in (-1, 0, 1)}), 1 << 60]
    for since in moments:
        for until in moments[::3]:
            wanted = [one for one in every if _inside(one, since, until)]
            assert list(offline.events(tmp_path, since_ms=since, until_ms=until)) == wanted
            assert list(offline.latest(tmp_path, since_ms=since, until_ms=until)) == wanted[::-1]


def _inside(one: Record, since: int | None, until: int | None) -> bool:
    return (since is None or one.recorded >= since) and (until is None or one.recorded < until)


async def test_what_is_not_asked_for_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    await written(tmp_path, clock, {}, runs=1, each=100)
    every = list(offline.events(tmp_path))
    unpacked = 0

    def counted(first: object, last: int, index: object, bodies: object) -> blocks.Unpacked:
        nonlocal unpacked
        unpacked += 1
        return blocks.unpack(first, last, index, bodies)

    monkeypatch.setattr(reader, "unpack", counted)
    since, until = every[150].recorded, every[159].recorded
    assert len(list(offline.events(tmp_path, since_ms=since, until_ms=until))) == 9
    assert unpacked <= 8, "blocks of three events, a minute's clearance on either side"
    unpacked = 0
    assert list(islice(offline.latest(tmp_path), 5)) == every[:-6:-1]
    assert unpacked <= 8
