"""Looks at a spool from beside it: newest first, one event, its dead letters; and the newest from memory alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pump.spool import Spool, SpoolSettings
from pump.spool.offline import blocks_before, event_of, letters_of, newest_letters
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from tests.unit.spool.conftest import rows


async def test_events_are_read_backwards_from_any_number(tmp_path: Path) -> None:
    clock = ManualClock()
    spool = await Spool.open(tmp_path, SpoolSettings(), clock=clock, metrics=Metrics())
    try:
        for begin in range(0, 300, 30):  # blocks of several sizes
            await spool.append(rows(begin, 30, recorded=clock.now_ms()), source="teams")
        everything = [one.seq for block in blocks_before(tmp_path) for one in block]
        assert everything == list(range(300, 0, -1))
        for before in (1, 2, 31, 64, 65, 150, 300, 301, 9999):
            found = [one.seq for block in blocks_before(tmp_path, before) for one in block]
            assert found == [number for number in everything if number < before], before
        record = event_of(tmp_path, 17)
        assert record is not None
        assert record.seq == 17
        assert event_of(tmp_path, 301) is None
        await spool.dead_letters.add("hook", [record], "no", 1)
        await spool.dead_letters.add("mail", [record], "full", 2)
        assert [(one.sink, one.reason) for one in letters_of(tmp_path, 17)] == [("hook", "no"), ("mail", "full")]
        assert letters_of(tmp_path, 18) == []
        assert [one.sink for one in newest_letters(tmp_path, 1)] == ["mail"]
        assert [one.sink for one in newest_letters(tmp_path, 9)] == ["mail", "hook"]
        recent = spool.recent(290)
        assert recent is not None
        assert [one.seq for one in recent] == list(range(291, 301))
        assert spool.recent(300) == []
    finally:
        await spool.close()
    spool = await Spool.open(tmp_path, SpoolSettings(), clock=clock, metrics=Metrics())
    try:
        assert spool.recent(290) is None  # memory does not reach back over a restart
    finally:
        await spool.close()


@pytest.mark.parametrize("look", [lambda folder: list(blocks_before(folder)), lambda folder: event_of(folder, 1)])
def test_without_a_spool_there_is_nothing_to_look_at(tmp_path: Path, look: object) -> None:
    assert callable(look)
    with pytest.raises(FileNotFoundError):
        look(tmp_path)
