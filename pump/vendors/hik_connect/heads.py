"""The head of a record, read in each queue's own way: code, identity, time, phase, incident.

The alarm queue has AlarmMsg (A.3.20); the combine and the message queue have CombineEvent (A.3.60) and Event(1)
(A.3.91), which differ little.
"""

from __future__ import annotations

import os
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from pump.core.errors import MessageError
from pump.core.event import event_id
from pump.core.groups import Alarm
from pump.core.taxonomy import Phase, Severity
from pump.vendors.common.fields import Group, child, text
from pump.vendors.common.timestamps import dedup_time_ms, located, moment
from pump.vendors.hik_connect import groups as read
from pump.vendors.hik_connect.codes import CALLS, CODES, Code
from pump.vendors.hik_connect.marks import KINDS
from pump.vendors.hik_connect.media import LINKS, Carried, Shape, carried, links, shape
from pump.vendors.hik_connect.resource import Resource, at_door, at_station, of_alarm, of_message
from pump.vendors.hik_connect.uploads import Uploads
from pump.vendors.hik_connect.words import CATEGORY_DOMAINS, PRIORITIES, SOURCE_DOMAINS, TRUE

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
    plain: bool
    """Its groups are plain (`groups.plain`)."""
    carried: Carried
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
        groups = child(record, "eventData", "data", "evenData") or record
        return shape(carried(record, groups, read.plain(groups)), groups)
    except Exception:  # noqa: BLE001  # the files may be what could not be read
        return ()


# --- AlarmMsg --------------------------------------------------------------------------------------------------------


def alarm(record: Group, zone: ZoneInfo, uploads: Uploads | None) -> RecordHead:
    """The head of an AlarmMsg. Raises MessageError where the record is none."""
    origin = record.get("eventSource")
    if not origin:
        origin = record
    elif type(origin) is not dict:
        raise MessageError("eventSource is not an object")
    code = text(origin, "eventType")
    if code is None:
        raise MessageError("no eventType")
    where = of_alarm(origin)
    row = CODES.get(code) or unknown(CATEGORY_DOMAINS.get(text(record, "alarmMainCategory") or ""), where.kind)

    times = child(record, "timeInfo") or record
    begin, sent, start = _begin(times)
    kind, state = text(record, "msgType"), text(record, "alarmState")
    mark, affirmed = text(record, "markState"), text(record, "affirmedState")
    plain = read.plain(record)
    found = carried(record, record, plain)
    files = shape(found, record)
    guid = text(record, "guid")
    updates, second = None, False
    pulse = record.get("pulseAlarm") in TRUE
    if guid is None:
        identity, stamp = anonymous("alarm", record, start)
    else:
        identity, stamp = event_id("alarm", guid, kind, state, mark, affirmed, begin, files), dedup_time_ms(sent)
        key = (guid, kind, begin)
        if uploads is None:
            pass
        elif kind in KINDS:
            again = uploads.marks.nth(key, f"{state}/{mark}/{affirmed}")
            if again > 1:
                identity = event_id("alarm", guid, kind, state, mark, affirmed, begin, files, again)
            updates = _pulse(uploads, guid, begin, flagged=pulse)
            pulse = pulse or updates is not None
        else:
            if kind == "1":
                pulse = uploads.repeated(guid, begin, identity, pulse=pulse) or pulse
            identity, updates = uploads.first(key, identity, files, links(found), pulse=pulse)
            second = updates is not None

    phase: Phase
    incident = None if pulse else guid
    if kind in KINDS:
        # A pulse is no incident unless its code has a pair, and yet a mark of it must name it.
        phase, incident = "update", (pair(row, where) if pulse else None) or guid
    elif kind == "0" or (state == "0" and kind != "1" and not pulse):
        phase, incident = "end", guid
        start = _end(times)
    elif pulse or (kind is None and state is None):
        phase, incident = row.phase, pair(row, where)
    else:
        phase = "start"

    group: Alarm = {}
    rule = child(record, "alarmRule")
    if rule is not None:
        name = text(rule, "name")
        if name is not None:
            group["rule"] = name
    severity = row.severity
    priority = child(record, "alarmPriority")
    level = text(priority, "level") if priority else None
    if level is not None:
        severity = PRIORITIES.get(level, severity)
        group["priority"] = int(level) if level in PRIORITIES else level
    if affirmed is not None:
        group["acknowledged"] = affirmed in ("1", "true")
    if mark is not None:
        group["marked"] = mark in ("1", "true")
    if guid is not None:
        group["guid"] = guid
    if "alarm" in row.preset:
        group.update(row.preset["alarm"])
    if second:
        phase = "update"

    live = text(record, "dataRetransmission", "currentEvent")
    return RecordHead(
        code, row, where, identity, stamp, located(start, zone), phase, severity, incident, live == "0", updates,
        second, group, record, plain, found, NO_DOOR,
    )  # fmt: skip


def _pulse(uploads: Uploads, guid: str, begin: str | None, *, flagged: bool) -> str | None:
    """The id of the pulse that a confirmation or a mark speaks of; `flagged` where it says itself that it is one."""
    for key in ((guid, "1", begin), (guid, None, begin), ("start", guid)):
        found = uploads.seen(key)
        if found is not None:
            return found.id if flagged or found.pulse else None
    return None


def _begin(times: Group) -> tuple[str | None, datetime | None, datetime | None]:
    """The start as sent, that as a time, and the time to believe: the twin's where only it has an offset."""
    sent = text(times, "startTime", "startTimeLocal")
    stamp = moment(sent)
    return sent, stamp, _twin(stamp, times, "startTimeLocal")


def _end(times: Group) -> datetime | None:
    return _twin(moment(text(times, "endTime", "endTimeLocal")), times, "endTimeLocal")


def _twin(stamp: datetime | None, times: Group, local: str) -> datetime | None:
    if stamp is None or stamp.tzinfo is None:
        twin = moment(text(times, local))
        if twin is not None and (stamp is None or twin.tzinfo is not None):
            return twin
    return stamp


# --- CombineEvent and Event(1) ----------------------------------------------------------------------------------------

_UPLOADED: Final = ("update", "picture", "video")
"""The fields that a second upload of a message changes (A.3.91)."""
_WHO: Final = ("cardNumber", "personId", "firstName", "lastName")


def _message(queue: Literal["combine", "rawmsg"], record: Group, zone: ZoneInfo, uploads: Uploads | None) -> RecordHead:
    basic = record.get("basicInfo") or {}
    if type(basic) is not dict:
        raise MessageError("basicInfo is not an object")
    found = child(record, "eventData", "data", "evenData") or {}
    door = read.door_event(found) if "openDoorInfo" in found else NO_DOOR
    event, inner, _ = door
    code, row = _code(record, basic, inner)
    talk = child(found, "deviceTalkInfo") if found else None
    if event:
        where = at_door(inner, basic)
    else:
        where = of_message(basic, found)
        if talk is not None:
            where = at_station(talk, where)
    if row is None:
        row = unknown(None, where.kind)

    sent = text(inner, "occurTime") if event else None
    stamp = moment(sent)
    if stamp is None:
        sent = text(basic, "occurrenceTime") or sent
        stamp = moment(sent)
    if stamp is None and talk is not None:
        stamp = moment(text(talk, "deviceTimeStamp"))
    plain = read.plain(found)
    files = shape(carries := carried(record, found, plain), found)
    update, updates = False, None
    key: tuple[object, ...] | None = None
    ahead = 0
    serial = text(inner, "serialNo") if event else None
    if queue == "combine":
        own = text(record, "eventId", "eventID", "eventld")
        if own is None:
            identity, ahead = anonymous(queue, record, stamp)
        else:
            identity, key = event_id("combine", own, files), (own,)
        late = text(basic, "dataRetransmission") == "1"
    else:
        own = text(record, "uuid")
        update = record.get("update") in TRUE
        late = event != {} and text(inner, "currentEvent") == "0"
        if serial is not None and where.serial is not None and sent is not None:
            identity, ahead = event_id("access", where.serial, serial, sent), dedup_time_ms(stamp)
            key = ("access", where.serial, serial, sent)
            if update:
                identity = event_id("access", where.serial, serial, sent, update, files)
        elif own is not None:
            identity, key = event_id("rawmsg", own, update, files), (own,)
        else:
            identity, ahead = anonymous(queue, record, stamp)
            key = _content(record, event, stamp) if uploads is not None else None
    if uploads is not None and key is not None:
        identity, updates = uploads.first(key, identity, files, links(carries), update=update)
    update = update or updates is not None

    incident = pair(row, where)
    if talk is not None and code.endswith("140001"):
        row = call.code if (call := CALLS.get(text(talk, "msgType") or "")) else row
        incident = _call(talk, where) if row.phase != "pulse" else None
    phase = "update" if update else row.phase
    return RecordHead(
        code, row, where, identity, ahead, located(stamp, zone), phase, row.severity, incident, late, updates,
        update, row.preset["alarm"].copy() if "alarm" in row.preset else None, found, plain, carries, door,
    )  # fmt: skip


def combine(record: Group, zone: ZoneInfo, uploads: Uploads | None) -> RecordHead:
    """The head of a CombineEvent. Raises MessageError where the record is none."""
    return _message("combine", record, zone, uploads)


def rawmsg(record: Group, zone: ZoneInfo, uploads: Uploads | None) -> RecordHead:
    """The head of an Event(1). Raises MessageError where the record is none."""
    return _message("rawmsg", record, zone, uploads)


def _code(record: Group, basic: Group, inner: Group) -> tuple[str, Code | None]:
    code = text(record, "eventType", "msgType") or text(basic, "msgType", "eventType")
    row = CODES.get(code) if code is not None else None
    if row is not None and code is not None:
        return code, row
    if code is not None and code[:3].lower() == "msg":
        digits = code[3:].strip()
        code = f"Msg{digits}"
        row = CODES.get(digits)
    if row is None:
        own = text(inner, "eventType")
        row = CODES.get(own) if own is not None else None
        if code is None:
            code = own
    if code is None:
        raise MessageError("no eventType or msgType")
    return code, row


def _content(record: Group, event: Group, stamp: datetime | None) -> tuple[object, ...] | None:
    """The part of a message without identity that its second upload repeats; None where it cannot have one.

    All but the attachments; of an access event its head, for its snapshots may stand anywhere in it.
    """
    if stamp is None or not (event or any(name in record for name in _UPLOADED)):
        return None
    rest = {name: value for name, value in record.items() if name not in _UPLOADED}
    if event:
        basic, person = child(event, "basicInfo") or {}, child(event, "intelliInfo") or {}
        heads = [text(basic, name) for name in ("eventType", "elementId", "deviceId", "deviceSerial", "occurTime")]
        rest = {"basicInfo": record.get("basicInfo"), "heads": heads, "who": [text(person, name) for name in _WHO]}
    return ("content", anonymous("rawmsg", rest, stamp)[0])


def _call(talk: Group, where: Resource) -> str:
    call = read.call_id(talk)
    if call is not None:
        return call
    return event_id("call", where.device_id or where.serial, text(talk, "roomNumber"))
