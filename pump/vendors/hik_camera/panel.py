"""CIDEvent of an alarm panel's cidEvent: Hikvision's CID codes, as the Device Gateway has them.

`code` is Hikvision's own (1103 instant alarm), `standardCIDcode` that of the Contact ID standard (1130): where the
own one has no row, the standard's does, if both say triggered or both restored. An alarm's code whose eventState is
inactive is its end. A message with `recheck` 1 is the second report of an alarm, which brings its clip or picture.
`name` is who did it, or the event's own name: it is a person where it shares no word with what the code means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Final

from pump.core.event import event_id
from pump.core.groups import BOUNDS, Alarm, Groups, Medium, Place, group
from pump.core.taxonomy import Phase, Severity
from pump.core.text import bounded
from pump.vendors.common.fields import link
from pump.vendors.common.hik_cid import CODES, UNLISTED, Code, Spot, alarm_uuid, ending
from pump.vendors.hik_camera.document import Tree
from pump.vendors.hik_camera.fields import moment, text, whole

_PERIPHERALS: Final = (
    "keypad", "extensionModule", "outputModule", "repeater", "siren", "cardReader", "remoteCtrlNo", "alarmLineNo",
    "ipcChannel",
)  # fmt: skip
"""The parts that a message is about where that is no zone: two sirens' batteries are two matters."""
_DIFFERING: Final = ("keypad", "extensionModule", "ipcChannel", "hddNo")
"""Those in which an end may differ from its start, in the order of a `Spot`."""
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_DEEDS: Final = frozenset(
    (
        "alarm", "arm", "armed", "arming", "away", "bypass", "bypassed", "clear", "cleared", "disarm", "disarmed",
        "disarming", "event", "fault", "restore", "restored", "stay", "system", "test", "zone",
    )
)  # fmt: skip
"""Words of the names of events."""
_BLANK: Final = ("", "0")
"""UUIDs that are no part of the identity."""
_INACTIVE: Final = frozenset(("inactive", "false", "0"))
"""An eventState that has ended, in lower case."""


@dataclass(slots=True)
class Panel:
    """A CIDEvent, read."""

    code: str | None
    type: str
    name: str
    severity: Severity
    phase: Phase
    groups: Groups
    """Of the event's groups those that it fills: alarm, power."""
    subject: tuple[str, str | None]
    """The kind of thing that it is about, and its number."""
    place: Place | None
    uuid: str | None
    identity: tuple[object, ...]
    """The record's own, beside the device's serial number, the UUID and the time."""
    triggered: str | None
    """When it happened, as sent."""
    matter: str
    """The word that a start shares with its end."""
    names: tuple[str | None, str | None]
    """By what its alarm is found: the UUID, and the moment; None where it has none."""
    spot: Spot
    """What it is about, for an end that differs from its start."""
    again: bool
    """It is the second report of an alarm."""
    media: list[Medium] = field(default_factory=list)
    """Its clip and picture, without ids."""

    @property
    def partition(self) -> str | None:
        """The partition's number, where it has one."""
        found = (self.groups.get("alarm") or {}).get("partition")
        return None if found is None else str(found)


def read_panel(tree: Tree, cid: Tree, zone_: tzinfo) -> Panel:
    """The message's CIDEvent; times without an offset are in `zone_`."""
    standard = text(cid, "standardCIDcode")
    code = text(cid, "code") or standard or ""
    listed = code
    if code not in CODES and standard is not None and standard[:1] == code[:1]:
        listed = standard
    row = CODES.get(listed, UNLISTED)
    name = (text(cid, "name") or row.name) if row is UNLISTED else row.name
    again = whole(tree, "recheck") == 1
    user = text(cid, "userName")
    who = user or _who(cid, row)
    ended = str(tree.get("eventState")).strip().lower() in _INACTIVE and not again and ending(listed)
    if ended:
        row, name = ended, ended.name if row is not UNLISTED else name
    zone, system, keypad = (_place(cid, one) for one in ("zone", "system", "keypad"))
    partition = None if system in (0, "0") else system
    others = [_place(cid, one) for one in _PERIPHERALS]
    triggered = text(cid, "trigger")
    uploaded = moment(text(cid, "upload"), zone_)
    number = _place(cid, "user")
    alarm: Alarm = {
        "zone": zone, "partition": partition, "cid": code or None, "kind": text(cid, "type"),
        "user": who, "user_type": text(cid, "userType"), "user_number": number,
        "keypad": keypad, "module": _place(cid, "extensionModule"),
        "uploaded": uploaded.astimezone(UTC).isoformat().replace("+00:00", "Z") if uploaded else None,
    }  # fmt: skip
    uuid = text(tree, "uuid", "UUID") or text(cid, "uuid", "UUID") or ""
    if known := alarm_uuid(uuid):
        alarm["uuid"] = known
    groups: Groups = {}
    if filled := group(alarm | row.preset.get("alarm", Alarm())):
        groups["alarm"] = filled
    if "power" in row.preset and not again:
        groups["power"] = row.preset["power"]
    area = text(cid, "subSystemName", "subsystemName", "systemName") or text(tree, "subSystemName")
    named = text(cid, "zoneName") or text(tree, "zoneName")
    return Panel(
        code or None,
        "security.video_review" if again else row.type,
        f"Video verification: {name}" if again else name,
        "info" if again else row.severity,
        "update" if again else row.phase,
        groups,
        ("zone", str(zone)) if zone is not None else ("panel", None),
        group(Place(zone=named or zone, partition=area or partition, channel=text(tree, "channelName"))),
        None if uuid in _BLANK else uuid,
        (code, zone, system, user, again, *others, *(("inactive",) if ended else ())),
        triggered,
        bounded("/".join(("cid", code[1:], *(str(one) for one in (zone, system, *others)))), BOUNDS["name"]),
        (
            event_id("uuid", known.lower()) if known else None,
            event_id("moment", code, zone, triggered) if triggered else None,
        ),
        _spot(cid, code, zone, partition),
        again,
        _media(tree) if again else [],
    )


def _spot(cid: Tree, code: str, zone: int | str | None, partition: int | str | None) -> Spot:
    """The place and parts. Where there is no zone the peripheral beside them is what it is about, and must agree."""
    parts = [f"{name} {number}" for name in _PERIPHERALS if (number := _place(cid, name)) is not None]
    about = [one for one in parts if one.split(" ")[0] not in _DIFFERING]
    named = [_place(cid, name) for name in _DIFFERING]
    return Spot(", ".join(about) if zone is None else None, code[1:], zone, partition, *named)


def _who(cid: Tree, row: Code) -> str | None:
    """Who did it: the name, unless it is the event's own."""
    name = text(cid, "name")
    if name is None or (row is UNLISTED and _place(cid, "user") is None):
        return None
    own = _DEEDS | {word.lower() for word in _WORD.findall(row.name)}
    return None if any(word.lower() in own for word in _WORD.findall(name)) else name


def _place(cid: Tree, name: str) -> int | str | None:
    """A zone's, partition's or peripheral's number, where it is one; -1 is none."""
    number = whole(cid, name)
    return text(cid, name) if number is None else None if number == -1 else number


def _media(tree: Tree) -> list[Medium]:
    listed = (("videoURL", "video", "video/mp4"), ("imageURL", "picture", "image/jpeg"))
    return [
        {"id": "", "kind": kind, "mime": mime, "url": url, "state": "remote"}
        for name, kind, mime in listed
        if "://" in (url := link(tree, name) or "")
    ]
