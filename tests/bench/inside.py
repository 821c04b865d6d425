"""Works that need a build's own parts: run by `builds.Build.inside` in that build's Python, whatever its layout.

Stands alone, for the older build has its own `tests`. Each work prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PLACES = {
    "Clock": ("pump.core.clock", "pump.clock"),
    "Metrics": ("pump.telemetry.metrics", "pump.metrics"),
    "Health": ("pump.telemetry.health", "pump.health"),
    "Intake": ("pump.ingest.intake", "pump.intake"),
    "event_id": ("pump.core.event", "pump.event"),
    "tuned": ("pump.runtime.tuning", "pump.tuning", "pump.daemon"),
    "HikConnectSettings": ("pump.vendors.hik_connect.settings", "pump.vendors.hik_connect.source"),
    "configure": ("pump.telemetry.log", "pump.log"),
}
"""Where a name is found: this layout first, then those of before."""
_BODY = os.urandom(600).hex().encode()


def part(name: str) -> Any:
    """The build's own, wherever it lies."""
    for place in _PLACES[name]:
        try:
            return getattr(importlib.import_module(place), name)
        except (ImportError, AttributeError):
            continue
    raise AssertionError(f"this build has no {name}")


class Used:
    """The time that passes, the wall's and the processor's of this process."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def since(self, events: int) -> dict[str, float]:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        return {"rate": events / wall, "cpu": 1e6 * cpu / events}


def _settle() -> None:
    """As the daemon does once it runs: else the collector's first look at all that was imported is the longest step."""
    gc.collect()
    gc.freeze()


async def _opened(folder: Path, metrics: Any = None) -> Any:
    from pump.spool import Spool, SpoolSettings

    return await Spool.open(folder, SpoolSettings(), clock=part("Clock")(), metrics=metrics or part("Metrics")())


def _rows(first: int, count: int, body: bytes = _BODY, age_ms: int = 0) -> list[Any]:
    from pump.spool import Row

    now, event_id = part("Clock")().now_ms() - age_ms, part("event_id")
    return [
        Row("teams", "vehicle.passed", 0, now, now + 3 * n, event_id("bench", n), body)
        for n in range(first, first + count)
    ]


async def _busy() -> None:
    while True:
        end = time.perf_counter() + 0.001
        while time.perf_counter() < end:
            pass
        await asyncio.sleep(0)


async def append(folder: str, batch: int, batches: int, busy: bool = False) -> dict[str, float]:
    """Batches appended to a new spool."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        spool = await _opened(Path(place))
        made = [_rows(n * batch, batch) for n in range(batches)]
        noise = asyncio.create_task(_busy()) if busy else None
        _settle()
        used = Used()
        for each in made:
            await spool.append(each, source="teams")
        figures = used.since(batch * batches)
        assert spool.head == batch * batches
        if noise is not None:
            noise.cancel()
        await spool.close()
    return figures


async def fill(folder: str, events: int, size: int) -> dict[str, float]:
    """A spool with so many events of yesterday, for a daemon to start on."""
    spool = await _opened(Path(folder))
    body, used = os.urandom(size // 2).hex().encode(), Used()
    for first in range(0, events, 5000):
        await spool.append(_rows(first, min(5000, events - first), body, 86_400_000), source="teams")
    figures = used.since(events)
    await spool.close()
    return figures


async def pull(folder: str, url: str, queues: list[str], total: int) -> dict[str, float]:
    """Batches of 500 from a Hik-Connect to the last completed one; the vendor is another process."""
    from pydantic import TypeAdapter

    from pump.vendors.hik_connect.source import HikConnect

    clock, metrics = part("Clock")(), part("Metrics")()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        health, spool = part("Health")(clock), await _opened(Path(place), metrics)
        said = {"server": url, "app_key": "ak", "secret_key": "sk", "queues": tuple(queues), "poll_interval": "1ms"}
        settings = TypeAdapter(part("HikConnectSettings")).validate_python({"type": "hik-connect", **said})
        source = HikConnect("teams", settings, clock, paced=False)
        intake = part("Intake")("teams", spool=spool, site="b", clock=clock, metrics=metrics, health=health)
        details = intake.component.details
        running = asyncio.create_task(source.run(intake))
        while spool.head < 10:  # its own event of having come up may be among them
            await asyncio.sleep(0.0005)
            assert not running.done(), running
        _settle()
        before, used, stand = spool.head, Used(), [0.0]

        async def watch() -> None:
            while True:
                begun = time.perf_counter()
                await asyncio.sleep(0.001)
                stand[0] = max(stand[0], time.perf_counter() - begun - 0.001)

        watching = asyncio.create_task(watch())
        while spool.head < total or any(details[queue]["backlog"] for queue in queues):
            await asyncio.sleep(0.002)
        figures = used.since(spool.head - before)
        for task in (running, watching):
            task.cancel()
        await asyncio.gather(running, watching, return_exceptions=True)
        await spool.close()
    return {**figures, "stand": stand[0]}


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The daemon's: uvloop's where that is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def main() -> None:
    """The work named, with its arguments as JSON."""
    work, arguments = globals()[sys.argv[1]], json.loads(sys.argv[2])
    part("configure")(level="error")
    with part("tuned")(), asyncio.Runner(loop_factory=loop_factory()) as runner:
        print(json.dumps(runner.run(work(**arguments))), flush=True)


if __name__ == "__main__":
    main()
