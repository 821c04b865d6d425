"""What sinks remember by key, in a real spool."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from pump.core.settings import SinkSettings
from pump.delivery.memory import SinkMemory
from pump.sink import Sink
from tests.unit.delivery.test_delivery import Stage, run


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


async def test_nothing_is_no_value(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        with pytest.raises(ValueError, match="deleted"):
            SinkMemory(on.spool, "one")["key"] = None

    await run(tmp_path, test)
