"""Killed between the dead letter and the cursor: the event comes to its sink again, and is one letter still."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pump.core.errors import Rejected
from pump.testing.sinks import ScriptedSinks
from tests.unit.delivery.test_delivery import Stage, running, stage

_REFUSED = """
import asyncio, os, sys
from pathlib import Path
from pump.core.errors import Rejected
from pump.testing.sinks import ScriptedSinks
from tests.unit.delivery.test_delivery import stage

async def kill():
    os._exit(9)

async def main():
    async with stage(Path(sys.argv[1])) as on:
        await on.put(3)
        # every send is refused; the second batch finds the first one buried and its cursor not stored
        await on.delivery(ScriptedSinks([Rejected([1], "HTTP 422"), kill]), batch_size=1).run()

asyncio.run(main())
"""


async def test_what_was_buried_before_a_kill_is_not_buried_twice(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _REFUSED, str(tmp_path)], cwd=Path(__file__).parents[3], timeout=60, check=False
    )
    assert killed.returncode == 9

    async def letters(on: Stage) -> None:
        [letter] = await on.spool.dead_letters.read()
        assert (letter.record.seq, letter.reason, letter.attempts) == (1, "HTTP 422", 2)
        assert on.spool.dead_letters.counts == {"out": 1}
        assert on.value("pump_dead_letters_total", sink="out") == 0

    async with stage(tmp_path) as on:
        assert on.spool.dead_letters.counts == {"out": 1}
        assert on.cursor() == (0, None), "the kill came after the cursor: it shows nothing"
        sinks = ScriptedSinks([Rejected([1], "HTTP 422")])
        async with running(on.delivery(sinks, batch_size=1)):
            await sinks.arrived(2)
        assert sinks.batches[0] == [1], "it came to the sink again"
        await letters(on)
