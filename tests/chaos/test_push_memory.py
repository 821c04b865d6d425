"""The table of attacks (`tests/chaos/attacks`) on the real daemon: none costs more than its row allows.

While one goes on, /healthz answers and an honest device is served; when it has ended, nothing of it is left to do.
`pytest -m long` takes all rows, for as long as they go on; the bench prints what each costs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.attacks import rows
from tests.chaos.attacks.frame import MIB, Attack
from tests.chaos.attacks.running import Attacked, attacked

BACKLOG: Final = 2.0
"""The most that is left to do when an attack has ended, in processor times of the daemon's start: seconds would be
another number on each machine."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system tells no peak")


@pytest.mark.parametrize(
    "attack",
    [pytest.param(row, id=row.name, marks=() if row.quick else pytest.mark.long) for row in rows()],
)
def test_an_attack_costs_no_more_than_its_bounds(
    attack: Attack, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with attacked(tmp_path, attack) as site:
        start = site.processor()
        site.watch_memory()
        asyncio.run(_during(site, attack, 0.5 if attack.quick else 4.0))
        ended = site.processor()
        asyncio.run(site.served_again())
        backlog = (site.processor() - ended) / start
        growth = site.growth()
        record_property("growth_mib", growth // MIB)
        if os.environ.get("PUMP_FIGURES"):
            print(f"{attack.name}: {growth // MIB} MiB of {attack.growth // MIB}, {backlog:.2f} starts of backlog")
        assert growth < attack.growth
        assert backlog < BACKLOG
        assert site.server.process.poll() is None


async def _during(site: Attacked, attack: Attack, seconds: float) -> None:
    over = asyncio.Event()
    asking = asyncio.create_task(_ask(site, over))
    streams = await attack.run(site.port, seconds)
    assert await site.push(1) == 200, "others are served while its connections are open"
    over.set()
    assert set(await asking) == {200}, "it answers, and is well"
    for _, writer in streams:
        writer.transport.abort()
    await asyncio.sleep(0)


async def _ask(site: Attacked, over: asyncio.Event) -> list[int]:
    """The answers of /healthz meanwhile."""
    found = []
    while not over.is_set():
        found.append(await site.healthz())
        await asyncio.sleep(0.02)
    return found
