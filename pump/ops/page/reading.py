"""Looking for events in the spool's file, newest first, in a thread of the page's own and with connections that only
read. Each search gives way after every block and ends after so many events: nobody who looks holds up who writes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from pump.core.record import Record
from pump.ops.page.filters import Filter, decoded
from pump.spool import DeadLetter
from pump.spool.offline import blocks_before, event_of, letters_of

FARTHEST: Final = 300_000
"""Events that one search looks at."""
_NEAR: Final = 20_000
"""Events on either side in which the others of an incident are looked for."""
_MANY: Final = 50
"""Events of an incident that are shown."""
_BREATH: Final = 0.0005
"""Seconds for the rest of the process between two blocks."""


class Unreadable(Exception):
    """The spool's file cannot be read now; the text is for people."""


@dataclass(slots=True)
class Hits:
    """What a search has found, newest first."""

    events: list[tuple[int | None, dict[str, Any], bytes]] = field(default_factory=list)
    """Number, event, and the event as it is stored; without a number where only an archive has it."""
    reached: int | None = None
    """The number at which it stopped before the end; older ones are below it. None: it came to the end."""
    place: str | None = None
    """The same of an archive, in its own words."""
    cut: bool = False
    """Its time was over: there may be more."""


@dataclass(slots=True)
class Whole:
    """An event with what belongs to it."""

    record: Record
    event: Mapping[str, Any]
    others: list[tuple[int, dict[str, Any]]]
    """Of its incident, and what was said of it later; oldest first."""
    letters: list[DeadLetter]


def search(folder: Path, wanted: Filter, zone: ZoneInfo, limit: int, before: int | None = None, floor: int = 0) -> Hits:
    """The newest `limit` events that are wanted, above the number `floor` and below `before`.

    In a thread. Raises Unreadable.
    """
    found, looked = Hits(), 0
    since, _ = wanted.moments(zone)
    oldest = None if since is None else int(since.timestamp() * 1000) - 86_400_000
    try:
        with closing(blocks_before(folder, before)) as blocks:
            for block in blocks:
                for record in block:
                    if record.seq <= floor:
                        return found
                    if wanted.may_take(record):
                        event = decoded(record)
                        if wanted.takes(event, record.body, zone):
                            found.events.append((record.seq, event, record.body))
                            if len(found.events) == limit:
                                found.reached = record.seq
                                return found
                looked += len(block)
                if block and looked >= FARTHEST:
                    found.reached, found.cut = block[-1].seq, True
                    return found
                if block and oldest is not None and block[-1].recorded < oldest:
                    return found  # what arrived a day before cannot have happened since
                time.sleep(_BREATH)
    except (sqlite3.Error, OSError) as error:
        raise Unreadable(str(error)) from error
    return found


def whole(folder: Path, number: int) -> Whole | None:
    """The event of this number with what belongs to it; None where it is not there any more. In a thread."""
    try:
        record = event_of(folder, number)
        if record is None:
            return None
        event = decoded(record)
        return Whole(record, event, _others(folder, record, event), letters_of(folder, number))
    except (sqlite3.Error, OSError) as error:
        raise Unreadable(str(error)) from error


def _others(folder: Path, record: Record, event: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    data = event.get("data")
    incident = data.get("incident") if isinstance(data, Mapping) else None
    needles = [orjson.dumps(one) for one in (incident, event.get("id")) if isinstance(one, str) and one]
    found: list[tuple[int, dict[str, Any]]] = []
    with closing(blocks_before(folder, record.seq + _NEAR)) as blocks:
        for block in blocks:
            for one in block:
                if one.seq != record.seq and any(needle in one.body for needle in needles):
                    found.append((one.seq, decoded(one)))
            if (block and block[-1].seq < record.seq - _NEAR) or len(found) >= _MANY:
                break
            time.sleep(_BREATH)
    return found[::-1]
