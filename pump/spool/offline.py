"""Reading a spool from outside the daemon: `pump events`, `pump dead`, `pump devices`.

Reads only, whether or not a daemon runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pump.core.record import Record
from pump.spool.connection import connect_reading
from pump.spool.dead_letters import DeadLetter
from pump.spool.dead_letters import letters as letters_in
from pump.spool.gaps.ledger import Gap, GapState
from pump.spool.gaps.ledger import read as gaps_in
from pump.spool.reader import read

_BATCH = 500
_BYTES = 4 << 20


def events(folder: Path, *, since_ms: int | None = None, after: int | None = None) -> Iterator[Record]:
    """The stored events in order: those above the number `after`, those that arrived at or after `since_ms`.

    Ends at the newest; call again with the last number to follow. Raises FileNotFoundError where no spool is,
    sqlite3.DatabaseError where it cannot be read.
    """
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        position = after or 0
        while True:
            page = read(db, position, _BATCH, _BYTES)
            for record in page.records:
                if since_ms is None or record.recorded >= since_ms:
                    yield record
            if page.through == position:
                return
            position = page.through


def letters(folder: Path, *, sink: str | None = None, ids: Sequence[int] | None = None) -> Iterator[DeadLetter]:
    """The dead letters of `sink` (None: of all) and of `ids` (None: any), by number. Raises as `events` does."""
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        after = 0
        while found := letters_in(db, sink=sink, ids=ids, after=after):
            yield from found
            after = found[-1].id


def gaps(folder: Path, *, source: str | None = None, state: GapState | None = None) -> Iterator[Gap]:
    """The gap ledger's records of `source` (None: of all) in `state` (None: in any), by number. Raises as `events`."""
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'gaps'").fetchone() is None:
            return  # an older pump's file, which its next start changes
        after = 0
        while found := gaps_in(db, source=source, state=state, after=after):
            yield from found
            after = found[-1].id


def newest(folder: Path) -> int:
    """The highest number that is stored, 0 where none is. Raises as `events` does."""
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        return int(db.execute("SELECT coalesce(max(last), 0) FROM blocks").fetchone()[0])


def state(folder: Path, prefix: str = "") -> list[tuple[str, str, Any]]:
    """(source, key, value) of the sources' stored state, for the keys that begin with `prefix`, sorted.

    Raises as `events` does.
    """
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    still = not path.with_name("spool.db-wal").exists()  # a daemon that runs has one
    with closing(connect_reading(path, still=still)) as db:
        db.text_factory = str
        rows = db.execute("SELECT source, key, value FROM state ORDER BY source, key").fetchall()
    return [(source, key, json.loads(value)) for source, key, value in rows if key.startswith(prefix)]
