"""A spool of every kind of row, and ways to damage the files that it lies in."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pump.core.clock import Clock
from pump.spool import Cursor, Repaired, Spool, SpoolSettings
from pump.spool.connection import PAGE_SIZE
from pump.telemetry.metrics import Metrics
from pump.testing.records import rows

EVENTS: Final = 240
SINKS: Final = {"out": 200, "hook": 150, "Ω": 17}
FILES: Final = ("spool.db", "spool.db-wal", "spool.high", "spool.schema", "spool.reserve")


@dataclass
class Content:
    """All that a spool holds."""

    events: dict[int, bytes] = field(default_factory=dict)
    cursors: dict[str, Cursor | None] = field(default_factory=dict)
    state: dict[tuple[str, str], Any] = field(default_factory=dict)
    letters: list[tuple[Any, ...]] = field(default_factory=list)
    quarantined: int = 0
    head: int = 0


async def opened(folder: Path) -> Spool:
    """The spool in the folder, as a start finds it."""
    return await Spool.open(folder, SpoolSettings(), clock=Clock(), metrics=Metrics())


async def written(folder: Path, crashed: Path) -> Content:
    """Fill a spool; `crashed` is how it would be found after a kill, with half of it in the WAL."""
    clock = Clock()
    spool = await opened(folder)
    for first in range(1, EVENTS, 20):
        made = rows(range(first, first + 20), clock, size=500)
        made[3].quarantined = True
        state = {f"device/{first + n}": {"name": f"Gate {n}", "turns": first} for n in range(4)}
        await spool.append(made, source="gate", state=state)
        if first == 121:
            await spool._writer.checkpoint("TRUNCATE")
    for sink, seq in SINKS.items():
        spool.set_cursor(sink, seq, {"inode": 4711, "offset": seq * 1000})
        records = await spool.read(seq - 5, limit=3)
        await spool.dead_letters.add(sink, records, "HTTP 400", 1)
    spool.remember("pump", "run", {"clean": True})
    await spool.flush()
    content = await held(spool)
    shutil.copytree(folder, crashed)
    await spool.close()
    return content


async def held(spool: Spool) -> Content:
    """What it holds, by its readers."""
    found = Content(head=spool.head, quarantined=spool.quarantined("gate"))
    after = 0
    while batch := await spool.read(after):
        found.events |= {record.seq: record.body for record in batch}
        after = batch[-1].seq
    found.cursors = {sink: spool.cursor(sink) for sink in SINKS}
    found.state = {(source, key): value for source in ("gate", "pump") for key, value in spool.state(source).items()}
    found.letters = [
        (one.id, one.sink, one.record, one.reason, one.attempts) for one in await spool.dead_letters.read()
    ]
    return found


class Damager:
    """Draws what is damaged, and how."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def flip(self, folder: Path) -> str:
        """Change one byte of one of the files; the database's are the most."""
        path = folder / self.rng.choice((*("spool.db",) * 6, *("spool.db-wal",) * 3, *FILES))
        size = path.stat().st_size
        place = self.rng.randrange(size if path.name != "spool.reserve" else 4096)
        with path.open("r+b") as file:
            file.seek(place)
            old = file.read(1)[0]
            file.seek(place)
            file.write(bytes([old ^ self.rng.randrange(1, 256)]))
        return f"{path.name} at {place}, page {place // PAGE_SIZE + 1}"

    def overwrite(self, folder: Path) -> str:
        """Write over a page, or a piece of one: what a disk does that mixes up its sectors."""
        path = folder / self.rng.choice(("spool.db", "spool.db", "spool.db-wal"))
        pages = max(1, path.stat().st_size // PAGE_SIZE)
        page, size = self.rng.randrange(pages), self.rng.choice((512, 4096, PAGE_SIZE))
        place = page * PAGE_SIZE + self.rng.randrange(0, PAGE_SIZE - size + 1, 512)
        with path.open("r+b") as file:
            file.seek(place)
            file.write(self.rng.choice((bytes(size), self.rng.randbytes(size))))
        return f"{path.name}: {size} bytes at {place}, page {page + 1}"

    def truncate(self, folder: Path) -> str:
        """Cut a file."""
        path = folder / self.rng.choice(("spool.db", "spool.db-wal", *FILES))
        size = self.rng.choice((0, self.rng.randrange(max(1, path.stat().st_size))))
        with path.open("r+b") as file:
            file.truncate(size)
        return f"{path.name} cut to {size}"


def unreported(before: Content, after: Content, repaired: Repaired | None, damaged: int) -> list[str]:
    """The things that are lost, or false, and that nobody was informed of."""
    found = []
    if wrong := [seq for seq, body in after.events.items() if before.events.get(seq) != body]:
        found.append(f"events {wrong} are not what was stored")
    lost = len(before.events.keys() - after.events.keys())
    said = damaged + (repaired.lost if repaired else 0)
    if lost and said < lost:
        found.append(f"{lost} events lost, {said} reported")
    for sink, cursor in after.cursors.items():
        was = before.cursors[sink]
        assert was is not None
        if cursor != was and repaired is None:
            found.append(f"the cursor of {sink} is {cursor}, and nobody was informed")
        if cursor is not None and cursor.seq > was.seq:
            found.append(f"the cursor of {sink} went forward: {cursor}")
    for key in before.state.keys() - after.state.keys():
        if repaired is None:
            found.append(f"{key} is gone")
    known = {("pump", "repaired"), ("pump", "time"), ("pump", "cursors-lost"), ("pump", "marks")}
    for key, value in after.state.items():
        if (
            key not in known
            and before.state.get(key) != value
            and not key[1].startswith("cursor/")
            and repaired is None
        ):
            found.append(f"{key} is {value}")
    if repaired is None and after.letters != before.letters:
        found.append("dead letters are others")
    if [letter for letter in after.letters if letter[1:] not in [one[1:] for one in before.letters]]:
        found.append("a dead letter is not what was stored")
    if repaired is None and damaged == 0 and after.quarantined != before.quarantined:
        found.append("the quarantine is another")
    if after.head < before.head:
        found.append(f"numbers are given again: {after.head}")
    return found
