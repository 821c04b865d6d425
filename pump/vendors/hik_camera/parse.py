"""A message of the stream to an event, pure: EventNotificationAlert as XML or JSON.

What a message means beside others (repeats, ends, pictures) is `durative.py`'s and the listener's work.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Final

import orjson

from pump.core.event import Event, event_id, group
from pump.core.taxonomy import Phase
from pump.vendors.hik_camera.access import ACCESS, FAMILIES
from pump.vendors.hik_camera.access import UNKNOWN as UNKNOWN_ACCESS
from pump.vendors.hik_camera.codes import CHANNELS_OF_DEVICES, EVENTS, HEARTBEATS, UNKNOWN, Row
from pump.vendors.hik_camera.details import counts, details, listed_pictures
from pump.vendors.hik_camera.document import Tree
from pump.vendors.hik_camera.fields import child, children, flag, leaves, moment, text, whole
from pump.vendors.hik_camera.panel import Panel, read_panel

VENDOR: Final = "hik-camera"

_ENVELOPE: Final = frozenset(
    (
        "", "ipaddress", "ipv6address", "portno", "protocol", "macaddress", "channelid", "dynchannelid", "datetime",
        "activepostcount", "eventtype", "eventstate", "eventdescription", "channelname", "deviceid", "devicename",
        "isdatatransmission", "shortserialnumber", "@version", "targettype", "relatedchannellist",
    )
)  # fmt: skip
"""Fields that every message may have; one with no other says nothing of its own."""
_LINKS: Final = ("url", "link", "uri")
_PASSING: Final = frozenset(("activepostcount", "datetime", "datatime", "time"))
"""Fields, beside links, in which a repeated message differs from the one before."""

_INPUTS: Final = ("alarmInNo", "caseSensorNo", "deviceNo", "distractControlNo", "localControllerID")


@dataclass(slots=True)
class Facts:
    """What the device's own lists say; `names` by the event's channel number."""

    serial: str | None = None
    name: str | None = None
    model: str | None = None
    category: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Alert:
    """A message, read: its events as pulses, and what is needed to see it beside others."""

    events: list[Event]
    """One, or one for each thing that was counted."""
    row: Row
    phase: Phase
    """What the codes say: "start" and "end" of what is restored explicitly, "update" of what adds to such a matter,
    else "pulse"."""
    state: str
    """"active", "inactive" or what the device says."""
    matter: tuple[str, str, str]
    """Type, place, region: what starts and ends together."""
    fingerprint: str
    """Of the content without times, counters and links."""
    pictures: int | None
    """How many follow, where the message says so."""
    heartbeat: bool = False
    kind: str = ""
    """The device's event type in lower case."""
    serial: int | None = None
    """The device's running number of the message."""

    @property
    def event(self) -> Event:
        """The first."""
        return self.events[0]


def parse(message: Tree, facts: Facts, zone: tzinfo) -> Alert:
    """The message's event. ValueError where it is no event at all: it has no type."""
    tree = message
    inner = child(message, "EventNotificationAlert")
    if inner is not None and text(tree, "eventType") is None:
        tree = inner
    code = text(tree, "eventType")
    if code is None:
        raise ValueError(f"{message.get('') or 'the message'} has no eventType")
    kind = code.lower()
    row = EVENTS.get(kind, UNKNOWN)
    stamp = moment(text(tree, "dateTime", "dataTime", "time"), zone)
    state = (text(tree, "eventState") or "active").lower()
    found = details(row, tree)
    channel = text(tree, "dynChannelID", "channelID", "channel")
    place, name = _place(row, tree, channel, facts)
    type_, title, severity = row.type, row.name, row.severity
    phase: Phase = "pulse"
    known = row is not UNKNOWN
    access = child(tree, "AccessControllerEvent", "AcsEventInfo")
    if access is not None and row.type in ("access.unknown", "device.unknown"):
        coded = ACCESS.get(
            (_code(access, "majorEventType", "major"), _code(access, "subEventType", "minor")), UNKNOWN_ACCESS
        )
        type_, title, severity, phase = coded.type, coded.name, coded.severity, coded.phase
        found["access"] = group(
            granted=coded.granted, method=coded.method, **(found.get("access") or {}), reason=coded.reason
        )  # fmt: skip
        known = coded is not UNKNOWN_ACCESS
        code = f"{_code(access, 'majorEventType', 'major')}/{_code(access, 'subEventType', 'minor')}"
    if row is UNKNOWN:
        title = text(tree, "eventDescription") or title
    panel = None
    if (cid := child(tree, "CIDEvent")) and row.type in ("security.unknown", "device.unknown"):
        panel = read_panel(tree, cid, zone)
        type_, title, severity, phase, known = panel.type, panel.name, panel.severity, panel.phase, True
        code, stamp = panel.code or code, moment(panel.triggered, zone) or stamp
        found |= panel.groups
        place, name = panel.place, panel.subject
    late = access is not None and flag(access, "currentEvent") is False
    device = group(
        id=text(tree, "deviceID") or facts.serial,
        name=text(access, "deviceName") or facts.name,
        serial=facts.serial or text(tree, "shortSerialNumber"),
        model=facts.model,
        category=facts.category,
    )
    data: dict[str, Any] = {"vendor": VENDOR, "code": code, "name": title, "phase": "pulse", "severity": severity}
    data |= {"late": late, "update": False, "reconciled": False}
    data |= {key: value for key, value in (("device", device), ("place", place), *found.items()) if value}
    if panel is not None and panel.media:
        data["media"] = panel.media
    data["raw"] = {root: tree} if (root := message.pop("", "")) and tree is message else message
    regions = ",".join(sorted((*_regions(tree), *_inputs(access))))
    where = name[1] or ""
    matter = panel.matter if panel else kind if phase == "pulse" else FAMILIES.get(type_, type_)
    subject = f"{name[0]}/{name[1]}" if name[1] else None
    alert = Alert(
        [Event(type_, "", data, time=stamp, subject=subject, quarantined=not known)],
        row, phase, state, (matter, f"{name[0]}/{where}", regions),
        _fingerprint(tree), listed_pictures(tree), _heartbeat(kind, tree), kind,
    )  # fmt: skip
    _identify(alert, tree, facts, panel)
    for number, medium in enumerate(panel.media if panel else ()):
        medium["id"] = f"{alert.event.id}/{number}"
    if row.type == "video.people.counted":
        alert.events = _counted(alert.event, counts(tree))
    return alert


def _counted(event: Event, found: list[tuple[str, float]]) -> list[Event]:
    """An event for each number, its id with the number's name behind it."""
    events = []
    for what, value in found:
        data = {**event.data, "measure": {"what": what, "value": value, "unit": "people"}}
        events.append(Event(event.type, f"{event.id}/{what}", data, event.time, event.subject, event.dedup_time_ms))
    return events or [event]


def _identify(alert: Alert, tree: Tree, facts: Facts, panel: Panel | None) -> None:
    """Give the event its id: the device's own number of it, else its time and content.

    The number of an access event counts through the device's life; of a camera's event it may begin again, which
    the time makes good.
    """
    sent = (panel and panel.triggered) or text(tree, "dateTime", "dataTime", "time")
    stamp = moment(sent, UTC)  # without any configuration: what the time as sent stands for must never change
    access = child(tree, "AccessControllerEvent", "AcsEventInfo")
    serial = text(access, "serialNo", "serialNumber") or text(tree, "serialNo")
    kind = text(tree, "eventType")
    # Longer ones are no counters, and JSON could not hold the state with them.
    if serial is not None and len(serial) < 16 and serial.isascii() and serial.isdigit():
        alert.serial = int(serial)
    if panel is not None and (stamp is not None or panel.uuid is not None):
        alert.event.id = event_id(VENDOR, facts.serial or "", kind, panel.uuid, sent, *panel.identity)
    elif serial is not None:
        alert.event.id = event_id(VENDOR, facts.serial or "", kind, serial, sent)
    elif stamp is not None:
        alert.event.id = event_id(VENDOR, facts.serial or "", kind, sent, alert.state, alert.fingerprint)
    else:
        # Neither a number nor a time that can be believed: twice beats never.
        alert.event.id = event_id(VENDOR, facts.serial or "", kind, sent, alert.fingerprint, uuid.uuid4().hex)
    alert.event.dedup_time_ms = int(stamp.timestamp() * 1000) if stamp is not None else 0


def _code(tree: Tree, *names: str) -> int:
    found = whole(tree, *names)
    return -1 if found is None else found


def _place(
    row: Row, tree: Tree, channel: str | None, facts: Facts
) -> tuple[dict[str, Any] | None, tuple[str, str | None]]:
    """The place, and (kind, number) of what the event is about."""
    port = text(tree, "inputIOPortID", "dynInputIOPortID", "WLSensorID")
    access = child(tree, "AccessControllerEvent", "AcsEventInfo")
    door, reader = (
        number if number != "0" else None for number in (text(access, "doorNo"), text(access, "cardReaderNo"))
    )
    anpr = child(tree, "ANPR")
    named = text(tree, "channelName") or (facts.names.get(channel) if channel else None)
    place = group(channel=named or channel, zone=port, lane=text(anpr, "line", "laneNo"))
    if port is not None:
        return place, ("input", port)
    if row.type.startswith("device.") and row.type not in CHANNELS_OF_DEVICES:
        return None, ("device", facts.serial)
    if access is not None:
        place = group(channel=text(tree, "channelName"))
        return place, ("door", door or reader)
    return place, ("camera", channel)


def _regions(tree: Tree) -> Iterator[str]:
    regions = child(tree, "DetectionRegionList")
    for entry in children(regions, "DetectionRegionEntry"):
        if (number := text(entry, "regionID")) is not None:
            yield number
    if (number := text(tree, "regionID", "ruleID")) is not None:
        yield number


def _inputs(access: Tree | None) -> Iterator[str]:
    """Which of a controller's inputs and parts an access event is about; 0 is none."""
    for name in _INPUTS:
        if (number := text(access, name)) not in (None, "0"):
            yield f"{name} {number}"


def _heartbeat(kind: str, tree: Tree) -> bool:
    if kind == "heartbeat":
        return True
    if kind not in HEARTBEATS:
        return False
    return not any(
        value not in (None, "") for name, value in leaves({k: v for k, v in tree.items() if k.lower() not in _ENVELOPE})
    )


def _fingerprint(tree: Tree) -> str:
    """A digest of the content: two messages of one content differ in time, counter and signed links alone."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in leaves(tree):
        lower = name.lower()
        if lower in _PASSING or lower.endswith(_LINKS):
            continue
        digest.update(orjson.dumps([name, value if isinstance(value, str | int | float | None) else str(value)]))
    return digest.hexdigest()
