"""From the rows of the alarm log and of the access records to events. Pure, and never raises for any JSON value.

An alarm's row (A.3.20) holds its start and its end, which are two events; its marks have no time and are the start's.
An access record (A.3.134) is the message queue's access event (A.3.91, A.3.92) under other names.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from pump.core.event import Event, Unparsed
from pump.vendors.common.fields import Group, child, text
from pump.vendors.hik_connect.backfill.sightings import access, of_alarm_log
from pump.vendors.hik_connect.heads import RecordHead
from pump.vendors.hik_connect.parse import logged
from pump.vendors.hik_connect.words import TRUE

_LISTS: Final = ("alarmLogList", "alarmlogList", "alarmLoglist", "alarmMsg", "recordList", "records")


class Found(NamedTuple):
    """A row's events: of an alarm its start, and its end where it has one; else one."""

    first: Event | Unparsed
    end: Event | None = None


def rows_of(data: object) -> list[object]:
    """The rows in an answer's `data`, under any of the names that their list goes by."""
    if type(data) is not dict:
        return data if type(data) is list else []
    for name in _LISTS:
        found = data.get(name)
        if found:
            return found if type(found) is list else [found]
    return next((found for found in data.values() if found and type(found) is list), [])


def alarm(row: object, zone: ZoneInfo, received: datetime) -> Found:
    """The events of a row of the alarm log. `zone` is where its times belong, which have no offset."""
    if type(row) is not dict:
        return Found(Unparsed(row, "the row is not an object"))  # type: ignore[arg-type]  # any JSON value is kept
    start = logged(
        "alarm", row | {"msgType": "1", "alarmState": "1"}, row, _alarm_identity, of_alarm_log, zone, received
    )
    times = child(row, "timeInfo") or row
    begun = text(times, "startTime", "startTimeLocal")
    ended = text(times, "endTime", "endTimeLocal")
    lasted = ended is not None and ended != begun and row.get("pulseAlarm") not in TRUE
    if isinstance(start, Unparsed) or not lasted:
        return Found(start)
    end = logged("alarm", row | {"msgType": "0", "alarmState": "0"}, row, _alarm_identity, of_alarm_log, zone, received)
    return Found(start, end if isinstance(end, Event) else None)


def record(row: object, zone: ZoneInfo, received: datetime) -> Found:
    """The event of an access record."""
    if type(row) is not dict:
        return Found(Unparsed(row, "the record is not an object"))  # type: ignore[arg-type]  # any JSON value is kept
    return Found(logged("rawmsg", _message(row), row, _record_identity, _record_sightings, zone, received))


def _alarm_identity(head: RecordHead) -> tuple[object, ...]:
    guid = head.alarm.get("guid") if head.alarm else None
    whom = guid if guid is not None else (head.code, head.where.id, head.where.device_id)
    end = head.phase == "end" and head.incident == guid
    second = None if head.time is None else int(head.time.timestamp())
    # Of a guid there is one end, and its time may be corrected; what began again under the guid is another event.
    return ("alarmlog", whom, "end" if end else "start", None if end and guid is not None else second)


def _record_identity(head: RecordHead) -> tuple[object, ...]:
    own = text(head.door[0], "recordGuid")
    if own is not None:
        return ("record", own)
    second = None if head.time is None else int(head.time.timestamp())
    return ("record", head.where.device_id, text(head.door[1], "serialNo"), head.code, head.where.id, second)


def _record_sightings(head: RecordHead) -> Any:
    return access("records", head)


_BASIC: Final = (
    "eventType", "elementId", "elementType", "elementName", "areaName", "occurTime", "deviceId", "deviceName",
    "deviceSerial", "cardReaderId", "cardReaderName",
)  # fmt: skip
_PERSON: Final = ("attendanceStatus", "temperatureInfo", "masksStatus", "acsSnapPicList", "cardNumber")


def _message(row: Group) -> Group:
    """The record as the message queue would have sent it."""
    basic = {name: row[name] for name in _BASIC if row.get(name) is not None}
    basic["areaId"] = text(row, "areaId", "areald", "areaID")
    basic["serialNo"] = text(row, "devSerialNo", "serialNo")
    if basic.get("occurTime") is None:
        basic["occurTime"] = text(row, "deviceTime")
    person = child(row, "personInfo") or {}
    who: dict[str, Any] = {**(child(person, "baseInfo") or person), "personId": text(person, "id", "personId")}
    who |= {name: row[name] for name in _PERSON if row.get(name) is not None}
    who["authResult"] = row.get("swipeAuthResult")
    code = text(row, "eventType")
    event = {"recordGuid": row.get("recordGuid"), "elementPicUrl": row.get("elementPicUrl")}
    event |= {"basicInfo": basic, "intelliInfo": who}
    outer = {"msgType": f"Msg{code}" if code is not None and code.isdigit() else code}
    return {"basicInfo": outer, "data": {"openDoorInfo": {"event": event}}}
