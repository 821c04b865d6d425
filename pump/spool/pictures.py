"""Finding a picture by the id that its event gave it: for people who look, not on any event's path."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from pump.spool.connection import connect_reading
from pump.spool.reader import read
from pump.spool.tables.fetches import result_id


def find(folder: Path, medium: str) -> Mapping[str, Any] | None:
    """The entry of `data.media` that says where the medium lies, its event's own or that of `media.stored`.

    None where no stored event has it, or none says where it is. Opens the spool in `folder` for itself: the keys lie by
    time, so that this looks through them all (0.2 s for a million). Raises sqlite3.Error.
    """
    event = medium.rpartition("/")[0]
    with closing(connect_reading(folder / "spool.db")) as db:
        for lead, source, seq in db.execute("SELECT lead, source, seq FROM keys WHERE id = ?", (event,)).fetchall():
            result = db.execute(
                "SELECT seq FROM keys WHERE lead = ? AND source = ? AND id = ?",
                (lead, source.decode() if isinstance(source, bytes) else source, result_id(medium, stored=True)),
            ).fetchone()
            for number in (seq, *(result or ())):
                entry = _entry(db, number, medium)
                if entry is not None and "path" in entry:
                    return entry
    return None


def _entry(db: sqlite3.Connection, seq: int, medium: str) -> Mapping[str, Any] | None:
    for record in read(db, seq - 1, 1, 1).records:
        if record.seq == seq:
            for entry in orjson.loads(record.body).get("data", {}).get("media", ()):
                if entry.get("id") == medium:
                    return dict(entry)
    return None
