"""A block of events as one row: bodies behind one another, beside them what routing needs, each with its checksum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from pump.core.record import Record
from pump.spool.types import checksum

EVENTS = 64
BYTES = 256 << 10
"""Limits of a block: what a damaged one can lose, and what reading one event costs at the most."""

_WIDEST = 1 << 16
"""Numbers that a block may span, those of duplicates between its events among them."""


def cut(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """The records in blocks."""
    start = size = 0
    for place, record in enumerate(records):
        size += len(record.body)
        if place > start and (place - start >= EVENTS or size > BYTES):
            yield records[start:place]
            start, size = place, len(record.body)
    if start < len(records):
        yield records[start:]


def pack(block: Sequence[Record]) -> tuple[bytes, bytes]:
    """A block's two columns, `events` and `bodies`."""
    index = [
        (seq, source, type_, severity, recorded, len(body), checksum(seq, source, type_, severity, recorded, body))
        for seq, source, type_, severity, recorded, body in block
    ]
    return orjson.dumps(index), b"".join([record.body for record in block])


@dataclass(slots=True)
class Unpacked:
    """A block as it was read; `damaged` are the numbers of events whose checksum is wrong."""

    records: list[Record] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)


def unpack(first: object, last: int, index: object, bodies: object) -> Unpacked:
    """The events of a block. What is damaged is named, never returned, and never takes its neighbours along.

    `first` and the two columns may be anything: a flipped byte changes what a column is, too.
    """
    content = bodies if isinstance(bodies, bytes) else b""
    entries = _entries(index)
    found = Unpacked()
    start = 0
    for place, entry in enumerate(entries):
        record = _record(entry, content, start, None)
        if record is None:
            _around(found, entries, place, content, start)
            break
        found.records.append(record)
        start += len(record.body)
    if not entries or None in entries:  # how many there were is not known: all of the block's numbers count
        found.damaged = sorted(_missing(first, last, {record.seq for record in found.records}))
    elif len(found.records) < len(entries):
        found.damaged = _numbers(found.records, entries, first, last)
    return found


def header(index: object) -> tuple[int, int, int] | None:
    """The columns `last`, `first` and `recorded` as the index has them; None where it cannot be read whole."""
    try:
        entries = orjson.loads(index)  # type: ignore[arg-type]  # anything else is no JSON either
        return int(entries[-1][0]), int(entries[0][0]), max(int(entry[4]) for entry in entries)
    except (ValueError, TypeError, IndexError, KeyError):
        return None


def _entries(index: object) -> list[Any]:
    """Those of the index, each by itself where it cannot be read as a whole: None for one that cannot be read."""
    if not isinstance(index, bytes):
        return []
    try:
        entries = orjson.loads(index)
    except ValueError:
        pass
    else:
        return entries if isinstance(entries, list) else []
    return [_piece(b"[" + piece.strip(b"[]") + b"]") for piece in index.split(b"],[")]


def _piece(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _record(entry: Any, bodies: bytes, start: int, end: int | None) -> Record | None:
    """The event of an entry, its body from `start`, or up to `end`; from the one to the other where both are given."""
    try:
        seq, source, type_, severity, recorded, size, crc = entry
        begin = start if start >= 0 else end - size
        body = bodies[begin : begin + size if end is None or start < 0 else end]
        if begin < 0 or checksum(seq, source, type_, severity, recorded, body) != crc:
            return None
    except (ValueError, TypeError):
        return None
    return Record(seq, source, type_, severity, recorded, body)


def _around(found: Unpacked, entries: list[Any], place: int, bodies: bytes, start: int) -> None:
    """Go on behind the damaged entry at `place`, whose size may be wrong: from the block's end back to it."""
    behind: list[Record] = []
    end, after = len(bodies), len(entries)
    while after - 1 > place and (record := _record(entries[after - 1], bodies, -1, end)) is not None:
        behind.append(record)
        end -= len(record.body)
        after -= 1
    if after == place + 1:  # alone between sound ones: all that lies between them is its body
        whole = _record(entries[place], bodies, start, end)
        found.records += [] if whole is None else [whole]
    else:
        for entry in entries[place:after]:
            record = _record(entry, bodies, start, None)
            found.records += [] if record is None else [record]
            with suppress(TypeError, ValueError, IndexError, KeyError):
                start += max(0, int(entry[5]))
    found.records += reversed(behind)


def _numbers(records: Sequence[Record], entries: list[Any], first: object, last: int) -> list[int]:
    """As many numbers of the block as events are missing: those that their entries name, where those can be right."""
    read = {record.seq for record in records}
    missing = len(entries) - len(records)
    named = []
    for entry in entries:
        if isinstance(entry, list) and entry and isinstance(entry[0], int) and entry[0] not in read:
            named.append(entry[0])
    lowest = min([*read, first if isinstance(first, int) else last])
    named = [seq for seq in dict.fromkeys(named) if lowest <= seq <= last]
    for seq in _missing(first, last, {*read, *named}):
        if len(named) >= missing:
            break
        named.append(seq)
    return sorted(named)


def _missing(first: object, last: int, known: set[int]) -> Iterator[int]:
    """The numbers of the block that are not known, from its end, where they surely lie above a reader's place."""
    lowest = first if isinstance(first, int) and 0 <= last - first < _WIDEST else last
    yield from (seq for seq in range(last, lowest - 1, -1) if seq not in known)
