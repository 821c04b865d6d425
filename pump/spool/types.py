"""Rows that go into the spool, receipts and cursors that come back; [spool] of pump.toml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from pydantic import Field

from pump.core.event import Sighting
from pump.core.record import State
from pump.core.settings import Duration, Settings, Size

try:
    from isal.isal_zlib import crc32  # the extra "fast": the same sum in a tenth of the time
except ImportError:
    from zlib import crc32


@dataclass(slots=True, frozen=True)
class Link:
    """A link to a picture or clip of an event, to be fetched; it is stored with the event."""

    medium: str
    """The id of its entry in `data.media`."""
    url: str
    expires: int
    """When it dies, milliseconds since 1970; 0 where nobody says."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the event that follows repeats of this one: JSON."""


@dataclass(slots=True, frozen=True)
class GapOpened:
    """A stretch of time in which events may be missing, for the ledger. Times are milliseconds since 1970."""

    since: int
    until: int
    reason: str
    opened: int
    count: int | None = None
    unfillable: bool = False
    """True where nobody can be asked for what is missing."""
    notes: str = ""


@dataclass(slots=True)
class Row:
    """An encoded event on its way to disk."""

    source: str
    type: str
    severity: int
    recorded: int
    """Arrival, milliseconds since 1970."""
    dedup_time_ms: int
    id: str
    body: bytes
    quarantined: bool = False
    stranger: bool = False
    """Of a device that nobody knows: it counts against the strangers' share."""
    links: Sequence[Link] = ()
    """To be fetched for it."""
    settles: str = ""
    """The id of a medium whose link this event ends: it was fetched, or is given up."""
    gap: GapOpened | None = None
    """The record of the ledger that it opens."""
    fills: int = 0
    """The number of the record that it helps to fill."""
    sightings: tuple[Sighting, ...] = ()


class Receipt(NamedTuple):
    """The result of a put: `stored` new events, `quarantined` of them so marked; `duplicates` were stored before."""

    stored: int
    duplicates: int
    quarantined: int = 0


@dataclass(slots=True, frozen=True)
class Cursor:
    """The number through which a sink has everything, and what it wanted remembered there."""

    seq: int
    state: State | None


def checksum(seq: int, source: str, type_: str, severity: int, recorded: int, body: bytes) -> int:
    """CRC-32 of a stored row: a flipped bit in any of its columns shows when the row is read."""
    return crc32(body, _seed(source, type_, severity) ^ ((seq ^ recorded) & 0xFFFFFFFF))


@lru_cache(4096)
def _seed(source: str, type_: str, severity: int) -> int:
    return crc32(f"{source} {type_} {severity}".encode())


class SpoolSettings(Settings):
    """Limits of what the spool keeps, in time and in bytes."""

    retention: Duration = Field(default=7 * 86400.0, gt=0, description="events are kept this long after they arrived")
    max_bytes: Size = Field(default=4 << 30, ge=16 << 20, description="the most the spool takes on disk")
    when_full: Literal["block", "drop-oldest"] = Field(
        default="block", description="refuse new events, or drop the oldest and tell it, when max_bytes is reached"
    )
