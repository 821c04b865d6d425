"""A message of the stream to an event, pure: EventNotificationAlert as XML or JSON.

What it means beside others (repeats, ends, second uploads, pictures) is for `incidents.py`, `uploads.py`, `handler.py`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from typing import Any, Final

from pump.core.event import Event, event_id
from pump.core.groups import Access as AccessGroup
from pump.core.groups import Alarm, Device, Medium, Place, Queue, group
from pump.core.taxonomy import Phase
from pump.vendors.common.fields import child
from pump.vendors.hik_camera.access import ACCESS, SIGN_OF_LIFE, Access
from pump.vendors.hik_camera.access import UNKNOWN as UNKNOWN_ACCESS
from pump.vendors.hik_camera.codes import CHANNELS_OF_DEVICES, CONTINUES, EVENTS, HEARTBEATS, UNKNOWN, Row
from pump.vendors.hik_camera.details import details
from pump.vendors.hik_camera.document import Leaf, Tree, Weight, digest, leaves, walked
from pump.vendors.hik_camera.fields import entries, flag, joined, moment, stored, text, whole
from pump.vendors.hik_camera.links import links, pictures_to_come
from pump.vendors.hik_camera.panel import Panel, read_panel
from pump.vendors.hik_camera.readings import Reading, counts, limit, periodic, temperatures, waited

VENDOR: Final = "hik-camera"

_ENVELOPE: Final = frozenset(
    (
        "", "ipaddress", "ipv6address", "portno", "protocol", "protocoltype", "macaddress", "channelid", "dynchannelid",
        "channelno", "datetime", "activepostcount", "eventtype", "eventstate", "eventdescription", "channelname",
        "deviceid", "deviceuuid", "devicename", "deviceserial", "serialnumber", "subserialnumber", "shortserialnumber",
        "isdataretransmission", "isdatatransmission", "isretransmission", "alarmdatatype", "hasmoredata", "uuid",
        "serialno", "frontserialno", "detectionpicturetranstype", "imagetranstype", "urlcertificationtype", "@version",
        "targettype", "relatedchannellist",
    )
)  # fmt: skip
"""Fields that every message may have; one with no other says nothing of its own."""
_COUNTS_OF_PICTURES: Final = frozenset(("detectionpicturesnumber", "picturesnumber", "picnum"))
"""Fields that say nothing where they are 0."""
_NO_UUID: Final = re.compile(r"[0-]*|null|none|unknown", re.IGNORECASE)
_COUNTED: Final = frozenset(("video.people.counted", "video.targets.counted"))
"""Types of which each number is an event."""
_QUANTITIES: Final = frozenset(
    ("video.queue.length", "video.queue.time", "video.people.density", "video.people.abnormal")
)
"""Types that last and carry a number of people."""
_PERIODIC: Final = EVENTS["framespeoplecounting"]

_DISAPPEARED: Final = "isTargetDisappear"
_REGIONAL: Final = frozenset(("DetectionRegionList", "DetectionRegionEntry", "regionID", "ruleID"))
_INPUTS: Final = ("alarmInNo", "caseSensorNo", "deviceNo", "distractControlNo", "localControllerID")


@dataclass(slots=True)
class Facts:
    """The content of the device's own lists; `names` by the event's channel number."""

    serial: str | None = None
    name: str | None = None
    model: str | None = None
    category: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    """The device's own address, to complete those of its pictures."""
    qualifier: str = ""
    """Leads numbers of channels, inputs, zones and doors, which each device counts for itself (`Source.qualifier`)."""

    def subject(self, kind: str, number: str | None) -> str | None:
        """CloudEvents' subject, unique within a site: "camera/1", "camera/gate/1", "device/<serial number>"."""
        own = "" if kind == "device" or not self.qualifier else f"{self.qualifier}/"
        return f"{kind}/{own}{number}" if number else None


@dataclass(slots=True)
class Alert:
    """A message, read: its events as pulses, and what is needed to see it beside others."""

    events: list[Event]
    """One, or one for each thing that was counted."""
    row: Row
    phase: Phase
    """The phase by the codes: "start" and "end" of what is restored explicitly, "update" of what adds to such a matter,
    else "pulse"."""
    state: str
    """"active", "inactive" or what the device says."""
    matter: tuple[str, str, str]
    """Type, place, region: what starts and ends together."""
    leaves: Sequence[Leaf]
    """The message's."""
    pictures: int | None
    """The number that follows, where the message says so."""
    heartbeat: bool = False
    kind: str = ""
    """The device's event type in lower case."""
    serial: int | None = None
    """The device's running number of the message."""
    late: bool = False
    """The device had stored it and sends it later."""
    anew: bool = False
    """A start that is a matter of its own even while one of its kind is open."""
    family: str = ""
    """The first part of `matter` in spools of older versions."""
    prolongs: tuple[tuple[str, str, str], ...] = ()
    """Not an event: the matters (type, place, region) that it says go on."""
    record: str | None = None
    """The device's UUID of the record that the event is, which may come more than once."""
    more: bool = False
    """The device will send the record again, with more in it."""
    panel: Panel | None = None
    """Of a panel's CID event."""
    others: list[Alert] = field(default_factory=list)
    """Of the message's further regions, where each is a matter of its own."""

    @property
    def event(self) -> Event:
        """The first."""
        return self.events[0]

    @property
    def fingerprint(self) -> str:
        """Of the content without times, counters and links; made when it is asked for, as most ids do without."""
        return digest(self.leaves, Weight.SENDING)

    @property
    def content(self) -> str:
        """Of the record without what says how it was sent; made when it is asked for."""
        return digest(self.leaves, Weight.CONTENT)


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
    row = _row(kind, tree)
    if kind in CONTINUES:
        return _continuing(kind, row, tree, facts, zone)
    root = message.pop("", "")
    named, objects = walked(tree)
    sent = text(tree, "dateTime", "dataTime", "time")
    stamp = moment(sent, zone)
    channel = text(tree, "dynChannelID", "channelID", "channel")
    access, anpr = child(tree, "AccessControllerEvent", "AcsEventInfo"), child(tree, "ANPR")
    found = details(row, tree, access, objects)
    place, name = _place(row, tree, access, anpr, channel, facts)
    type_, title, severity = row.type, row.name, row.severity
    phase: Phase = "pulse"
    known = row is not UNKNOWN
    coded: Access | None = None
    if access is not None and row.type in ("access.unknown", "device.unknown"):
        pair = (_code(access, "majorEventType", "major"), _code(access, "subEventType", "minorEventType", "minor"))
        coded = ACCESS.get(pair, UNKNOWN_ACCESS)
        type_, title, severity, phase = coded.type, coded.name, coded.severity, coded.phase
        said = found.get("access", AccessGroup())
        if filled := group(AccessGroup(granted=coded.granted, method=coded.method) | said | {"reason": coded.reason}):
            found["access"] = filled
        known = coded is not UNKNOWN_ACCESS
        code = f"{pair[0]}/{pair[1]}"
    if row is UNKNOWN:
        title = text(tree, "eventDescription") or title
    panel = None
    if (cid := child(tree, "CIDEvent")) and row.type in ("security.unknown", "device.unknown"):
        panel = read_panel(tree, cid, zone)
        type_, title, severity, phase, known = panel.type, panel.name, panel.severity, panel.phase, True
        code, stamp = panel.code or code, moment(panel.triggered, zone) or stamp
        found |= panel.groups
        place, name = panel.place, panel.subject
    late = stored(named)
    device = group(
        Device(
            id=text(tree, "deviceID") or facts.serial,
            name=text(access, "deviceName") or facts.name,
            serial=facts.serial or text(tree, "shortSerialNumber"),
            model=facts.model,
            category=facts.category,
        )
    )
    data: dict[str, Any] = {
        "vendor": VENDOR, "code": code, "name": title, "phase": "pulse", "severity": severity,
        "late": late, "update": False, "reconciled": False,
    }  # fmt: skip
    for key, value in (("device", device), ("place", place), *found.items()):
        if value:
            data[key] = value
    media: list[Medium] = (panel.media if panel else None) or links(named, facts.url)
    if media:
        data["media"] = media
    data["raw"] = {root: tree} if root and tree is message else message
    matter = panel.matter if panel else coded.matter if coded and phase != "pulse" else kind
    subject = facts.subject(*name) or (facts.subject("partition", panel.partition) if panel is not None else None)
    alert = Alert(
        [Event(type_, "", data, time=stamp, subject=subject, quarantined=not known)],
        row, phase, _state(row, tree), (matter, f"{name[0]}/{name[1] or ''}", joined(_parts(tree, access, coded))),
        named, pictures_to_come(tree, anpr, access, named, any(one["kind"] == "picture" for one in media)),
        _heartbeat(kind, tree) or coded is SIGN_OF_LIFE, kind, late=late, anew=coded is not None and coded.anew,
        family=coded.family if coded else "", panel=panel,
        more=bool(flag(tree, "hasMoreData") or flag(anpr, "hasMoreData")),
    )  # fmt: skip
    _identify(alert, tree, access, anpr, facts, (panel and panel.triggered) or sent)
    _number(alert.event)
    _spread(alert, tree)
    return alert


def _row(kind: str, tree: Tree) -> Row:
    """The type's row. A density that is reported by the clock is a count."""
    row = EVENTS.get(kind, UNKNOWN)
    return _PERIODIC if row.type == "video.people.density" and periodic(tree) else row


def _state(row: Row, tree: Tree) -> str:
    state = (text(tree, "eventState") or "active").lower()
    if row.type == "security.target.tracked":
        gone = [str(one).strip().lower() in ("true", "1") for name, _, one in leaves(tree) if name.text == _DISAPPEARED]
        if gone and all(gone):
            return "inactive"  # the radar lost every target that the message is about
    return state


def _continuing(kind: str, row: Row, tree: Tree, facts: Facts, zone: tzinfo) -> Alert:
    """A message that says that others go on; nothing where it says that they do not."""
    stamp = moment(text(tree, "dateTime", "dataTime", "time"), zone)
    channel = text(tree, "dynChannelID", "channelID", "channel")
    state = (text(tree, "eventState") or "active").lower()
    regions = joined(sorted(_regions(tree)))
    prolongs = []
    for name, _, value in leaves(tree):
        if name.lower == "relationevent" and isinstance(value, str) and value.strip() and state == "active":
            other = value.strip().lower()
            access, anpr = child(tree, "AccessControllerEvent", "AcsEventInfo"), child(tree, "ANPR")
            _, subject = _place(EVENTS.get(other, UNKNOWN), tree, access, anpr, channel, facts)
            prolongs.append((other, f"{subject[0]}/{subject[1] or ''}", regions))
    event = Event(row.type, "", {}, time=stamp)
    return Alert([event], row, "pulse", state, (kind, "", ""), (), 0, False, kind, prolongs=tuple(prolongs) or _NOTHING)


_NOTHING: Final = (("", "", ""),)
"""Of a message that continues something, and does not say what."""


def _spread(alert: Alert, tree: Tree) -> None:
    """An event for each number that was counted; a matter for each region that was measured."""
    row, event = alert.row, alert.event
    if row.type in _COUNTED:
        if "queue" in alert.kind and (queue := group(Queue(wait_s=waited(tree)))):
            event.data["queue"] = queue
        alert.events = _counted(event, counts(tree))
        return
    if row.type.startswith("video.temperature"):
        found = temperatures(tree)
    elif row.type in _QUANTITIES:
        found = counts(tree)
        if queue := group(Queue(threshold=limit(tree), wait_s=waited(tree))):
            event.data["queue"] = queue
    else:
        return
    regions: dict[str | None, Reading] = {}
    for reading in found:
        regions.setdefault(reading.region, reading)
    if not row.durative:
        alert.events = _counted(event, found, plain=True)
        return
    bare = dict(event.data)
    for number, (region, reading) in enumerate(regions.items()):
        data = {**bare, "measure": reading.measure()}
        _locate(data, reading)
        if number == 0:
            event.data = data
            if region is not None:
                alert.matter = (alert.matter[0], alert.matter[1], region)
            continue
        data.pop("media", None)  # the message's, and so its first event's
        more = Event(event.type, f"{event.id}/{region or number}", data, event.time, event.subject, event.dedup_time_ms)
        alert.others.append(
            replace(
                alert, events=[more], matter=(alert.matter[0], alert.matter[1], region or ""), pictures=0, others=[]
            )
        )


def _locate(data: dict[str, Any], reading: Reading) -> None:
    """Put the reading's region and rule into the event."""
    if reading.region is not None or reading.region_name is not None:
        region = group(Place(zone=reading.region, area=reading.region_name)) or {}
        data["place"] = (data.get("place") or {}) | region
    if reading.rule is not None:
        data["alarm"] = Alarm(rule=reading.rule)
    if "queue" in data and reading.region is not None:
        data["queue"] = {"region": reading.region, **data["queue"]}


def _counted(event: Event, found: list[Reading], *, plain: bool = False) -> list[Event]:
    """An event for each number, its id with the number's name behind it, and the region's where the name repeats.

    `plain`: the first one's id has nothing behind it.
    """
    events: list[Event] = []
    ids: set[str] = set()
    for reading in found:
        data = {**event.data, "measure": reading.measure()}
        _locate(data, reading)
        if events:
            data.pop("media", None)
        base = f"{event.id}/{reading.word}"
        tries = (base, f"{base}/{reading.region}", *(f"{base}/{reading.region}/{n}" for n in range(2, len(found) + 2)))
        identity = event.id if plain and not events else next(one for one in tries if one not in ids)
        ids.add(identity)
        events.append(Event(event.type, identity, data, event.time, event.subject, event.dedup_time_ms))
    for one in events[:1]:
        _number(one)
    return events or [event]


def _number(event: Event) -> None:
    """Give the event's media their ids."""
    for number, medium in enumerate(event.data.get("media", ())):
        medium["id"] = f"{event.id}/{number}"


def _identify(alert: Alert, tree: Tree, access: Tree | None, anpr: Tree | None, facts: Facts, sent: str | None) -> None:
    """Give the event its id: the device's own identity of it, else its time and content.

    The number of an access event counts through the device's life; of a camera's event it may begin again, which
    the time makes good. So it does for a UUID that is but a number, and for one of what lasts.
    """
    panel, event = alert.panel, alert.event
    stamp = moment(sent, UTC)  # without any configuration: what the time as sent stands for must never change
    serial = text(access, "serialNo", "serialNumber") or text(tree, "serialNo")
    kind = text(tree, "eventType")
    matched = ("VehicleMatchResult", "vehicleMatchResult")
    record = _uuid(tree) or _uuid(access) or _uuid(anpr) or _uuid(child(tree, *matched))
    counter = record is not None and record.isdigit()
    # Longer ones are no counters, and JSON could not hold the state with them.
    if serial is not None and len(serial) < 16 and serial.isascii() and serial.isdigit():
        alert.serial = int(serial)
    if panel is not None and (stamp is not None or panel.uuid is not None):
        event.id = event_id(VENDOR, facts.serial or "", kind, panel.uuid, sent, *panel.identity)
    elif serial is not None and (record is None or counter or access is not None):
        event.id = event_id(VENDOR, facts.serial or "", kind, serial, sent)
    elif record is not None and (counter or alert.row.durative):
        event.id = event_id(VENDOR, facts.serial or "", kind, "uuid", record, sent)
    elif record is not None:
        event.id = event_id(VENDOR, kind, "uuid", record)
        stamp = None  # the time is no part of it
    elif stamp is not None:
        event.id = event_id(VENDOR, facts.serial or "", kind, sent, alert.state, alert.fingerprint)
    else:
        # Neither a number nor a time that can be believed: twice beats never.
        event.id = event_id(VENDOR, facts.serial or "", kind, sent, alert.fingerprint, uuid.uuid4().hex)
    event.dedup_time_ms = int(stamp.timestamp() * 1000) if stamp is not None else 0
    if record is not None and panel is None and alert.phase == "pulse" and not alert.row.durative:
        alert.record = event_id(kind, record, sent if counter else None)


def _uuid(part: Tree | None) -> str | None:
    """The device's UUID of the record, where this object has it."""
    found = text(part, "UUID", "uuid", "Uuid", "eventUUID", "eventUuid")
    return None if found is None or _NO_UUID.fullmatch(found) else found


def _code(tree: Tree, *names: str) -> int:
    found = whole(tree, *names)
    return -1 if found is None else found


def _place(
    row: Row, tree: Tree, access: Tree | None, anpr: Tree | None, channel: str | None, facts: Facts
) -> tuple[Place | None, tuple[str, str | None]]:
    """The place, and (kind, number) of what the event is about."""
    port = text(tree, "inputIOPortID", "dynInputIOPortID", "WLSensorID")
    named = text(tree, "channelName") or (facts.names.get(channel) if channel else None)
    place = group(Place(channel=named or channel, zone=port, lane=text(anpr, "line", "laneNo")))
    if port is not None:
        return place, ("input", port)
    if row.type == "security.zone.updated" and (zone := child(tree, "ZoneUpdate", "zoneUpdate", "Zone")) is not None:
        number = text(zone, "zone", "zoneNo", "zoneID", "id")
        named = text(zone, "zoneName", "name") or number
        return group(Place(zone=named, channel=text(tree, "channelName"))), ("zone", number)
    if row.type.startswith("device.") and row.type not in CHANNELS_OF_DEVICES:
        return None, ("device", facts.serial)
    if access is not None:
        place = group(Place(channel=text(tree, "channelName")))
        door, reader = text(access, "doorNo"), text(access, "cardReaderNo")
        return place, ("door", next((number for number in (door, reader) if number not in (None, "0")), None))
    return place, ("camera", channel)


def _regions(tree: Tree) -> list[str]:
    if _REGIONAL.isdisjoint(tree):
        return []
    numbers = [*(text(entry, "regionID") for entry in entries(tree)), text(tree, "regionID", "ruleID")]
    return [number for number in numbers if number is not None]


def _parts(tree: Tree, access: Tree | None, coded: Access | None) -> list[str]:
    """The regions, inputs and parts that the message is about, in order; an input or a part of number 0 is none."""
    found = _regions(tree)
    if access is not None:
        inputs = [(name, text(access, name)) for name in _INPUTS if name in access]
        found += [f"{name} {number}" for name, number in inputs if number not in (None, "0")]
        if coded is not None and coded.pair.startswith("reader") and (reader := text(access, "cardReaderNo")):
            found.append(f"cardReaderNo {reader}")
    return sorted(found)


def _heartbeat(kind: str, tree: Tree) -> bool:
    if kind == "heartbeat":
        return True
    if kind not in HEARTBEATS:
        return False
    own = {name: value for name, value in tree.items() if name.lower() not in _ENVELOPE}
    return not any(
        value not in (None, "") and not (name.lower in _COUNTS_OF_PICTURES and str(value).strip() == "0")
        for name, _, value in leaves(own)
    )
