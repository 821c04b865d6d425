"""What sinks remember by key, in a real spool."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pump.core.settings import SinkSettings
from pump.delivery.memory import SinkMemory
from pump.sink import Sink
from pump.spool.connection import connect_reading
from tests.unit.delivery.test_delivery import Stage, run, running


class Counting(Sink[SinkSettings]):
    """Remembers how many events of each type it was given."""

    seen: MutableMapping[str, Any]

    def recall(self, memory: MutableMapping[str, Any]) -> None:
        self.seen = memory

    async def send(self, batch: Any) -> None:
        for record in batch:
            self.seen[record.type] = self.seen.get(record.type, 0) + 1


async def test_what_a_sink_remembers_is_there_after_a_restart_and_no_other_sink_s(tmp_path: Path) -> None:
    async def first(on: Stage) -> None:
        await on.put(3)
        for name in ("one", "two"):
            delivery = on.delivery(Counting, name)
            delivery.stop()
            await delivery.run()
        SinkMemory(on.spool, "two").clear()

    async def second(on: Stage) -> None:
        assert dict(SinkMemory(on.spool, "one")) == {"vehicle.passed": 3}
        assert not SinkMemory(on.spool, "two")
        assert not on.spool.state("one")

    await run(tmp_path, first)
    await run(tmp_path, second)


class Last(Sink[SinkSettings]):
    """Remembers the number that it was given last."""

    seen: MutableMapping[str, Any]

    def recall(self, memory: MutableMapping[str, Any]) -> None:
        self.seen = memory

    async def send(self, batch: Any) -> None:
        self.seen["last"] = batch[-1].seq


async def test_no_commit_holds_a_cursor_that_is_newer_than_the_memory(tmp_path: Path) -> None:
    stored = """SELECT cursors.seq, state.value FROM cursors
        LEFT JOIN state ON state.source = 'sink/out' AND state.key = 'last' WHERE cursors.sink = 'out'"""

    async def test(on: Stage) -> None:
        delivery = on.delivery(Last, batch_size=3)
        places: set[int] = set()
        async with running(delivery):
            with closing(connect_reading(tmp_path / "spool.db")) as db:
                while len(places) < 20:
                    await on.put(5)
                    for cursor, last in db.execute(stored).fetchall():
                        assert int(last or 0) >= cursor
                        places.add(cursor)

    await run(tmp_path, test)


async def test_nothing_is_no_value(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        with pytest.raises(ValueError, match="deleted"):
            SinkMemory(on.spool, "one")["key"] = None

    await run(tmp_path, test)
