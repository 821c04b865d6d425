"""Events in an SQLite file of its own, for any tool: typed columns, the whole JSON, each event exactly once.

A batch is one statement and one transaction, on disk before the cursor moves. What comes again writes over itself.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog
from pydantic import Field

from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.core.record import Batch, State
from pump.core.settings import Duration, SinkSettings
from pump.core.text import words_of
from pump.sink import Damage, Sink
from pump.sinks.common.thread import SinkThread
from pump.sinks.sqlite import repair
from pump.sinks.sqlite import table as _table
from pump.spool.connection import Connection
from pump.spool.rows import bounded_parts

log = structlog.get_logger()

_SLICE: Final = 50
"""Events decoded at a time; between slices the loop serves others."""
_REMOVED: Final = 500
"""Rows removed at a time: a large DELETE takes seconds and as large a WAL (docs/measurements.md)."""
_FORGET: Final = (
    "DELETE FROM events WHERE number IN"
    " (SELECT number FROM events WHERE recorded >= ? AND recorded < ? ORDER BY recorded LIMIT ?)"
)
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # as text without an offset
_CALENDAR: Final = (-62_135_596_800, 253_402_300_799)
"""The years 1 to 9999, in seconds since 1970."""
_LOOK: Final = 60.0
"""Seconds between two looks for what is older than `keep`."""
_MODE: Final = 0o640
"""Of the archive: read by its group at the most."""
_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",  # the spool forgets what we say we have
    "busy_timeout=5000",  # others may read, and even write
    "temp_store=MEMORY",
    "cache_size=-8192",
)
_WRONG: Final = {"SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH"}


class ArchiveDamaged(Exception):
    """The archive's file is damaged: the sink must be opened anew, which repairs it."""


class SqliteSettings(SinkSettings):
    """`[sinks.NAME]` with `type = "sqlite"`."""

    path: str = Field(min_length=1, description="the file; made where it is missing")
    keep: Duration | None = Field(default=None, gt=0, description="how long events stay in it; default: for ever")

    def identity(self) -> str | None:
        """The file: one sink, one archive."""
        return os.path.realpath(self.path)


class SqliteSink(Sink[SqliteSettings]):
    """Upserts into the table `events`."""

    Settings = SqliteSettings

    def __init__(self, name: str, settings: SqliteSettings, *, state: State | None, clock: Clock, site: str) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self._db: Connection | None = None
        self._opening = SinkThread(f"sink {name} opening")
        self._looked: float | None = None
        clock.ages.look()  # a jump is known from now on

    async def __aenter__(self) -> Self:
        """Open the file, make its table. Raises Misconfigured (not an archive, not ours to write), Unavailable."""
        path = Path(self.settings.path)
        try:
            # Not aiosqlite's, which outlives a failed opening and may then speak to a loop that has ended; and nobody
            # else's, for what it does may hang, and takes as long as a damaged archive is large.
            self.damage = await self._opening.run(lambda: self._look(path))
        except sqlite3.Error as error:
            raise self._translated(error) from error
        except OSError as error:
            raise Unavailable(f"{path} cannot be used: {words_of(error)}") from error
        finally:
            self._opening.close()
        db = Connection(lambda: sqlite3.connect(path, isolation_level=None, cached_statements=64), f"sink {self.name}")
        try:
            await db
            for pragma in _PRAGMAS:
                await db.execute_fetchall(f"PRAGMA {pragma}")
            await self._prepare(db, path)
        except BaseException as error:
            with suppress(ValueError):  # it was never open
                await db.close()
            if isinstance(error, sqlite3.Error):
                if repair.is_damage(error) and repair.is_ours(path, self.state):
                    repair.mark(path)
                    raise ArchiveDamaged(f"{path} is damaged: {error}") from error
                raise self._translated(error) from error
            raise
        self._db = db
        self.state = repair.remember(path, await self._newest(db))
        return self

    def _look(self, path: Path) -> Damage | None:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would never be open
            raise Misconfigured(f"{path} is no regular file: name another file as path")
        _close_to_others(path)
        stamp = self.clock.now().strftime("%Y%m%dT%H%M%SZ")
        found = repair.look(path, self.state, stamp)
        sqlite3.connect(path).close()
        if found is None:
            found = repair.cut(path, self.state)
        return None if found is None else Damage(found.reason, found.lost, found.carried, found.aside)

    @staticmethod
    async def _newest(db: Connection) -> int:
        [[number]] = await db.execute_fetchall("SELECT coalesce(max(number), 0) FROM events")
        return int(number)

    async def _prepare(self, db: Connection, path: Path) -> None:
        [[version]] = await db.execute_fetchall("PRAGMA user_version")
        [[owner]] = await db.execute_fetchall("PRAGMA application_id")
        [[tables]] = await db.execute_fetchall("SELECT count(*) FROM sqlite_schema")
        known = repair.is_known(path, self.state)
        if tables and owner != _table.APPLICATION_ID and not known:
            raise Misconfigured(f"{path} is a database of something else: name another file as path")
        if version > _table.VERSION and not known:
            raise Misconfigured(f"{path} was made by a newer pump: name another file as path, or update this one")
        await db.execute_fetchall("BEGIN IMMEDIATE")
        for statement in _table.create():
            await db.execute_fetchall(statement)
        await db.execute_fetchall("COMMIT")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; a statement that is on its way ends first."""
        if self._db is not None:
            db, self._db = self._db, None
            await db.close()

    async def send(self, batch: Batch) -> State | None:
        """Store the batch; the state knows the file and its newest number.

        Raises Unavailable (disk full, locked by another), Misconfigured (no longer ours to write), ArchiveDamaged: the
        next opening makes it anew.
        """
        rows = []
        for place, record in enumerate(batch):
            if place and place % _SLICE == 0:
                await asyncio.sleep(0)
            rows.append(_table.row(record))
        db = self._db
        assert db is not None  # entered
        sent = 0
        try:
            for part in bounded_parts(rows):
                await db.execute_fetchall(_upsert(len(part)), [value for row in part for value in row])
                sent += len(part)
            await self._forget(db)
            assert self.state is not None  # entered
            self.state = {**self.state, "number": await self._newest(db)}
        except sqlite3.Error as error:
            if repair.is_damage(error):
                repair.mark(Path(self.settings.path))
                raise ArchiveDamaged(f"{self.settings.path} is damaged: {error}") from error
            raise self._translated(error, [record.seq for record in batch[:sent]]) from error
        return self.state

    async def _forget(self, db: Connection) -> None:
        """Remove a slice of what is older than `keep`, every so often, and more where more is due."""
        keep, now = self.settings.keep, self.clock.monotonic()
        if keep is None or (self._looked is not None and now - self._looked < _LOOK):
            return
        for begin, end in self.clock.ages.old(keep):
            async with db.execute(_FORGET, (_stamp(begin + 999), _stamp(end), _REMOVED)) as cursor:
                if cursor.rowcount >= _REMOVED:
                    return
        self._looked = now

    def _translated(self, error: sqlite3.Error, done: Sequence[int] = ()) -> Exception:
        name = getattr(error, "sqlite_errorname", "")
        if name in _WRONG:
            return Misconfigured(f"{self.settings.path} cannot be used: {error}")
        return Unavailable(f"{self.settings.path} cannot be written: {error}", done=done)


def _stamp(wall_ms: int) -> str:
    """As `recorded` begins; milliseconds since 1970, cut down to what the calendar holds and to the second."""
    seconds = min(max(wall_ms // 1000, _CALENDAR[0]), _CALENDAR[1])
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def _close_to_others(path: Path) -> None:
    """Plates are nobody's business. What is not ours to change, or no file, SQLite names."""
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
    for end in ("", "-wal", "-shm"):
        with suppress(OSError):
            file = path.with_name(path.name + end)
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & ~_MODE:
                file.chmod(mode & _MODE)


_upsert = cache(_table.upsert)

SINK = SqliteSink
