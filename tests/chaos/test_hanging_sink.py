"""A sink that hangs for ever: the others do not notice, memory stays bounded, and without `hold` the spool never fills.

The bound: what may wait for a commit (64 MiB), the newest events in memory (16 MiB of bodies), and one batch a sink
(4 MiB of bodies), with Python's overhead on each event; nothing grows with what the hanging sink has not had.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

_PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from pump.telemetry import log
from pump.core.clock import Clock
from pump.delivery.cursor import Surroundings
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.sinks.jsonl.sink import SINK
from pump.spool import Spool, SpoolSettings
from pump.testing.standins import HangingSink
from tests.bench.spool import rows

def resident():
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024

async def lost(sink, first, last, count):
    pass

async def main():
    log.configure(level="critical")
    folder, holds, events = Path(sys.argv[1]), sys.argv[2] == "hold", int(sys.argv[3])
    clock, metrics = Clock(), Metrics()
    health = Health(clock)
    settings = SpoolSettings.model_validate({"max_bytes": "2GiB" if holds else "48MiB"})
    spool = await Spool.open(folder / "spool", settings, clock=clock, metrics=metrics)
    spool.set_holders({"out": True, "hung": holds})
    made = {
        "out": (SINK, {"type": "jsonl", "path": str(folder / "out.jsonl"), "fsync": "batch"}),
        "hung": (HangingSink, {"type": "hanging", "how": "await", "timeout": "1h", "hold": holds}),
    }
    tasks, deliveries = [], {}
    for name, (kind, table) in made.items():
        settings = kind.Settings.model_validate(table, strict=False)
        around = Surroundings(spool, clock, metrics, "b", lost)
        delivery = deliveries[name] = Delivery(around, kind, name, settings, health.component(f"sink {name}"))
        tasks.append(asyncio.create_task(delivery.run()))
    told = {"refused": 0, "most": 0.0}
    before = None
    for first in range(0, events, 500):
        await spool.append(rows(first, 500), source="teams")
        if first == 20_000:
            before = resident()
        if before is not None:
            told["most"] = max(told["most"], resident() - before)
        told["refused"] += bool(spool.refusing)
        while (cursor := spool.cursor("out")) is None or cursor.seq < spool.head - 10_000:
            await asyncio.sleep(0.001)
    while deliveries["out"].position < events:
        await asyncio.sleep(0.01)
    told["hung at"] = deliveries["hung"].position
    told["used"] = spool.used / (1 << 20)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await spool.close()
    told["lines"] = (folder / "out.jsonl").read_bytes().count(b"\\n")
    print(json.dumps(told))

asyncio.run(main())
"""


@pytest.mark.parametrize("hold", ["hold", "no hold"])
def test_a_hanging_sink_holds_back_nobody_and_costs_no_memory(tmp_path: Path, hold: str) -> None:
    events = 150_000  # 180 MB of bodies: more than twice the bound
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path), hold, str(events)],
        capture_output=True, text=True, timeout=110, cwd=os.getcwd(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = orjson.loads(done.stdout)
    assert told["lines"] == events
    assert told["refused"] == 0
    assert told["most"] < 100, "MiB that memory has grown by"
    if hold == "hold":
        assert told["hung at"] == 0  # all of it still waits for the sink
    else:
        assert told["used"] < 48
