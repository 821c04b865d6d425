"""The alarm queue: AlarmMsg (A.3.20)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from pump.core.errors import MessageError
from pump.core.event import event_id
from pump.core.groups import Alarm
from pump.core.taxonomy import Phase
from pump.vendors.common.fields import Group, child, text
from pump.vendors.common.timestamps import dedup_time_ms, located, moment
from pump.vendors.hik_connect.codes import CODES
from pump.vendors.hik_connect.groups import plain
from pump.vendors.hik_connect.head import NO_DOOR, RecordHead, anonymous, pair, unknown
from pump.vendors.hik_connect.marks import KINDS
from pump.vendors.hik_connect.media import links, shape
from pump.vendors.hik_connect.resource import of_alarm
from pump.vendors.hik_connect.uploads import Uploads
from pump.vendors.hik_connect.words import CATEGORY_DOMAINS, PRIORITIES, TRUE


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
    files = shape(record, record)
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
            linked = links(record, record, plain(record))
            identity = uploads.fuller(key, identity, linked)
            updates = uploads.first(key, identity, files, linked, pulse=pulse)
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
        second, group, record, NO_DOOR,
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
