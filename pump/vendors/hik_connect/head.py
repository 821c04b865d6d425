"""The head of a record, whichever queue it came through: code, identity, time, phase, incident."""

from __future__ import annotations

import os
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson

from pump.core.event import event_id
from pump.core.groups import Alarm
from pump.core.taxonomy import Phase, Severity
from pump.vendors.common.fields import Group, child, text
from pump.vendors.common.timestamps import dedup_time_ms
from pump.vendors.hik_connect.codes import Code
from pump.vendors.hik_connect.media import LINKS, Shape, shape
from pump.vendors.hik_connect.resource import Resource
from pump.vendors.hik_connect.words import SOURCE_DOMAINS

NO_DOOR: Final[tuple[Group, Group, Group]] = ({}, {}, {})
"""The value of `RecordHead.door` where the record is no door's: an access event, its basicInfo, its intelliInfo."""


class RecordHead(NamedTuple):
    """The part of a record that each queue says in its own way; the rest of a record is alike."""

    code: str
    row: Code
    where: Resource
    id: str
    dedup_time_ms: int
    time: datetime | None
    phase: Phase
    severity: Severity
    incident: str | None
    late: bool
    updates: str | None
    update: bool
    alarm: Alarm | None
    groups: Group
    door: tuple[Group, Group, Group]


def unknown(domain: str | None, source: str | None) -> Code:
    """The row of a code that no document lists."""
    domain = domain or SOURCE_DOMAINS.get(source or "", "device")
    return Code(f"{domain}.unknown", "Unknown Event", "notice")


def pair(row: Code, where: Resource) -> str | None:
    """The incident of a start and its end where two codes make one matter: the source, or its device, and the pair."""
    if row.pair is None:
        return None
    return event_id("pair", where.id or where.device_id or where.serial, row.pair)


def anonymous(queue: str, record: Group, stamp: datetime | None) -> tuple[str, int]:
    """Id and lead of a record that the vendor gave no identity."""
    if stamp is None:
        return os.urandom(16).hex(), 0
    content = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    if b"://" in content:  # seldom: only then are the links to be taken out field by field
        content = orjson.dumps(_linkless(record), option=orjson.OPT_SORT_KEYS)
    # Hashed as it is: event_id would spell every byte out first.
    return blake2b(content, digest_size=16, person=queue.encode()).hexdigest(), dedup_time_ms(stamp)


def _linkless(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return None if "://" in value else value
    if kind is dict:
        # Texts are looked at here already: a call for each would be most of the work.
        return {
            name: inner if type(inner) is str and "://" not in inner else _linkless(inner)
            for name, inner in value.items()
            if name not in LINKS
        }
    return [_linkless(inner) for inner in value] if kind is list else value


def salvaged(queue: str, record: object) -> tuple[object, ...]:
    """The vendor's identity of a record that could not be read, where it still shows; else nothing."""
    if type(record) is not dict:
        return ()
    own = text(record, "guid" if queue == "alarm" else "eventId" if queue == "combine" else "uuid")
    if own is None:
        return ()
    times = child(record, "timeInfo") or {}
    states = [text(record, name) for name in ("msgType", "alarmState", "markState", "affirmedState", "update")]
    return (queue, own, *states, text(times, "startTime"), _files(record))


def _files(record: Group) -> Shape:
    try:
        return shape(record, child(record, "eventData", "data", "evenData") or record)
    except Exception:  # noqa: BLE001  # the files may be what could not be read
        return ()
