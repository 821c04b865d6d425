"""A SQLite connection with a thread of its own, on which whole pieces of work run in one hop."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import aiosqlite

T = TypeVar("T")
R = TypeVar("R")

PAGE_SIZE = 16384
"""Bytes: half again the rate of 4 KiB pages for events of 1 KiB (docs/measurements.md)."""
CACHED_STATEMENTS = 256
"""Multi-row statements exist once for each power of two of rows; none of them should be compiled twice."""


class Connection(aiosqlite.Connection):
    """aiosqlite's thread and life cycle, and `run`: a group commit is one hop to the thread, not one a statement.

    The thread keeps no process from ending: nothing was acknowledged that it had not committed then.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], name: str) -> None:
        """`connect` is called in the thread; `name` is the thread's, for stacks."""
        super().__init__(connect, iter_chunk_size=64)
        serve = self._thread.run

        def run() -> None:
            with suppress(RuntimeError):  # the loop that asked has ended: nobody waits for the answer
                serve()

        self._thread.run = run  # type: ignore[method-assign]
        self._thread.name = name
        self._thread.daemon = True

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, called with the connection in its thread; raises what it raises."""
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]  # aiosqlite's own hook
        return result

    async def run_then(self, work: Callable[[sqlite3.Connection], T], then: Callable[[T], R]) -> R:
        """`run`, and what `then`, called on the loop with the result, makes of it: also where nobody waits any more.

        It is called as soon as the loop learns of the result, a turn of the loop before this returns.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()

        def finish(result: T) -> None:
            try:
                made = then(result)
            except BaseException as error:  # noqa: BLE001  # it is for whoever waits
                fail(error)
            else:
                if not done.done():
                    done.set_result(made)

        def fail(error: BaseException) -> None:
            if not done.done():
                done.set_exception(error)

        def in_thread() -> None:
            try:
                result = work(self._conn)
            except BaseException as error:  # noqa: BLE001  # it is for whoever waits
                loop.call_soon_threadsafe(fail, error)
            else:
                loop.call_soon_threadsafe(finish, result)

        self._tx.put_nowait((None, in_thread))  # without a future of aiosqlite's own: it would cost another turn
        return await done


def make_private(path: Path) -> None:
    """Make the file where it is missing, for this user alone: SQLite would let everybody read it.

    The files that SQLite puts beside a database have its mode.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def read_ahead(path: Path) -> None:
    """Read the file in its own order: a check of all of it, which follows the trees, would wait for the disk at each
    page. What cannot be read is left for the check to meet and name.
    """
    with suppress(OSError), path.open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


async def writing(path: Path) -> Connection:
    """Open the writer's connection: WAL, every commit fsynced, checkpoints only where we say so."""

    def connect() -> sqlite3.Connection:
        make_private(path)
        db = sqlite3.connect(path, isolation_level=None, cached_statements=CACHED_STATEMENTS, check_same_thread=False)
        try:
            for pragma in (
                f"page_size={PAGE_SIZE}",
                "journal_mode=WAL",
                "synchronous=FULL",
                "wal_autocheckpoint=0",
                "cache_size=-8192",
                "secure_delete=OFF",  # Debian's default writes zeros over all that pruning removes
                "temp_store=MEMORY",
                "busy_timeout=5000",
            ):
                db.execute(f"PRAGMA {pragma}").close()
        except BaseException:
            db.close()
            raise
        return db

    connection = Connection(connect, "spool writer")
    await connection
    return connection


def connect_reading(path: Path, *, still: bool = False) -> sqlite3.Connection:
    """A connection that cannot change anything; texts come as bytes, so that bodies are never decoded.

    `still`: nobody has the file open, for a short look that leaves not even SQLite's own files beside it.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if still else ''}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    db.text_factory = bytes
    try:
        db.execute("PRAGMA query_only=1").close()
        db.execute("PRAGMA cache_size=-2048").close()
        db.execute("PRAGMA busy_timeout=5000").close()
    except BaseException:
        db.close()
        raise
    return db


async def reading(path: Path) -> Connection:
    """Open `connect_reading` with a thread of its own."""
    connection = Connection(lambda: connect_reading(path), "spool reader")
    await connection
    return connection
