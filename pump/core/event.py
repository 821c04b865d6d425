"""The event: one CloudEvents 1.0 object, its id, its JSON. No I/O.

A vendor's parser makes `Event`s; the intake adds where and when they arrived and encodes each exactly once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from pump.core.text import fitted

_COPIED = 1 << 20
"""Bytes."""
_PASSED = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS

AHEAD: Final = timedelta(minutes=10)
"""How far a device's time may be ahead of its arrival and still be believed, unless the configuration says another."""


class Sighting(NamedTuple):
    """A name under which a record can be met in several places: the same record has the same `at` and `key` there."""

    at: int
    """Seconds since 1970 of the record's own time; 0 where the key alone names it."""
    key: str
    side: str
    """The place: a queue, a log. Two records of one side are never the same."""


@dataclass(slots=True)
class Event:
    """One thing that happened, in the pump's vocabulary.

    `id` is made of the vendor's own identity of the record (`event_id`), unique for ever within its source.
    `dedup_time_ms` is the vendor's own time as sent, in milliseconds since 1970, when that time is part of the
    identity, else 0; it leads the key under which redeliveries are found, so that the index grows at its end.
    `time` is aware, in any zone, or None where the vendor's is missing or impossible: then the time of arrival
    serves and `data.time_source` says "received". So it does where the device's clock is too far ahead of the arrival
    to be believed (`believe`), which is then in `claimed`. `data` holds the fields and groups that `pump schema event`
    prints, without nulls; it must have `phase` and `severity`. It belongs to the event from here on and may be added
    to.
    `clocked`: `time` is what the device's clock said when it sent the event; not where the pump finds out later.
    `sightings` are kept with it: by them the same record is found where it is met in another place.
    `vouched`: its links stand in the vendor's own answer to a call, not in a message that a device may have written.
    `quarantined` events count against what a source may keep of things it does not understand (64 MiB).
    `raw_json` is `data.raw` as `raw_json` has it, where the parser has made it: it is not made again, and `data.raw`
    may be an `orjson.Fragment` of it then.
    """

    type: str
    id: str
    data: dict[str, Any]
    time: datetime | None = None
    subject: str | None = None
    dedup_time_ms: int = 0
    quarantined: bool = False
    clocked: bool = True
    claimed: datetime | None = None
    sightings: tuple[Sighting, ...] = ()
    vouched: bool = False
    raw_json: bytes | None = None

    def believe(self, arrived: datetime, ahead: timedelta = AHEAD) -> None:
        """Set the device's time aside where it is farther than `ahead` after the arrival.

        Believed, it would make everything after it old, for as long as the clock was ahead. Ids do not depend on it.
        """
        time = self.time
        if time is not None and time.tzinfo is not None and time > arrived + ahead:
            self.time, self.claimed = None, time


@dataclass(slots=True)
class Unparsed:
    """A vendor's record that could not be parsed: kept whole, emitted as `pump.record.unparsed`.

    `raw` is what arrived: bytes, or the decoded JSON where only the record's meaning failed. `identity` is the
    vendor's own identity of the record where one can still be read, else the content's digest serves, so that a
    redelivery is a duplicate either way.
    """

    raw: bytes | dict[str, Any] | list[Any] | str | int | float | None
    error: str
    identity: tuple[object, ...] = field(default=())


def event_id(*identity: object) -> str:
    """32 hexadecimal digits that stand for a vendor's identity of a record.

    The parts are distinct whatever they hold: ("a", "b") and ("a,b",) differ, and so do 1 and "1".
    """
    try:
        spelled = orjson.dumps(identity, option=_PASSED)
    except TypeError:  # bytes, halves of surrogate pairs
        spelled = repr(identity).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(spelled, digest_size=16).hexdigest()


def raw_json(raw: object) -> bytes | None:
    """The JSON of a raw message, as it will stand in its event; None where JSON cannot hold it there.

    What is nested deep, or has endless numbers, can be read and not written.
    """
    try:
        return orjson.dumps([[raw]])[2:-2]  # as deep as in an event
    except TypeError:
        return None


def encode(event: Event, source: str, recorded: datetime) -> bytes:
    """The event as one line of JSON, without the line's end.

    `source` is the whole CloudEvents source ("/north-garage/teams"), `recorded` the aware time of arrival.
    Raises TypeError or ValueError (orjson) for what JSON cannot hold, lone surrogates among them.
    """
    data = event.data
    time = event.time
    if time is None:
        time = recorded
        data["time_source"] = "received"
    elif time.tzinfo is not UTC:
        time = time.astimezone(UTC)
    body: dict[str, Any] = {"specversion": "1.0", "id": event.id, "source": source, "type": event.type}
    if event.subject is not None:
        body["subject"] = event.subject
    body["time"] = time
    body["recordedtime"] = recorded
    body["datacontenttype"] = "application/json"
    body["data"] = data if event.raw_json is None else {**data, "raw": orjson.Fragment(event.raw_json)}
    try:
        encoded = orjson.dumps(body, option=orjson.OPT_UTC_Z)
    except TypeError:  # keys that are no texts: seldom, and looking for them takes as long as all the rest
        encoded = orjson.dumps(body, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)
    # The newest events stay in memory; what is far too large for that is not copied.
    return fitted(encoded) if len(encoded) <= _COPIED else encoded
