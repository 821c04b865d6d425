"""The names under which one record is met in the queues and in the logs. Pure.

The same record is found by the alarm's guid, by (device, serialNo, time) of an access event, else by code, source and
the second at which it happened. The message queue and the others have codes of their own for one thing (A.1.4, A.1.7):
a name has the alarm's.

Two records that both have a guid, or both a serial number, are the same by it or not at all. So the name by code says
which of the two its record has, and is looked for among those that have not the same.

A guid names its record whatever the time zones say. Yet its name lies at two hours of the record's time: names of
guids alone would lie anywhere in the spool's table, and each event of a commit would write a page of its own. It is
looked for in all hours that a wrong zone can make of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from pump.core.event import Sighting
from pump.vendors.common.fields import text
from pump.vendors.hik_connect.codes import TWINS
from pump.vendors.hik_connect.heads import RecordHead
from pump.vendors.hik_connect.words import TRUE

ALARM_LOG: Final = "alarmlog"
ACCESS_RECORDS: Final = "records"
LOGS: Final = frozenset((ALARM_LOG, ACCESS_RECORDS))
"""The sides that are searched; the queues are the others, each by its name."""

_ALARMS: Final = {message: alarm for alarm, message in TWINS if alarm and message}
_LONGEST: Final = 200
_HOURS: Final = 7200
"""Seconds of time in which the names of guids lie together."""
_SHIFTS: Final = sorted((_HOURS * n for n in range(-14, 15)), key=abs)
"""What a wrong zone can make of them: two differ by 26 hours at the most."""
_START: Final = "start"
_KINDS: Final = ("w", "wg", "ws")
"""Names by code, of records without a name of their own, with a guid, and with a serial number."""


def plain_code(code: str) -> str:
    """The code under which all queues and logs are the same: "Msg110003" and "80001" are "80001"."""
    digits = code[3:].strip() if code[:3].lower() == "msg" else code
    return _ALARMS.get(digits, digits)


def of_queue(queue: str, head: RecordHead) -> tuple[Sighting, ...]:
    """Those of a queue's record; none of what no log has: second uploads, confirmations, marks, on-board messages."""
    if head.phase == "update" or head.update:
        return ()
    if queue == "alarm":
        return _alarm(queue, head) if head.alarm else ()
    if queue == "rawmsg":
        return access(queue, head) if head.door[0] else ()
    found = _happened(queue, head, "w")
    return () if found is None else (found,)


def looked_for(stored: Iterable[Sighting]) -> list[Sighting]:
    """The names by which a record may be known on another side, of those under which it is stored: the surest first."""
    found: list[Sighting] = []
    for one in stored:
        kind, _, rest = one.key.partition(" ")
        if kind == "g" and one.at:
            at, key, side = one
            found += [Sighting(at + shift, key, side) for shift in (_SHIFTS if rest.endswith(_START) else (0,))]
            found.append(Sighting(0, key, side))  # as earlier versions stored it, or of a record without a time
        elif kind not in _KINDS:
            found.append(one)
        else:
            found += [one._replace(key=f"{other} {rest}") for other in _KINDS if other != kind or kind == "w"]
    return found


def of_alarm_log(head: RecordHead) -> tuple[Sighting, ...]:
    """Those of a start or a pulse, or of an end, of the alarm log."""
    found = _alarm(ALARM_LOG, head)
    if head.phase == "end" and head.incident == _guid(head):
        return found
    happened = _happened(ALARM_LOG, head, "w" if _guid(head) is None else "wg")
    return found if happened is None or happened in found else (*found, happened)


def access(side: str, head: RecordHead) -> tuple[Sighting, ...]:
    """Those of an access event, of the message queue or of the access records."""
    serial = text(head.door[1], "serialNo")
    if serial is None or head.where.device_id is None or head.time is None:
        happened = _happened(side, head, "w")
        return () if happened is None else (happened,)
    happened = _happened(side, head, "ws")
    named = _sighting(_second(head.time), f"s {head.where.device_id} {serial}", side)
    return (named,) if happened is None else (named, happened)


def _alarm(side: str, head: RecordHead) -> tuple[Sighting, ...]:
    guid = _guid(head)
    doors = head.row.type.startswith("access.")
    happened = _happened(side, head, "w" if guid is None else "wg") if doors or guid is None else None
    if guid is None:
        return () if happened is None else (happened,)
    if head.phase == "end" and head.incident == guid:
        # Its own time stands in no queue's message of the start, and a guid has one end.
        return (_sighting(0, f"g {guid} end", side),)
    # A pulse repeats its guid, and the time parts one from another; a start needs none, and so no right time zone.
    at = 0 if head.time is None else _second(head.time)
    if at and head.groups.get("pulseAlarm") in TRUE:
        named = _sighting(at, f"g {guid} {at}", side)
    else:
        named = _sighting(at - at % _HOURS, f"g {guid} {_START}", side)
    return (named,) if happened is None else (named, happened)


def _guid(head: RecordHead) -> str | None:
    guid = head.alarm.get("guid") if head.alarm else None
    return guid if isinstance(guid, str) else None


def _happened(side: str, head: RecordHead, kind: str) -> Sighting | None:
    where = head.where.id or head.where.device_id or head.where.serial
    if where is None or head.time is None:
        return None
    return _sighting(_second(head.time), f"{kind} {plain_code(head.code)} {where}", side)


def _sighting(at: int, key: str, side: str) -> Sighting:
    return Sighting(at, key[:_LONGEST], side)


def _second(time: datetime) -> int:
    return int(time.timestamp())
