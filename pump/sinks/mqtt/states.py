"""What an event says about the present: is a space taken, is a device there. Pure; tables with one reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from pump.core.text import fitted

ATTRIBUTES: Final = (
    "name", "phase", "severity", "incident", "late", "device", "place", "vehicle", "parking", "alarm", "access",
    "power", "radio", "queue", "measure", "target", "intercom", "command", "time_source",
)  # fmt: skip
"""What of an event's data goes into small messages beside the whole event; the vendor's raw message does not."""


class Fact(NamedTuple):
    """One thing that is so or is not so, of one subject."""

    aspect: str
    on: bool


_GROUPS: Final[dict[str, dict[str, str]]] = {
    "parking": {"occupied": "occupied", "locked": "locked", "fault": "fault"},
    "power": {"low": "battery_low"},
}
"""Groups of an event's data, their fields that are true or false, and the aspects that these tell."""

_PAIRS: Final[dict[str, Fact]] = {
    "device.online": Fact("online", True),
    "device.offline": Fact("online", False),
    "device.activated": Fact("active", True),
    "device.deactivated": Fact("active", False),
    "device.camera.online": Fact("online", True),
    "device.camera.offline": Fact("online", False),
    "device.signal.fault": Fact("signal", False),
    "device.signal.restored": Fact("signal", True),
    "driving.ignition.on": Fact("ignition", True),
    "driving.ignition.off": Fact("ignition", False),
    "security.armed": Fact("armed", True),
    "security.disarmed": Fact("armed", False),
    "security.bypass.set": Fact("bypass", True),
    "security.bypass.restored": Fact("bypass", False),
    "security.input.triggered": Fact("input", True),
    "security.input.restored": Fact("input", False),
    "intercom.call.started": Fact("call", True),
    "intercom.call.ended": Fact("call", False),
    "intercom.call.missed": Fact("call", False),
    "access.door.opened": Fact("door", True),
    "access.door.closed": Fact("door", False),
    "access.door.locked": Fact("locked", True),
    "access.door.unlocked": Fact("locked", False),
    "access.exit.requested": Fact("exit_button", True),
    "access.exit.released": Fact("exit_button", False),
    "security.keypad.locked": Fact("keypad_locked", True),
    "security.keypad.unlocked": Fact("keypad_locked", False),
}
"""Types that are two ends of one matter."""

_PULSES: Final[dict[str, Fact]] = {
    "access.door.forced": Fact("door", True),
    "access.door.open_too_long": Fact("door", True),
}
"""Types that, where they last no time, are one end of another matter."""

_OF_GROUPS: Final[dict[str, str]] = {
    "parking.space.occupied": "occupied",
    "parking.space.vacated": "occupied",
    "parking.lock.raised": "locked",
    "parking.lock.lowered": "locked",
    "device.battery.low": "battery_low",
    "device.battery.normal": "battery_low",
    "device.fault.raised": "fault",
    "device.fault.cleared": "fault",
}
"""Types that begin one another's end, and the aspect by which their groups tell it: a fact of their own would stay."""

_PHASES: Final = {"start": True, "end": False}


def facts(event: Mapping[str, Any]) -> Iterator[Fact]:
    """What the event says is so from now on; nothing of most events."""
    data = event["data"]
    told = set()
    for group, fields in _GROUPS.items():
        found = data.get(group)
        if found:
            for field, aspect in fields.items():
                if isinstance(found.get(field), bool):
                    told.add(aspect)
                    yield Fact(aspect, found[field])
    if _OF_GROUPS.get(event["type"]) in told:
        return
    pair = _PAIRS.get(event["type"])
    if pair is not None:
        yield pair
    elif data.get("phase") == "pulse" and event["type"] in _PULSES:
        yield _PULSES[event["type"]]
    elif data.get("phase") in _PHASES:
        yield Fact(event["type"].replace(".", "_"), _PHASES[data["phase"]])


def summary(event: Mapping[str, Any], **more: Any) -> bytes:
    """The event without its vendor's message, as one flat JSON object; `more` is put first."""
    data = event["data"]
    envelope = {key: event[key] for key in ("type", "id", "source", "subject", "time") if key in event}
    return fitted(orjson.dumps({**more, **envelope, **{key: data[key] for key in ATTRIBUTES if key in data}}))
