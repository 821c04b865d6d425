"""A row of a search for access events as the stream's message, and the names under which both are one record. Pure.

A row (POST /ISAPI/AccessControl/AcsEvent, InfoList) has the members of the stream's AccessControllerEvent, but for
`major`, `minor` and `time`, which are the stream's majorEventType, subEventType and dateTime. The stream's event id is
made of the time as sent, so a row's time is written as the stream writes it. Where that cannot be known, serial number
and second name the record; of one without a number its code, subject and second do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final

from pump.core.event import Event, Sighting
from pump.vendors.hik_camera.document import Tree
from pump.vendors.hik_camera.fields import moment, text
from pump.vendors.hik_camera.parse import Alert, Facts, parse

STREAM: Final = "stream"
SEARCH: Final = "search"
"""The sides on which a record is met."""
TYPE: Final = "AccessControllerEvent"
FORM: Final = "search/form"
"""The piece of state that holds the offset with which the stream writes the times of access events."""

_NAMES: Final = {"major": "majorEventType", "minor": "subEventType"}
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?)(Z|[+-]?\d{1,2}:\d\d)?")
_OFFSET: Final = re.compile(r"([+-]?)(\d{1,2}):(\d\d)")
_LONGEST: Final = 200


def read(row: Mapping[str, Any], facts: Facts, zone: tzinfo, form: str | None) -> Alert:
    """The row's event, as the stream would have brought it. `form`: see `form_of`; `zone`: of times without an offset.

    Its `data.raw` is the row itself, and it is marked as reconciled.
    """
    inner = {_NAMES.get(name, name): value for name, value in row.items() if name != "time"}
    sent = text(dict(row), "time", "dateTime")
    tree: Tree = {"eventType": TYPE, "eventState": "active", TYPE: inner}
    if sent is not None:
        tree["dateTime"] = written(sent, form, zone)
    alert = parse(tree, facts, zone)
    event = alert.event
    event.data |= {"reconciled": True, "raw": dict(row)}
    event.clocked = False  # it says nothing of how the device's clock goes now
    event.sightings = sightings(alert, SEARCH)
    alert.late = True
    return alert


def sightings(alert: Alert, side: str) -> tuple[Sighting, ...]:
    """The names of an access event on a side; none of what no search has, and of what has no time."""
    event = alert.event
    if alert.kind != TYPE.lower() or event.time is None:
        return ()
    second = int(event.time.timestamp())
    happened = f"{event.data['code']} {event.subject or ''}"[:_LONGEST]
    if alert.serial is None:
        return (Sighting(second, f"w {happened}", side),)
    return Sighting(second, f"s {alert.serial}", side), Sighting(second, f"ws {happened}", side)


def looked_for(event: Event) -> list[Sighting]:
    """The names by which a row's record may be known, the surest first.

    Two records that both have a number are the same by it or not at all.
    """
    found: list[Sighting] = []
    for one in event.sightings:
        kind, _, rest = one.key.partition(" ")
        if kind == "w":
            found += [one, one._replace(key=f"ws {rest}")]
        else:
            found.append(one if kind == "s" else one._replace(key=f"w {rest}"))
    return found


def form_of(sent: str | None) -> str | None:
    """The offset of a time as it is written, "" where it has none; None where the time cannot be read."""
    found = _TIME.fullmatch(sent or "")
    return None if found is None else found[2] or ""


def offset_of(form: str | None) -> tzinfo | None:
    """The offset of such a time, None where it has none."""
    return timezone(timedelta(minutes=_minutes(form))) if form else None


def written(sent: str, form: str | None, zone: tzinfo) -> str:
    """The time as a stream writes it whose times have the offset `form`; as it is where either is not known."""
    found = _TIME.fullmatch(sent)
    if found is None or form is None or (found[2] or "") == form:
        return sent
    local, offset = found[1], found[2] or ""
    if not offset:
        return local + form
    own = _minutes(offset)
    if not form:
        utc = moment(sent, UTC)
        return local if own or utc is None else _plain(utc.astimezone(zone).replace(tzinfo=None), local)
    ahead = _minutes(form)
    if own and form != "Z" and own != ahead:
        return local + _offset(own, form)  # the device has written with another offset then: summer time
    try:
        return _plain(datetime.fromisoformat(local) + timedelta(minutes=ahead - own), local) + form
    except (ValueError, OverflowError):
        return sent


def names(events: Iterable[Event]) -> set[Sighting]:
    """All names that are to be looked up for these."""
    return {one for event in events for one in (*event.sightings, *looked_for(event))}


def _plain(time: datetime, like: str) -> str:
    return time.isoformat(timespec="auto" if "." in like else "seconds")


def _minutes(offset: str) -> int:
    found = _OFFSET.fullmatch(offset)
    if found is None:
        return 0
    minutes = int(found[2]) * 60 + int(found[3])
    return -minutes if found[1] == "-" else minutes


def _offset(minutes: int, like: str) -> str:
    hours, rest = divmod(abs(minutes), 60)
    short = re.fullmatch(r"[+-]?\d:\d\d", like) is not None
    return f"{'-' if minutes < 0 else '+'}{hours if short else f'{hours:02}'}:{rest:02}"
