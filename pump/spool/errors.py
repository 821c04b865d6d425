"""The meaning of the database's errors for the spool: one table."""

from __future__ import annotations

import errno
import sqlite3
from enum import Enum

from pump.spool.types import Receipt


class Fatal(Exception):
    """The spool can no longer be believed: the process must end with 1, and a new one look at the disk afresh."""


class NewerSpool(ValueError):
    """The file is of a newer pump: nothing was changed, and no other start of this one can open it."""


class RowRefused(Exception):
    """Some rows of a put cannot be stored whatever happens; all its others are. `rows` are their places in the put.

    `others` is what became of those; the put's state is not stored.
    """

    def __init__(self, rows: list[int], reason: str, others: Receipt) -> None:
        super().__init__(reason)
        self.rows = rows
        self.reason = reason
        self.others = others


class Verdict(Enum):
    """The kinds of errors, by what is to be done about them."""

    FULL = "the disk is full"
    TROUBLE = "the disk does not take writes"
    FATAL = "an fsync failed"
    DAMAGED = "the spool's file is damaged"
    ROW = "a row cannot be stored"


# By the beginning of SQLite's extended result name; the first that fits counts.
_VERDICTS = (
    ("SQLITE_FULL", Verdict.FULL),
    # What the kernel said is not on disk is not believed, even if a second fsync says otherwise.
    ("SQLITE_IOERR_FSYNC", Verdict.FATAL),
    ("SQLITE_IOERR_DIR_FSYNC", Verdict.FATAL),
    ("SQLITE_IOERR_SHMSIZE", Verdict.FULL),
    ("SQLITE_CORRUPT", Verdict.DAMAGED),
    ("SQLITE_NOTADB", Verdict.DAMAGED),
    ("SQLITE_IOERR_SHORT_READ", Verdict.DAMAGED),
    ("SQLITE_IOERR", Verdict.TROUBLE),
    ("SQLITE_BUSY", Verdict.TROUBLE),
    ("SQLITE_LOCKED", Verdict.TROUBLE),
    ("SQLITE_NOMEM", Verdict.TROUBLE),
    ("SQLITE_CANTOPEN", Verdict.TROUBLE),
    ("SQLITE_READONLY", Verdict.TROUBLE),
)

_UNCODED = ("malformed", "Could not decode to UTF-8")
"""Words of damage that sqlite3 raises without a code."""


class RowDamaged(sqlite3.DatabaseError):
    """A row holds what this code never wrote: the file is damaged, though SQLite sees nothing wrong."""

    sqlite_errorname = "SQLITE_CORRUPT"


def verdict(error: Exception) -> Verdict:
    """The verdict on what a statement raised; what no row names is the row's own fault."""
    name = getattr(error, "sqlite_errorname", None) or ""
    for beginning, found in _VERDICTS:
        if name.startswith(beginning):
            return found
    if isinstance(error, sqlite3.DatabaseError) and any(words in str(error) for words in _UNCODED):
        return Verdict.DAMAGED
    return Verdict.ROW


_OPENING = {
    Verdict.FULL: "make room: a damaged spool is written anew beside itself, which takes as much again",
    Verdict.TROUBLE: "look at the disk, at its rights, and at who else has the spool's files open",
}


def not_opened(error: Exception) -> str:
    """The words for a spool that could not be opened, with what the operator can do where it is not in them."""
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    advice = _OPENING.get(Verdict.FULL if full else verdict(error))
    return f"{error}; {advice}" if advice else str(error)
