"""The combine and the message queue: CombineEvent (A.3.60) and Event(1) (A.3.91), which differ little."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from pump.core.errors import MessageError
from pump.core.event import event_id
from pump.vendors.common.fields import Group, child, text
from pump.vendors.common.timestamps import dedup_time_ms, located, moment
from pump.vendors.hik_connect import groups as read
from pump.vendors.hik_connect.codes import CALLS, CODES, Code
from pump.vendors.hik_connect.head import NO_DOOR, RecordHead, anonymous, pair, unknown
from pump.vendors.hik_connect.media import links, shape
from pump.vendors.hik_connect.resource import Resource, at_door, at_station, of_message
from pump.vendors.hik_connect.uploads import Uploads
from pump.vendors.hik_connect.words import TRUE

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
    files = shape(record, found)
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
        linked = links(record, found, read.plain(found))
        identity = uploads.fuller(key, identity, linked)
        if not update:
            updates = uploads.first(key, identity, files, linked)
        elif (first := uploads.seen(key)) is not None and first.id != identity:
            updates = first.id
    update = update or updates is not None

    incident = pair(row, where)
    if talk is not None and code.endswith("140001"):
        row = call.code if (call := CALLS.get(text(talk, "msgType") or "")) else row
        incident = _call(talk, where) if row.phase != "pulse" else None
    phase = "update" if update else row.phase
    return RecordHead(
        code, row, where, identity, ahead, located(stamp, zone), phase, row.severity, incident, late, updates,
        update, row.preset["alarm"].copy() if "alarm" in row.preset else None, found, door,
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
