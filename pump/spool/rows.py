"""Many rows in one statement, by statements of few sizes that keep little.

SQLite keeps what a compiled statement was last given, and Python keeps the compiled statements. A text for each number
of rows, each of them with what its largest batch held, came to 17 MiB and went on growing: so the numbers are powers
of two, and what one statement is given at a time is bounded.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, TypeVar

T = TypeVar("T")

LARGEST: Final = 512
"""Rows of a statement at the most."""
BYTES: Final = 128 << 10
"""Bytes that a statement of several rows is given at the most."""
_VALUE: Final = 16
"""Bytes of a value that has no length, and around one that has."""
_SIZED: Final = (str, bytes)


def insert_all(db: sqlite3.Connection, head: str, rows: Sequence[Sequence[object]], tail: str = "") -> None:
    """Insert the rows, several a statement; `head` ends with VALUES, `tail` follows the values."""
    for part in bounded_parts(rows):
        db.execute(multi(head, len(part[0]), len(part)) + tail, [value for row in part for value in row])


def parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Powers of two, the largest first: ten statements serve every number, so all stay compiled.

    For rows of short values.
    """
    start, size = 0, LARGEST
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        yield rows[start : start + size]
        start += size


def filled_parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """As `parts` but fewer: a part may repeat its last row, up to an eighth more; for INSERT OR IGNORE.

    A row that comes again costs less than the statement that it saves, which waits for the interpreter.
    """
    start = 0
    while start < len(rows):
        left = min(len(rows) - start, LARGEST)
        size = 1 << (left - 1).bit_length()
        if size - left > left // 8:
            size //= 2
        part = rows[start : start + size]
        yield [*part, *[part[-1]] * (size - len(part))]
        start += size


def bounded_parts(rows: Sequence[Sequence[object]]) -> Iterator[Sequence[Sequence[object]]]:
    """As `parts`, none of several rows with more than `BYTES`."""
    for part in parts(rows):
        sizes = [_size(row) for row in part]
        start = 0
        while start < len(part):
            size = len(part) - start
            size = 1 << (size.bit_length() - 1)
            while size > 1 and sum(sizes[start : start + size]) > BYTES:
                size //= 2
            yield part[start : start + size]
            start += size


def _size(row: Sequence[object]) -> int:
    return _VALUE * len(row) + sum([len(value) for value in row if isinstance(value, _SIZED)])


@cache
def multi(head: str, columns: int, rows: int) -> str:
    """The statement's text for so many rows."""
    row = "(" + ",".join("?" * columns) + ")"
    return f"{head} {','.join([row] * rows)}"
