"""Costs beside the number of devices, sources, sinks and stored events; each row ends with the power of its growth.

A cost is processor time, which holds on a busy machine too. Above 1.1 it grows faster than what there is: a cliff.
`PUMP_BENCH_SCALE=100,1000` leaves out the sizes above the largest number.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from pump.core.clock import Clock
from pump.ingest.devices import Devices
from pump.ingest.intake import Intake
from pump.spool import Row as Stored
from pump.spool import Spool, SpoolSettings, offline
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from tests.bench import targets
from tests.bench.builds import PRESENT
from tests.bench.measure import Row, cpu_of, exponent, run_by, written_by
from tests.bench.spool import rows

STEEPEST: Final = 1.1
_LARGEST: Final = max(map(int, os.environ.get("PUMP_BENCH_SCALE", "5000000").split(",")))
_DEVICES: Final = (100, 1_000, 10_000)
_SOURCES: Final = (10, 500, 2_000)
_SINKS: Final = (1, 4, 16, 32)
_IDLE: Final = 10.0
"""Seconds in which nothing comes."""
_EVENTS: Final = (10_000, 1_000_000, 5_000_000)
_UNTIMED: Final = (10_000, 100_000, 1_000_000)
_PUSHES: Final = 66_000
"""Of rows without a time: their keys are moved among all others twice meanwhile."""


def _sizes(sizes: Sequence[int]) -> Sequence[int]:
    return [size for size in sizes if size <= _LARGEST]


def grown(what: str, sizes: Sequence[int], costs: Sequence[float], unit: str = "ms") -> Row:
    """A row: the costs (seconds, or what `unit` says) at these sizes, and how they grow."""
    power = exponent(sizes, costs)
    shown = [1000 * cost if unit == "ms" else cost for cost in costs]
    detail = ", ".join(f"{size:,}: {cost:,.2f} {unit}" for size, cost in zip(sizes, shown, strict=True))
    return Row(what, power, f"<= {STEEPEST}", power <= STEEPEST, detail)


# --- devices ----------------------------------------------------------------------------------------------------------


async def _with_devices(folder: Path, count: int) -> dict[str, float]:
    """Processor time of a first start's worth of devices, of a round of keep-alives, of a look, of a second start."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for turn in ("first", "second"):
            clock, metrics = Clock(), Metrics()
            spool = await Spool.open(Path(place), SpoolSettings(), clock=clock, metrics=metrics)
            intake = Intake("gate", spool=spool, site="s", clock=clock, metrics=metrics, health=Health(clock))
            begun = time.process_time()
            devices = Devices(intake, clock, vendor="avaeye", kind="camera", named=[str(n) for n in range(count)])
            if turn == "second":
                found["a start that knows them"] = time.process_time() - begun
            else:
                begun = time.process_time()
                await _in_parallel(count, partial(_introduced, devices, intake))
                found["all of them introduced"] = time.process_time() - begun
            begun = time.process_time()
            for n in range(count):
                assert devices.alone(f"1/{n}")
            found["a keep-alive of each"] = time.process_time() - begun
            begun = time.process_time()
            for _ in range(20):
                assert not devices.silent()
            found["twenty looks for who is silent"] = time.process_time() - begun
            await spool.close()
    return found


async def _introduced(devices: Devices, intake: Intake, n: int) -> None:
    async with devices.heard(f"1/{n}", interval=30.0, facts={"name": f"Camera {n}", "version": "V1"}) as sign:
        await intake.put(*sign.events, state=sign.state)


async def _in_parallel(count: int, work: Callable[[int], Awaitable[None]], lines: int = 64) -> None:
    left = iter(range(count))

    async def line() -> None:
        for n in left:
            await work(n)

    await asyncio.gather(*(line() for _ in range(lines)))


def _device_rows(folder: Path) -> Iterator[Row]:
    sizes = _sizes(_DEVICES)
    found = [asyncio.run(_with_devices(folder, size)) for size in sizes]
    for what in found[0]:
        yield grown(f"devices: {what}", sizes, [each[what] for each in found])


# --- sources and sinks ------------------------------------------------------------------------------------------------


def _source_rows(folder: Path) -> Iterator[Row]:
    sizes = _sizes(_SOURCES)
    starts: list[float] = []
    idle: list[float] = []
    scrapes: list[float] = []
    statuses: list[float] = []
    for size in sizes:
        place = targets._fresh(folder)
        gates = "".join(f'[sources.g{n}]\ntype = "avaeye"\ndevices = ["{n}"]\n' for n in range(size))
        text = targets._HEAD.format(folder=place) + gates + targets._OUT.format(name="out", folder=place)
        with PRESENT.daemon(place, text) as running:
            pid = running.process.pid
            starts.append(cpu_of(pid))
            time.sleep(3)  # what a start leaves behind is done
            before = run_by(pid)
            time.sleep(_IDLE)
            idle.append((run_by(pid) - before) / _IDLE)
            for path, costs in (("/metrics", scrapes), ("/status", statuses)):
                before = cpu_of(pid)
                for _ in range(10):
                    running.get(path)
                costs.append(max(0.001, (cpu_of(pid) - before) / 10))
    yield grown("sources: a start", sizes, starts)
    yield grown("sources: idle, of a second", sizes, idle)
    yield grown("sources: /metrics", sizes, scrapes)
    yield grown("sources: /status", sizes, statuses)


def _sink_rows(folder: Path) -> Iterator[Row]:
    sizes = _sizes(_SINKS)
    costs = [targets._push(PRESENT, folder, sinks=size).cpu for size in sizes]
    yield grown("sinks: CPU of an event pushed to all of them", sizes, costs, "µs")
    if len(sizes) > 1:
        each = (costs[-1] - costs[0]) / (sizes[-1] - sizes[0])
        yield Row("  of this each further sink", each, "<= 4", each <= 4, "", " µs")


# --- events behind ----------------------------------------------------------------------------------------------------


async def _opened(folder: Path) -> Spool:
    return await Spool.open(
        folder, SpoolSettings.model_validate({"max_bytes": "1024GiB"}), clock=Clock(), metrics=Metrics()
    )


async def _with_events(folder: Path, count: int) -> dict[str, float]:
    spool = await _opened(folder)
    while spool.head < count:
        await spool.append(rows(spool.head, min(5000, count - spool.head)), source="teams")
    await spool.close()
    found: dict[str, float] = {}
    begun = time.process_time()
    spool = await _opened(folder)
    found["opening the spool"] = time.process_time() - begun
    made = [rows(spool.head + 500 * n, 500) for n in range(20)]
    begun = time.process_time()
    for each in made:
        await spool.append(each, source="teams")
    found["twenty batches of 500"] = time.process_time() - begun
    begun = time.process_time()
    assert len(await spool.read(count // 2, limit=500)) == 500
    found["500 events read from the middle"] = time.process_time() - begun
    begun = time.process_time()
    await spool.before(Clock().now_ms() - 1000)
    found["a place found by time"] = time.process_time() - begun
    await spool.close()
    begun = time.process_time()
    newest = next(offline.latest(folder))
    found["the newest event from outside"] = time.process_time() - begun
    begun = time.process_time()
    list(offline.events(folder, since_ms=newest.recorded + 60_001))
    found["pump events --since, nothing so new"] = time.process_time() - begun
    return found


def _event_rows(folder: Path) -> Iterator[Row]:
    sizes, place = _sizes(_EVENTS), folder / "behind"
    found = [asyncio.run(_with_events(place, size)) for size in sizes]  # the same file, which grows
    shutil.rmtree(place)
    for what in found[0]:
        yield grown(f"events behind: {what}", sizes, [max(0.0001, each[what]) for each in found])


async def _with_untimed(folder: Path, count: int) -> dict[str, float]:
    """Of events whose identity has no time: microseconds of the processor, and KiB given to the disk, for each."""
    spool = await _opened(folder)
    while spool.head < count:
        await spool.append(_untimed(spool.head, min(2000, count - spool.head)), source="gate")
    await spool.flush()
    made = [_untimed(first, 33) for first in range(count, count + _PUSHES, 33)]
    cpu, written = time.process_time(), written_by(os.getpid())
    for each in made:
        await spool.append(each, source="gate")
    await spool.close()
    found = {"processor": 1e6 * (time.process_time() - cpu), "written": (written_by(os.getpid()) - written) / 1024}
    return {what: max(0.01, cost / _PUSHES) for what, cost in found.items()}  # a disk of memory is not written to


def _untimed(first: int, count: int) -> list[Stored]:
    """AvaEye's captures and many states of Kinot's: ids in no order."""
    return [replace(row, dedup_time_ms=0) for row in rows(first, count)]


def _untimed_rows(folder: Path) -> Iterator[Row]:
    sizes, found = _sizes(_UNTIMED), []
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            found.append(asyncio.run(_with_untimed(Path(place), size)))
    for what, unit in (("processor", "µs"), ("written", "KiB")):
        costs = [each[what] for each in found]
        yield grown(f"events behind: one without a time, {what}", sizes, costs, unit)


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows."""
    yield from _device_rows(folder)
    yield from _source_rows(folder)
    yield from _sink_rows(folder)
    yield from _event_rows(folder)
    yield from _untimed_rows(folder)
