"""CIDEvent of an alarm panel's cidEvent: Hikvision's CID codes, as the Device Gateway has them.

`code` is Hikvision's own (1103 instant alarm), `standardCIDcode` that of the Contact ID standard (1130): where the
own one has no row, the standard's does, if both say triggered or both restored. A message with `recheck` 1 is the
second report of an alarm, which brings its clip or picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Final

from pump.core.event import group
from pump.core.taxonomy import Phase, Severity
from pump.vendors.common.hik_cid import CODES, UNLISTED
from pump.vendors.hik_camera.document import Tree
from pump.vendors.hik_camera.fields import moment, text, whole

_PERIPHERALS: Final = (
    "keypad", "extensionModule", "outputModule", "repeater", "siren", "cardReader", "remoteCtrlNo", "alarmLineNo",
    "ipcChannel",
)  # fmt: skip
"""What a message is about where that is no zone: two sirens' batteries are two matters."""
_BLANK: Final = ("", "0")
"""UUIDs that say that there is none."""


@dataclass(slots=True)
class Panel:
    """A CIDEvent, read."""

    code: str | None
    type: str
    name: str
    severity: Severity
    phase: Phase
    groups: dict[str, Any]
    """alarm, power: what of the event's groups it fills."""
    subject: tuple[str, str | None]
    """What it is about, and its number."""
    place: dict[str, Any] | None
    uuid: str | None
    identity: tuple[object, ...]
    """The record's own, beside the device's serial number, the UUID and the time."""
    triggered: str | None
    """When it happened, as sent."""
    matter: str
    """What starts and ends together."""
    media: list[dict[str, Any]] = field(default_factory=list)
    """Its clip and picture, without ids."""


def read_panel(tree: Tree, cid: Tree, zone_: tzinfo) -> Panel:
    """The message's CIDEvent; times without an offset are in `zone_`."""
    standard = text(cid, "standardCIDcode")
    code = text(cid, "code") or standard or ""
    row = CODES.get(code, UNLISTED)
    if row is UNLISTED and standard is not None and standard[:1] == code[:1]:
        row = CODES.get(standard, UNLISTED)
    name = (text(cid, "name") or row.name) if row is UNLISTED else row.name
    zone, partition, keypad = (_place(cid, one) for one in ("zone", "system", "keypad"))
    others = [_place(cid, one) for one in _PERIPHERALS]
    triggered = text(cid, "trigger")
    uploaded = moment(text(cid, "upload"), zone_)
    alarm = {
        "zone": zone, "partition": partition, "cid": code or None, "kind": text(cid, "type"),
        "user": text(cid, "userName"), "keypad": keypad, "module": _place(cid, "extensionModule"),
        "uploaded": uploaded and uploaded.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }  # fmt: skip
    again = whole(tree, "recheck") == 1
    groups: dict[str, Any] = {"alarm": group(**alarm | row.preset.get("alarm", {}))}
    if "power" in row.preset and not again:
        groups["power"] = row.preset["power"]
    uuid = text(tree, "uuid") or ""
    return Panel(
        code or None,
        "security.video_review" if again else row.type,
        f"Video verification: {name}" if again else name,
        "info" if again else row.severity,
        "update" if again else row.phase,
        groups,
        ("zone", str(zone)) if zone is not None else ("panel", None),
        group(zone=zone, partition=partition, channel=text(tree, "channelName")),
        None if uuid in _BLANK else uuid,
        (code, zone, partition, alarm["user"], again, *others),
        triggered,
        "/".join(("cid", code[1:], *(str(one) for one in (zone, partition, *others)))),
        _media(tree) if again else [],
    )


def _place(cid: Tree, name: str) -> int | str | None:
    """A zone's, partition's or peripheral's number, where it is one; -1 is none."""
    number = whole(cid, name)
    return text(cid, name) if number is None else None if number == -1 else number


def _media(tree: Tree) -> list[dict[str, Any]]:
    listed = (("videoURL", "video", "video/mp4"), ("imageURL", "picture", "image/jpeg"))
    return [
        {"id": "", "kind": kind, "mime": mime, "url": url, "state": "remote"}
        for name, kind, mime in listed
        if "://" in (url := text(tree, name) or "")
    ]
