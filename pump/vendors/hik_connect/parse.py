"""Records of the three queues to events: pure, whatever the vendor sends.

Shapes: AlarmMsg (A.3.20), CombineEvent (A.3.60), Event(1) of the message queue (A.3.91), each in every spelling that
the document or the field knows (docs/field.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from pump.core.errors import MessageError
from pump.core.event import Event, Sighting, Unparsed, event_id, raw_json
from pump.core.taxonomy import SEVERITIES, Severity
from pump.vendors.common.fields import Group, child, text
from pump.vendors.common.timestamps import dedup_time_ms
from pump.vendors.hik_connect import groups as read
from pump.vendors.hik_connect.backfill.sightings import of_queue
from pump.vendors.hik_connect.codes import CALLS
from pump.vendors.hik_connect.heads import RecordHead, alarm, combine, rawmsg, salvaged
from pump.vendors.hik_connect.media import media_of
from pump.vendors.hik_connect.resource import locate
from pump.vendors.hik_connect.uploads import Uploads
from pump.vendors.hik_connect.words import TEMPERATURES

Queue = Literal["alarm", "combine", "rawmsg"]

_FEVER: Final = TEMPERATURES["2"]
_AT_FEVER: Final[Severity] = "warning"
"""Severity, at the least, of an access event whose temperature the device finds exceptional (A.3.156)."""
_HEADS: Final[dict[str, Callable[[Group, ZoneInfo, Uploads | None], RecordHead]]] = {
    "alarm": alarm,
    "combine": combine,
    "rawmsg": rawmsg,
}
_LISTS: Final = {
    "alarm": ("alarmMsg", "events", "event"),
    "combine": ("events", "event", "alarmMsg"),
    "rawmsg": ("event", "events", "alarmMsg"),
}


def records(queue: Queue, data: object) -> list[object]:
    """The records in a messages answer's `data`, under any of the names its list goes by; null and absent are none."""
    if data is None or data == "":
        return []
    if type(data) is not dict:
        return data if type(data) is list else [data]
    named = False
    for name in _LISTS[queue]:
        found = data.get(name)
        if found:
            return found if type(found) is list else [found]
        named = named or name in data
    if named:
        return []
    # A list under a name that nobody has met yet must not be completed unread.
    return next((found for found in data.values() if found and type(found) is list), [])


def normalise(
    queue: Queue, record: object, zone: ZoneInfo, received: datetime, uploads: Uploads | None = None
) -> list[Event | Unparsed]:
    """The events of one record of a queue; never raises for any JSON value.

    A record that cannot be read becomes one `Unparsed`. `zone` is where times without an offset belong, `received`
    when the batch was handed out (aware). `uploads` remembers what came before on this queue: without it the second
    upload of an alarm or a combine event is an event of its own; a message says itself that it is one.
    """
    error = "the record is not an object"
    if type(record) is dict:
        if uploads is not None:
            uploads.begin()
        try:
            head = _HEADS[queue](record, zone, uploads)
            event = _event(head, record, received)
            event.sightings = of_queue(queue, head)
            event.raw_json = raw_json(record)
            if uploads is not None and event.raw_json is None and uploads.fresh:
                uploads.forget()  # the intake keeps it under another id
            return [event]
        except MessageError as poison:
            error = str(poison)
        except Exception as bug:  # noqa: BLE001  # whatever a record does to the parser, the batch goes on
            error = f"{type(bug).__name__}: {bug}"
        if uploads is not None:
            uploads.forget()
    return [Unparsed(record, error, salvaged(queue, record))]  # type: ignore[arg-type]  # any JSON value is kept


def logged(
    queue: Queue, record: Group, raw: Group, identity: Callable[[RecordHead], tuple[object, ...]],
    sightings: Callable[[RecordHead], tuple[Sighting, ...]], zone: ZoneInfo, received: datetime,
) -> Event | Unparsed:  # fmt: skip
    """The event of a log's row, which is read as the `record` of a queue; as `normalise` otherwise.

    `raw` is the row itself. Its event has an identity of its own, for a row does not have a queue's, and `sightings`,
    by which the queue's event is found.
    """
    try:
        head = _HEADS[queue](record, zone, None)
        name = event_id(*identity(head))
        event = _event(head._replace(id=name, dedup_time_ms=dedup_time_ms(head.time)), record, received)
        event.sightings = sightings(head)
    except MessageError as poison:
        return Unparsed(raw, str(poison), ("log", *salvaged(queue, raw)))
    except Exception as bug:  # noqa: BLE001  # whatever a row does to the parser, the page goes on
        return Unparsed(raw, f"{type(bug).__name__}: {bug}", ("log", *salvaged(queue, raw)))
    event.data["raw"] = raw
    event.data["reconciled"] = True
    event.clocked = False
    return event


def _event(head: RecordHead, record: Group, received: datetime) -> Event:
    where, row, groups = head.where, head.row, head.groups
    data: dict[str, Any] = {
        "vendor": "hik-connect",
        "code": head.code,
        "name": row.name,
        "phase": head.phase,
        "severity": head.severity,
    }
    if head.incident is not None:
        data["incident"] = head.incident
    data["late"] = head.late
    data["update"] = head.update
    if head.updates is not None:
        data["updates"] = head.updates
    data["reconciled"] = False
    subject = locate(where, data)
    preset = row.preset
    plain = head.plain
    listed_as = preset.get("vehicle")
    if listed_as is not None or not plain:
        vehicle = read.vehicle(groups, listed_as)
        if vehicle:
            data["vehicle"] = vehicle
    if head.alarm:
        data["alarm"] = head.alarm
    coded = preset.get("access")
    if coded is not None or where.kind == "door" or "openDoorInfo" in groups or "temperatureInfo" in groups:
        access = read.access(coded, where.door, groups, *head.door)
        if access:
            data["access"] = access
            if access.get("temperature_status") == _FEVER and SEVERITIES[head.severity] < SEVERITIES[_AT_FEVER]:
                data["severity"] = _AT_FEVER
    if not plain:
        _grouped(groups, data)
    if "power" in preset:
        data["power"] = dict(preset["power"])
    if not plain:
        _talked(groups, data)
    media = media_of(head.id, head.carried, received)
    if media:
        data["media"] = media
    data["raw"] = record
    return Event(row.type, head.id, data, head.time, subject, head.dedup_time_ms)


def _grouped(groups: Group, data: dict[str, Any]) -> None:
    found = read.position(groups)
    if found:
        data["position"] = found


def _talked(groups: Group, data: dict[str, Any]) -> None:
    queue = read.queue(groups)
    if queue:
        data["queue"] = queue
    talk = child(groups, "deviceTalkInfo")
    if talk is not None:
        known = CALLS.get(text(talk, "msgType") or "")
        call = read.intercom(talk, known.state if known else None)
        if call:
            data["intercom"] = call
