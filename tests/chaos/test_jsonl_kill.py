"""The JSON-lines sink and the spool, killed with SIGKILL at random moments: each event is in the files once."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pump.core.clock import Clock
from pump.spool import Spool, SpoolSettings
from pump.telemetry.metrics import Metrics
from pump.testing.records import rows

EVENTS = 20_000

CHILD = """
import asyncio, sys
from pathlib import Path
from pump.core.clock import Clock
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics
from pump.sinks.jsonl.sink import JsonlSettings, JsonlSink
from pump.spool import Spool, SpoolSettings

folder, settings, batch = Path(sys.argv[1]), eval(sys.argv[2]), int(sys.argv[3])

async def lost(*_):
    raise AssertionError

async def main():
    clock, metrics = Clock(), Metrics()
    spool = await Spool.open(folder / "spool", SpoolSettings(), clock=clock, metrics=metrics)
    table = {"type": "jsonl", "path": str(folder / "events.jsonl"), "batch_size": batch, **settings}
    around = Surroundings(spool, clock, metrics, "testing", lost)
    delivery = Delivery(around, JsonlSink, "out", JsonlSettings.model_validate(table), Component("sink out", clock))
    print("ready", flush=True)
    delivery.stop()
    await delivery.run()
    await spool.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("settings", "batch", "kills"),
    [
        ({"fsync": "interval", "fsync_interval": "50ms"}, 20, 6),
        ({"fsync": "never", "rotate_bytes": "1MiB", "rotate_keep": 99}, 7, 6),
        pytest.param({"fsync": "batch", "rotate_bytes": "64KiB", "rotate_keep": 999}, 3, 60, marks=pytest.mark.long),
    ],
    ids=["interval", "rotating", "long"],
)
async def test_killed_at_random_moments_it_has_each_line_once(
    tmp_path: Path, settings: dict[str, object], batch: int, kills: int
) -> None:
    await killed(tmp_path, settings, batch, kills)


@pytest.mark.parametrize(
    ("copies", "kills"),
    [(True, 2), pytest.param(False, 20, marks=pytest.mark.long), pytest.param(True, 20, marks=pytest.mark.long)],
    ids=["cursor and copy", "long, cursor", "long, cursor and copy"],
)
async def test_killed_with_its_cursor_lost_before_each_start_it_has_each_line_once(
    tmp_path: Path, copies: bool, kills: int
) -> None:
    """What the file holds is looked for at each start, killed in its middle too."""

    def lose() -> None:
        with closing(sqlite3.connect(tmp_path / "spool" / "spool.db", isolation_level=None, timeout=60)) as db:
            db.execute("UPDATE cursors SET seq = seq + 1 WHERE sink <> ''")  # its checksum is another
            if copies:
                db.execute("UPDATE state SET value = value || ' ' WHERE key LIKE 'cursor/%'")

    await killed(tmp_path, {"fsync": "interval", "fsync_interval": "50ms"}, 20, kills, lose, events=8000)


async def killed(
    tmp_path: Path,
    settings: dict[str, object],
    batch: int,
    kills: int,
    lose: Callable[[], None] = lambda: None,
    events: int = EVENTS,
) -> None:
    """Kill it so often, at moments of chance, `lose` before each start; then let it end and look."""

    def start() -> subprocess.Popen[bytes]:
        lose()
        command = [sys.executable, "-c", CHILD, str(tmp_path), repr(settings), str(batch)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.stdout is not None
        while (line := child.stdout.readline()) != b"ready\n":  # a log line is one of a spool that was repaired
            assert line, child.communicate()[1].decode()
        return child

    spool = await Spool.open(tmp_path / "spool", SpoolSettings(), clock=Clock(), metrics=Metrics())
    for begin in range(1, events + 1, 500):
        await spool.append(rows(range(begin, begin + 500), Clock()), source="gate")
    await spool.close()
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    killed = 0
    for _ in range(kills):
        with start() as child:
            time.sleep(rng.uniform(0.0, 0.25))  # when it is killed is the test's chance, not its synchronisation
            killed += child.poll() is None
            child.kill()
            child.communicate()
    with start() as child:
        _, errors = child.communicate()
        assert child.returncode == 0, errors.decode()
    assert killed >= kills // 3
    found: list[int] = []
    files = [
        (int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0, path) for path in tmp_path.glob("events.jsonl*")
    ]
    for _, path in sorted(files, reverse=True):
        found += [json.loads(line)["data"]["raw"]["number"] for line in path.read_bytes().splitlines()]
    assert found == list(range(1, events + 1))
