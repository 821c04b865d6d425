"""More time for a start that works, and none for one that only waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pump.core.clock import Clock
from pump.runtime.systemd import more_time as module
from pump.runtime.systemd.more_time import EVERY, more_time
from pump.runtime.systemd.notify import Notifier
from pump.spool import Spool, SpoolSettings
from pump.telemetry.metrics import Metrics
from pump.testing.clock import ManualClock
from tests.unit.runtime.site import NUMBERS, OUT, Site
from tests.unit.runtime.systemd.manager import Manager
from tests.unit.spool.conftest import rows

ASKED = "EXTEND_TIMEOUT_USEC=60000000"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.close()


async def test_it_asks_while_work_is_done_and_not_while_nothing_is(manager: Manager) -> None:
    clock, work = ManualClock(), [(0.0, 0)]
    async with more_time(Notifier({"NOTIFY_SOCKET": manager.name}), clock, "repairing", work=lambda: work[-1]):
        await clock.sleeping()
        for seconds, blocks, asks in (
            (1.0, 0, True),
            (1.01, 0, False),
            (1.02, 9, True),
            (1.03, 9, False),
            (9.0, 9, True),
        ):
            manager.drain()
            work.append((seconds, blocks))
            await clock.run(EVERY)
            await clock.sleeping()
            assert manager.drain() == ([f"STATUS=repairing\n{ASKED}"] if asks else [])
    assert manager.heard[0] == ASKED


def test_what_counts_as_work() -> None:
    before = module._work()
    while module._work()[0] <= before[0]:
        time.monotonic()


async def test_a_long_salvage_asks_for_more(manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "state"
    clock = Clock()
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=Metrics())
    for first in range(0, 6000, 500):
        await spool.append(rows(first + 1, 500, recorded=clock.now_ms()), source="teams")
    await spool.close()
    with (folder / "spool.db").open("r+b") as file:
        file.write(b"damaged all over")
    monkeypatch.setattr(module, "EVERY", 0.0)
    monkeypatch.setattr(module, "_IDLE", 0.001)
    async with more_time(Notifier({"NOTIFY_SOCKET": manager.name}), clock, "repairing"):
        spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=Metrics())
    assert spool.repaired is not None
    await spool.close()
    assert manager.drain()[:2] == [ASKED, f"STATUS=repairing\n{ASKED}"]


async def test_a_start_asks_before_it_is_ready_and_a_stop_says_how_long_it_takes(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    site = Site(tmp_path)
    site.write(NUMBERS, OUT)
    async with site.running():
        await manager.until("READY=1")
    await manager.until("STOPPING=1")
    assert manager.heard[0] == ASKED
    assert manager.heard[-1] == "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=41000000"
