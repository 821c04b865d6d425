"""Each attack of the chaos tests' table: how quickly /healthz answers, how soon all is well again, what it costs.

`python -m tests.bench.attacks NAME …` runs those alone.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.bench.measure import Row
from tests.chaos.attacks import rows
from tests.chaos.attacks.frame import MIB, Attack
from tests.chaos.attacks.running import attacked

P99_MS: Final = 250.0
"""Milliseconds for /healthz, whatever the push listener does (issue 13)."""
SERVICE_S: Final = 5.0
"""Seconds from an attack's end to full service."""
LASTING_S: Final = 3.0
"""An attack that has ended earlier begins anew."""


def _figures(folder: Path, attack: Attack) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(dir=folder) as place, attacked(Path(place), attack) as site, site.probe() as probe:
        site.watch_memory()
        begun = time.monotonic()
        while time.monotonic() < begun + LASTING_S:
            asyncio.run(_attack(site.port, attack))
        ended = time.monotonic()
        lasted = ended - begun
        asyncio.run(site.served_again())
        again = time.monotonic() - ended
        growth = site.growth()
    found = probe.found
    p99 = found.unqueued_quantile(0.99) * 1000
    words = f"without queues for a processor; with them {found.quantile(0.99) * 1000:.0f}; longest "
    words += f"{found.unqueued_quantile(1) * 1000:.0f}; {len(found.seconds)} in {lasted:.1f} s, {found.failed} without"
    yield Row(f"{attack.name}: p99 of /healthz", p99, f"<= {P99_MS:.0f}", p99 <= P99_MS, words, " ms")
    yield Row(f"{attack.name}: until full service", again, f"<= {SERVICE_S:.0f}", again <= SERVICE_S, "", " s")
    bound = attack.growth / MIB
    yield Row(f"{attack.name}: memory", growth / MIB, f"<= {bound:.0f}", growth <= attack.growth, "peak growth", " MiB")


async def _attack(port: int, attack: Attack) -> None:
    for _, writer in await attack.run(port, LASTING_S):
        writer.transport.abort()
    await asyncio.sleep(0)


def table(folder: Path, repetitions: int, only: Sequence[str] = ()) -> Iterator[Row]:
    """The rows."""
    for attack in rows():
        if not only or attack.name in only:
            yield from _figures(folder, attack)


def main() -> None:
    """The table alone, or some of its rows."""
    from tests.bench.measure import show

    with tempfile.TemporaryDirectory(prefix="pump-bench-") as folder:
        show("attacks", table(Path(folder), 1, sys.argv[1:]))


if __name__ == "__main__":
    main()
