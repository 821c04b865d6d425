"""The gateway's messages to events: pure, no I/O (document, 9.10 to 9.14)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final, NamedTuple

from pump.core.errors import MessageError
from pump.core.event import Event, event_id
from pump.core.groups import BOUNDS, Alarm, Medium, Place, group
from pump.core.groups import Device as DeviceGroup
from pump.core.taxonomy import Phase, Severity
from pump.vendors.common.hik_cid import CODES, UNLISTED, Code, Spot, alarm_uuid, ending
from pump.vendors.common.json_repair import Bounds, JsonReader
from pump.vendors.common.values import link, text
from pump.vendors.hik_gateway.codes import KINDS, LASTING, ONCE, PARAMETERS, USER_TYPES, ZONES

VENDOR: Final = "hik-gateway"
loads: Final = JsonReader(
    "comments", "hexadecimal", "commas", "missing values", bounds=Bounds(largest=1 << 20), constant=lambda _: None
).loads
"""Reads a message as the gateway really writes it (docs/field.md); comments are the document's. Raises MessageError."""
HEARTBEAT: Final = "heartbeat"
_STATUS: Final[dict[str, Code]] = {
    "online": Code("device.online", "Device online", "info", "end"),
    "offline": Code("device.offline", "Device offline", "warning", "start"),
}
_STATUS_OTHER: Final = Code("device.unknown", "Device status changed", "info")
_STAMP: Final = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)[T ]+(\d\d?):(\d\d?):(\d\d?)(?:\.(\d{1,6})\d*)?\s*(Z|[+-]\d{1,2}:?\d{2})?"
)
_WORDS: Final = {
    "active": True, "true": True, "1": True, "inactive": False, "false": False, "0": False,
}  # fmt: skip
"""eventState (9.10), in lower case."""
_ONLINE: Final = {"true": "online", "1": "online", "false": "offline", "0": "offline"}
_COUNTED: Final = frozenset(("activePostCount",))
"""Members that a repeated message changes: no part of its identity."""
_WHOLE: Final = (str, int)
_PASSING: Final = frozenset(("activePostCount", "dateTime", "dataTime", "eventState"))
"""Members that change while something lasts: no part of its content."""


class PanelChange(NamedTuple):
    """The meaning of a field's new value in a panel's status."""

    type: str
    name: str
    phase: Phase
    severity: Severity
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the inventory knows it; None where it does not."""

    name: str | None = None
    model: str | None = None
    serial: str | None = None
    category: str | None = None


@dataclass(slots=True)
class Context:
    """The things that a message does not say itself."""

    zone: tzinfo = UTC
    """For times without an offset."""
    devices: Mapping[str, Device] = field(default_factory=dict)
    """By devIndex."""
    url: str = ""
    """The gateway's own, without a slash at its end; clips' addresses begin with it."""


@dataclass(slots=True)
class Parsed:
    """An event, and what it begins or ends: `matter` names that where its phase is start or end."""

    event: Event
    matter: str | None = None
    spot: Spot | None = None
    """Of an alarm: what it is about."""
    names: tuple[str | None, str | None] = (None, None)
    """An alarm's and its clip's: by the UUID, and by code, zone and the alarm's time."""
    clip: bool = False
    channel: str | None = None
    """A clip's camera."""
    content: str | None = None
    """Of what is repeated while it lasts: what does not change meanwhile."""
    lasting: bool = False
    """Its event type is known to last until it is inactive."""


def parse(message: Any, context: Context) -> Parsed | None:
    """The event of one EventNotificationAlert; None for a heartbeat. Raises MessageError for anything else.

    By the object that is present, for the document's CIDAlarm sample says eventType "videoReview".
    """
    alert = message.get("EventNotificationAlert") if isinstance(message, dict) else None
    if not isinstance(alert, dict):
        raise MessageError("it has no EventNotificationAlert")
    name = text(alert.get("eventType")) or ""
    if isinstance(alert.get("CIDAlarm"), dict):
        return _cid("CIDAlarm", alert["CIDAlarm"], message, alert, context)
    if (review := _review(alert)) is not None:
        return _cid("videoReview", review, message, alert, context)
    kind = name.lower()
    if kind == HEARTBEAT:
        return None
    if kind == "devstatuschanged":
        return _status(message, alert, context)
    return _other(name, message, alert, context)


def _review(alert: dict[str, Any]) -> dict[str, Any] | None:
    review = alert.get("VideoReview")
    if not isinstance(review, dict):
        return None
    inner = review.get("HikCIDParams")
    return inner if isinstance(inner, dict) else review


def _cid(
    kind: str, cid: dict[str, Any], message: dict[str, Any], alert: dict[str, Any], context: Context
) -> Parsed:  # fmt: skip
    code = text(cid.get("CIDCode")) or ""
    row = CODES.get(code, UNLISTED)
    index = _index(alert)
    zone, sub = _number(cid, "zoneNo", "ZoneNo"), _number(cid, "subSys")
    partition = None if sub == 0 else sub  # 0 is a zone's own alarm
    sent = text(cid.get("triggerTime"))
    uuid = text(cid.get("UUID"))
    local = ZONES.get(_integer(cid.get("timeZoneIdx")) or 0) or _offset(alert) or context.zone
    time = stamp(sent, local)
    dated = time is not None
    parameters = text(cid.get("CIDParam"), BOUNDS["sentence"])
    parts = _parameters(parameters)
    review = kind == "videoReview"
    over = None if review or _active(alert.get("eventState")) is not False else ending(code)
    identity: tuple[object, ...] = (index, kind, None if uuid == "0" else uuid, code, sent, zone, sub, parameters)
    if over is not None:
        row, identity = over, (*identity, "inactive")
        # triggerTime is the alarm's: that it is over was sent later.
        time = max((one for one in (time, stamp(_sent(alert), local)) if one is not None), default=None)
    uploaded = stamp(text(cid.get("uploadTime")), local)
    place = zone if zone is not None else parts.get("zone")
    known = alarm_uuid(uuid)
    filled: Alarm = {
        **parts,
        "zone": place,
        "partition": partition,
        "cid": code or None,
        "kind": _word(KINDS, cid.get("CIDType")),
        "uuid": known,
        "uploaded": _iso(uploaded) if uploaded else None,
    }
    alarm = group(filled | row.preset.get("alarm", Alarm()))
    name = text(cid.get("CIDDescribe")) if row.name == UNLISTED.name else None
    data: dict[str, Any] = {"vendor": VENDOR, "code": code or kind, "name": name or row.name}
    clips = _clips(cid, context)
    data["phase"] = "update" if review else row.phase
    data["severity"] = "info" if review else row.severity
    if review:
        data["name"] = f"Video verification: {data['name']}"
    _common(data, alert, context, zone=zone, partition=partition)
    if alarm:
        data["alarm"] = alarm
    if "power" in row.preset and not review:
        data["power"] = row.preset["power"]
    if clips:
        data["media"] = clips
    data["raw"] = message
    event = _event("security.video_review" if review else row.type, identity, time, sent, alert, data)
    renamed(event, event.id)
    names = (
        event_id("uuid", index, known.lower()) if known else None,
        event_id("moment", index, code, place, sent) if dated else None,
    )
    if review:
        return Parsed(event, names=names, clip=True, channel=text(alert.get("channelID")))
    where = parts.get("keypad"), parts.get("module"), parts.get("channel"), parts.get("disk")
    spot = Spot(index, code[1:], place, partition, *where)
    # The alarm begins a matter and its restore ends it; what has no restore by its code is a matter of its own.
    lasts = row.phase in ("start", "end") and code in CODES and CODES[code].phase != "pulse"
    matter = event_id("matter", index, code[1:], zone, sub, *where) if lasts else None
    return Parsed(event, matter, spot, names)


def _status(message: dict[str, Any], alert: dict[str, Any], context: Context) -> Parsed:
    status = status_word(alert.get("status"))
    row = _STATUS.get(status, _STATUS_OTHER)
    index = _index(alert)
    sent = _sent(alert)
    data: dict[str, Any] = {
        "vendor": VENDOR, "code": "devStatusChanged", "name": row.name, "phase": row.phase, "severity": row.severity,
    }  # fmt: skip
    _common(data, alert, context)
    data["raw"] = message
    event = _event(row.type, (index, "devStatusChanged", sent, status), stamp(sent, context.zone), sent, alert, data)
    return Parsed(event, event_id("matter", index, "devStatusChanged") if row.phase != "pulse" else None)


def reconciled(index: str, status: str, row: Mapping[str, Any], context: Context, moment: str) -> Parsed:
    """The event of a device whose status in the gateway's list (9.26) is not the one known; seen at `moment`.

    When it changed nobody knows: the event has no time of its own.
    """
    known = _STATUS[status]
    data: dict[str, Any] = {
        "vendor": VENDOR, "code": "devStatusChanged", "name": known.name, "phase": known.phase,
        "severity": known.severity, "reconciled": True,
    }  # fmt: skip
    _common(data, {"devIndex": index}, context)
    data["raw"] = dict(row)
    identity = event_id(index, "devStatusChanged", "reconciled", status, moment)
    event = Event(known.type, identity, data, subject=f"device/{index}")
    return Parsed(event, event_id("matter", index, "devStatusChanged"))


def panel_change(index: str, part: str, number: str, change: PanelChange, context: Context) -> Event:
    """The event of a panel's part that is not as it was last; as `reconciled`. Its id is still to be given."""
    data: dict[str, Any] = {
        "vendor": VENDOR, "code": change.type, "name": change.name, "phase": change.phase,
        "severity": change.severity, "reconciled": True,
    }  # fmt: skip
    place = _integer(number)
    zone, partition = (place if part == kind else None for kind in ("zone", "partition"))
    _common(data, {"devIndex": index}, context, zone=zone, partition=partition)
    if change.mode is not None:
        data["alarm"] = {"mode": change.mode}
    subject = f"zone/{index}/{zone}" if zone is not None else f"device/{index}"
    return Event(change.type, "", data, subject=subject)


def status_word(value: Any) -> str:
    """A device's status: "online" or "offline", however it is written, or what else was sent, in lower case."""
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    return _ONLINE.get(word, word)


def _other(name: str, message: dict[str, Any], alert: dict[str, Any], context: Context) -> Parsed:
    """An event type that the document does not have: it passes with its payload, and lasts where eventState says so."""
    sent = _sent(alert)
    kind, index = name.lower(), _index(alert)
    active = None if kind in ONCE else _active(alert.get("eventState"))
    data: dict[str, Any] = {
        "vendor": VENDOR, "code": name or "unknown", "name": text(alert.get("eventDescription")) or name or "Unknown",
        "phase": "pulse" if active is None else "start" if active else "end", "severity": "info",
    }  # fmt: skip
    _common(data, alert, context)
    data["raw"] = message
    content = {key: value for key, value in alert.items() if key not in _COUNTED}
    identity = (index, name, sent, json.dumps(content, sort_keys=True))
    event = _event("device.unknown", identity, stamp(sent, context.zone), sent, alert, data)
    if active is None:
        return Parsed(event)
    channel = text(alert.get("channelID")) or text(alert.get("channelName"))
    rest = {key: value for key, value in content.items() if key not in _PASSING}
    digest = event_id(json.dumps(rest, sort_keys=True))
    return Parsed(event, event_id("matter", index, kind, channel), content=digest, lasting=kind in LASTING)


def _active(state: Any) -> bool | None:
    """eventState, however it is written; None where it says nothing."""
    return _WORDS.get(str(state).strip().lower())


def renamed(event: Event, identity: str) -> None:
    """Give the event another id, and its media those that follow from it."""
    event.id = identity
    for place, entry in enumerate(event.data.get("media", ())):
        entry["id"] = f"{identity}/{place}"


def _event(
    type_: str, identity: tuple[object, ...], time: datetime | None, sent: str | None, alert: dict[str, Any],
    data: dict[str, Any],
) -> Event:  # fmt: skip
    # The lead is the time as sent, read without any configuration: what it stands for must never change.
    dedup_time_ms = stamp(sent, UTC) if sent else None
    index = _index(alert)
    zone = data.get("place", {}).get("zone")
    subject = None if index is None else f"device/{index}" if zone is None else f"zone/{index}/{zone}"
    return Event(
        type_, event_id(*identity), data, time, subject, int(dedup_time_ms.timestamp() * 1000) if dedup_time_ms else 0
    )


def _common(
    data: dict[str, Any], alert: dict[str, Any], context: Context, zone: int | str | None = None,
    partition: int | str | None = None,
) -> None:  # fmt: skip
    index = _index(alert)
    known = context.devices.get(index or "") or Device()
    channel = text(alert.get("channelName"))
    if device := group(
        DeviceGroup(
            id=index or text(alert.get("deviceID")),
            name=known.name,
            serial=known.serial,
            model=known.model,
            category=known.category,
        )
    ):
        data["device"] = device
    if where := group(Place(channel=channel or text(alert.get("channelID")), zone=zone, partition=partition)):
        data["place"] = where


def _parameters(text: str | None) -> Alarm:
    """CIDParam's eight parts by name; what is -1, "NONE" or missing is left out. A user's name may hold commas."""
    found: Alarm = {}
    for name, part in zip(PARAMETERS, (text or "").split(",", len(PARAMETERS) - 1), strict=False):
        value = part.strip()
        if not value or value == "-1" or (name == "user" and value.upper() == "NONE"):
            continue
        number = _integer(value)
        if name == "user_type":
            found[name] = USER_TYPES.get(number if number is not None else -1, value)
        else:
            found[name] = value if name == "user" or number is None else number
    return found


def _clips(cid: dict[str, Any], context: Context) -> list[Medium]:
    address = link(cid.get("videoURL")) or link(cid.get("videoURI"))
    if address is None:
        return []
    url = address if "://" in address else f"{context.url}/{address.lstrip('/')}"
    return [{"id": "", "kind": "video", "mime": "video/mp4", "url": url, "state": "remote"}]


def stamp(text: str | None, zone: tzinfo) -> datetime | None:
    """A time of the gateway's, aware; in `zone` where it has no offset. None where it is none, or before 2000."""
    found = _STAMP.search(text or "")
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    micros = int(fraction.ljust(6, "0")) if fraction else 0
    place = (offset and _offset_of(offset)) or zone
    try:
        time = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micros, place)
        return time.astimezone(UTC) if time.year >= 2000 else None
    except (ValueError, OverflowError):
        return None


def _index(alert: dict[str, Any]) -> str | None:
    return text(alert.get("devIndex"), BOUNDS["id"])


def _sent(alert: dict[str, Any]) -> str | None:
    return text(alert.get("dateTime")) or text(alert.get("dataTime"))


def _offset(alert: dict[str, Any]) -> tzinfo | None:
    found = _STAMP.search(_sent(alert) or "")
    return _offset_of(found[8]) if found else None


def _offset_of(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").zfill(4)
    shift = timedelta(hours=int(digits[:-2]), minutes=int(digits[-2:]))
    return timezone(-shift if text[0] == "-" else shift) if shift < timedelta(days=1) else None


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _integer(value: Any) -> int | None:
    if not isinstance(value, _WHOLE):
        return None
    try:
        return int(value) if len(value if type(value) is str else str(value)) < 16 else None
    except ValueError:
        return None


def _number(fields: dict[str, Any], *names: str) -> int | str | None:
    """The first of the fields that is there, as a number where it is one; -1 is none."""
    value = next((fields[name] for name in names if fields.get(name) is not None), None)
    number = _integer(value)
    return text(value) if number is None else None if number == -1 else number


def _word(words: dict[int, str], value: Any) -> str | int | None:
    number = _integer(value)
    return text(value) if number is None else words.get(number, number)
