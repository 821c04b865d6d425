"""A backlog of 1,000,000 events, drained to JSON lines by the daemon as a process, and what memory that takes it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pump.core.clock import Clock
from pump.spool import Spool, SpoolSettings
from pump.telemetry.metrics import Metrics
from tests.bench.measure import Row, share
from tests.bench.spool import rows

_EVENTS = 1_000_000
_CONFIG = """
[pump]
site = "bench"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:0"
[server]
listen = "127.0.0.1:0"
[sources.gate]
type = "avaeye"
[sinks.out]
type = "jsonl"
path = "{folder}/events.jsonl"
start = "oldest"
types = ["vehicle.*"]
"""


async def _fill(state: Path) -> None:
    spool = await Spool.open(state, SpoolSettings(), clock=Clock(), metrics=Metrics())
    for first in range(0, _EVENTS, 5000):
        await spool.append(rows(first, 5000), source="teams")
    await spool.close()


def _write(folder: Path, lines: list[bytes]) -> float:
    """Seconds of a buffered write."""
    begun = time.perf_counter()
    with (folder / "plain.jsonl").open("wb") as file:
        for line in lines:
            file.write(line)
    return time.perf_counter() - begun


def _drain(folder: Path, size: int) -> tuple[float, float]:
    """Seconds from the first line to the last, and the most MiB that were resident."""
    config, output = folder / "pump.toml", folder / "events.jsonl"
    config.write_text(_CONFIG.format(folder=folder))
    daemon = subprocess.Popen([sys.executable, "-m", "pump", "run", "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        while not (output.exists() and output.stat().st_size):
            assert daemon.poll() is None
            time.sleep(0.001)
        begun = time.perf_counter()
        while output.stat().st_size < size:
            assert daemon.poll() is None
            time.sleep(0.005)
        elapsed = time.perf_counter() - begun
        status = Path(f"/proc/{daemon.pid}/status").read_text()
        return elapsed, int(status.split("VmHWM:")[1].split()[0]) / 1024
    finally:
        daemon.terminate()
        daemon.wait()


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows; one run, for a million is long enough."""
    (folder / "state").mkdir(mode=0o700)
    asyncio.run(_fill(folder / "state"))
    lines = [row.body + b"\n" for row in rows(0, _EVENTS)]
    size = sum(map(len, lines))
    limits = [_write(folder, lines)]
    elapsed, resident = _drain(folder, size)
    limits.append(_write(folder, lines))
    limit = sum(limits) / len(limits)
    assert (folder / "events.jsonl").read_bytes() == (folder / "plain.jsonl").read_bytes()
    words = "lines/s buffered write"
    yield share("a million events to JSON lines", _EVENTS / elapsed, _EVENTS / limit, 0.25, words)
    yield Row("the most that was resident meanwhile", resident, "<= 150", resident <= 150, "VmHWM", " MiB")
