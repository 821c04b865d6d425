"""A block of events as one row: bodies behind one another, beside them what routing needs, each with its checksum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

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
    index = [(*record[:5], len(record.body), checksum(*record)) for record in block]
    return orjson.dumps(index), b"".join([record.body for record in block])


@dataclass(slots=True)
class Unpacked:
    """A block as it was read; `damaged` are the numbers of events whose checksum is wrong."""

    records: list[Record] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)


def unpack(first: int, last: int, index: bytes, bodies: bytes) -> Unpacked:
    """The events of a block. What is damaged is named, never returned, and never takes its neighbours along."""
    found = Unpacked()
    try:
        entries = orjson.loads(index)
        start = 0
        for seq, source, type_, severity, recorded, size, crc in entries:
            body = bodies[start : start + size]
            start += size
            if checksum(seq, source, type_, severity, recorded, body) == crc:
                found.records.append(Record(seq, source, type_, severity, recorded, body))
            else:
                found.damaged.append(seq)
    except (ValueError, TypeError):  # the index itself is damaged
        read = {record.seq for record in found.records}
        lowest = first if isinstance(first, int) and last - first < _WIDEST else last  # `first` may be damaged too
        found.damaged = [seq for seq in range(lowest, last + 1) if seq not in read]
    return found
