"""Spools that landed versions wrote, each with a row of every table that the version has: packed, and what they hold.

`python -m tests.golden.write landed-spool` writes that of the present version. One that has landed is never made anew:
who adds a version writes its file, and today's code opens all of them.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pump.core.event import Sighting
from pump.spool import Along, GapChange, GapOpened, Link, Row, schema
from tests.golden import old_spool, subjects
from tests.golden.vendors import DATA

_SOURCES: Final = ("teams", "gate")
_SINKS: Final = ("out", "hook")
_SIGHTINGS: Final = (Sighting(1_790_000_000, "door/1", "queue"), Sighting(1_790_000_000, "door/1", "log"))


def versions() -> list[int]:
    """Those of which there is a file."""
    return sorted(int(path.name.split("-")[2].split(".")[0]) for path in DATA.glob("landed-spool-*.tar.gz"))


def unpack(version: int, folder: Path) -> dict[str, Any]:
    """Put a copy into the folder; what it holds."""
    held = DATA / f"landed-spool-{version}.json"
    return old_spool.unpack(folder, DATA / f"landed-spool-{version}.tar.gz", held.read_bytes())


async def holding(spool: subjects.Spool) -> dict[str, Any]:
    """What the spool's readers give, as JSON."""
    fetches = [asdict(one) | {"facts": one.facts.decode()} for one in spool.fetches.take()]
    spool.fetches.again()
    found = {
        **await old_spool.holding(spool, list(_SOURCES), list(_SINKS)),
        "strangers": spool.strangers,
        "fetches": fetches,
        "gaps": [asdict(gap) for gap in await spool.gaps.read()],
        "sightings": [asdict(one) for one in await spool.gaps.seen("teams", _SIGHTINGS)],
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def write() -> None:
    """The present version's. FileExistsError where it has landed."""
    packed = DATA / f"landed-spool-{schema.VERSION}.tar.gz"
    if packed.exists():
        raise FileExistsError(f"{packed} is what that version wrote when it landed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        held = asyncio.run(_write(folder))
        with closing(sqlite3.connect(folder / "spool.db")) as db:
            tables = ("blocks", *schema.COPIED)
            empty = [table for table in tables if not db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]]
            assert not empty, f"no row of {', '.join(empty)}"
        packed.write_bytes(old_spool.packed(folder))
    (DATA / f"landed-spool-{schema.VERSION}.json").write_text(json.dumps(held, indent=1) + "\n")


async def _write(folder: Path) -> dict[str, Any]:
    spool, _ = await old_spool.opened(folder, subjects.ARRIVED)
    try:
        rows = list(_rows(subjects.ARRIVED))
        await spool.append(rows[:8], source="teams", state={"queue/alarm": {"mark": "Ω", "codes": [1, 2]}})
        await spool.append(rows[8:], source="gate", state={"device/10000/1001": {"name": "North gate"}})
        (gap,) = await spool.gaps.read(state="open")
        filling = replace(rows[0], id="filling", fills=gap.id)
        change = GapChange(gap.id, rows[0].recorded, notes="page 2")
        await spool.append([filling], source="teams", along=Along(changes=[change]))
        await subjects.add_dead_letters(spool, "hook", (await spool.read(0))[:2], "the receiver answers 400")
        spool.set_cursor("out", 5, {"offset": 4711, "name": "Ω"})
        spool.set_cursor("hook", 2, None)
        await spool.flush()
        return {"written": subjects.ARRIVED.isoformat(), **await holding(spool)}
    finally:
        await spool.close()


def _rows(arrived: datetime) -> Iterator[Row]:
    now = round(arrived.timestamp() * 1000)
    for number in range(12):
        source = "teams" if number < 8 else "gate"
        stamp = now - 1000
        more: dict[str, Any] = {}
        match number:
            case 1:
                more = {"links": [Link("id-1/0", "https://a.example/x.jpg", now + 3_600_000, {"kind": "picture"})]}
            case 2:
                more = {"gap": GapOpened(now - 60_000, now, "the queue was lost", now, 7)}
            case 3:
                more = {"sightings": _SIGHTINGS[:1]}
            case 4:
                more = {"quarantined": True}
            case 5:
                stamp = 0
            case 10 | 11:
                more = {"stranger": True}
        body = json.dumps({"id": f"id-{number}", "text": "Ω" * number}).encode()
        yield Row(source, "vehicle.passed", number % 3, now + number, stamp, f"id-{number}", body, **more)
