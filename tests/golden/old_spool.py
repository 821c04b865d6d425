"""The golden spool: a folder that the code before the first move wrote, packed, and what it holds.

Most of it comes of a daemon that ran with every kind of source and sink before the vendors' simulators; the rest was
put beside it, so that each kind of state is there. `python -m tests.golden.write old-spool` makes it anew, which is
right only where the spool's form changes on purpose: the point of the file is that it is old.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import sqlite3
import struct
import tarfile
import tempfile
import zlib
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.golden import running, subjects
from tests.golden.vendors import DATA

PACKED: Final = DATA / "old-spool.tar.gz"
HELD: Final = DATA / "old-spool.json.gz"
LOST: Final = 5
"""By so much the note beside the spool is above its newest event: the start after it keeps a repair's note."""
_KEPT: Final = ("spool.db", "spool.high", "spool.schema", "listened-*")
_PLAYED: Final = 3.0
_MATTERS: Final = ("intrusion-recorder", "io", "cid-instant-alarm", "temperature")


def unpack(folder: Path, packed: Path = PACKED, holds: bytes | None = None) -> dict[str, Any]:
    """Put a copy of the spool into the folder; what it holds."""
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    held: dict[str, Any] = json.loads(gzip.decompress(HELD.read_bytes()) if holds is None else holds)
    return held


def written_at(held: dict[str, Any]) -> datetime:
    """When its newest event arrived, and a minute: retention keeps all of it then."""
    return datetime.fromisoformat(held["written"])


async def opened(folder: Path, now: datetime) -> tuple[subjects.Spool, subjects.ManualClock]:
    """The spool as a start at that moment finds it; to be closed."""
    clock = subjects.ManualClock(now)
    settings = subjects.SpoolSettings()
    return await subjects.Spool.open(folder, settings, clock=clock, metrics=subjects.Metrics()), clock


def intake(spool: subjects.Spool, name: str, clock: subjects.Clock) -> subjects.Intake:
    """The intake of a source over the spool."""
    return subjects.Intake(
        name, spool=spool, site=subjects.SITE, clock=clock, metrics=subjects.Metrics(), health=subjects.Health(clock)
    )


async def holding(spool: subjects.Spool, sources: list[str], sinks: list[str]) -> dict[str, Any]:
    """What the spool's readers give, as JSON."""
    records = await spool.read(0, limit=100_000, max_bytes=1 << 30)
    cursors = {sink: spool.cursor(sink) for sink in sinks}
    return {
        "head": spool.head,
        "floor": spool.floor,
        "events": [
            [one.seq, one.source, one.type, one.severity, one.recorded, hashlib.sha256(one.body).hexdigest()[:16]]
            for one in records
        ],
        "cursors": {sink: None if one is None else [one.seq, one.state] for sink, one in cursors.items()},
        "state": {source: spool.state(source) for source in sources},
        "letters": [
            [one.id, one.sink, one.record.seq, one.record.type, one.reason, one.attempts, one.at]
            for one in await spool.dead_letters.read()
        ],
        "dead": dict(spool.dead_letters.counts),
        "limited": {source: spool.quarantined(source) for source in sources},
    }


# --- writing it -------------------------------------------------------------------------------------------------------


def write() -> None:
    """Run the daemon, add the rest, pack the folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(_write(folder))


async def _write(folder: Path) -> None:
    async with running.daemon(folder, play=True) as (daemon, _, _):
        await asyncio.sleep(_PLAYED)
        now = daemon.clock.now() + timedelta(minutes=1)
    state = folder / "state"
    sources, sinks = await _add(state, now)
    _raise_high(state / "spool.high")
    spool, _ = await opened(state, now)
    held = {"written": now.isoformat(), **await holding(spool, sources, sinks)}
    assert spool.repaired is not None
    held["repaired"] = [spool.repaired.reason, spool.repaired.lost, spool.repaired.since]
    await spool.close()
    HELD.write_bytes(gzip.compress(json.dumps(held).encode(), mtime=0))
    PACKED.write_bytes(packed(state))


async def _add(folder: Path, now: datetime) -> tuple[list[str], list[str]]:
    """Samples of every vendor with their state, a device table, cursors, dead letters, a sink that is shut off."""
    spool, clock = await opened(folder, now)
    try:
        for vendor in subjects.VENDORS:
            samples = subjects.samples(vendor)
            with tempfile.TemporaryDirectory() as pictures:
                puts = await subjects.read(vendor, samples.values(), Path(pictures), apart=True)
            into = intake(spool, vendor.replace("_", "-"), clock)
            for name, put in zip(samples, puts, strict=True):
                state = put.state if vendor != "hik_camera" or name in _MATTERS else {}
                await into.put(*put.events, state=state)
            await into.unparsed(b"\0no message", "it is no message")
        gate = intake(spool, "gate", clock)
        await subjects.hear(gate, clock, "10000/1001", 30.0, {"name": "North gate", "version": "1.2"})
        await gate.gap(now - timedelta(hours=1), now, "the daemon was down", 3)
        arc = intake(spool, "arc", clock)
        inventory = subjects.inventory.to_state(subjects.DEVICES)
        await arc.put(state={"inventory": inventory, **subjects.locked_out(clock)})
        records = await spool.read(10, limit=6)
        await subjects.add_dead_letters(spool, "hook", records[:4], "the receiver answers 400")
        await subjects.add_dead_letters(spool, "broker", records[4:], "the event is too large")
        await subjects.shut_off(spool, "hook", "the receiver answered 410", clock)
        spool.set_cursor("elsewhere", 17, {"offset": 4711, "name": "Ω"})
        spool.set_cursor("plain", 1, None)
        await spool.flush()
    finally:
        await spool.close()
    return _names(folder)


def _names(folder: Path) -> tuple[list[str], list[str]]:
    """Whose state and whose cursors the file has."""
    with sqlite3.connect(folder / "spool.db") as db:
        sources = [name for (name,) in db.execute("SELECT DISTINCT source FROM state ORDER BY source")]
        sinks = [name for (name,) in db.execute("SELECT sink FROM cursors ORDER BY sink")]
    return sources, sinks


def _raise_high(path: Path) -> None:
    magic, seq = struct.unpack("<8sQ", path.read_bytes()[:16])
    head = struct.pack("<8sQ", magic, seq + LOST)
    path.write_bytes(head + struct.pack("<I", zlib.crc32(head)))


def packed(folder: Path) -> bytes:
    """The spool's own files, in one."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for pattern in _KEPT:
            for path in sorted(folder.glob(pattern)):
                entry = tarfile.TarInfo(path.name)
                entry.size = path.stat().st_size
                with suppress(FileNotFoundError):
                    archive.addfile(entry, io.BytesIO(path.read_bytes()))
    return gzip.compress(raw.getvalue(), mtime=0)
