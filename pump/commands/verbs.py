"""The vocabulary of commands: every verb, with the arguments that it takes, in everyday words and units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

LONGEST: Final = 1024
"""Characters of an argument that is a text, unless it says otherwise."""
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?")


@dataclass(slots=True, frozen=True)
class Argument:
    """One argument of a verb: its kind, its bounds, and one line that says what it is for."""

    says: str
    kind: Literal["text", "integer", "number", "flag", "time"] = "text"
    required: bool = False
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    secret: bool = False
    """Stands in no event, log or answer."""
    longest: int = LONGEST
    """Characters of a text."""

    def checked(self, name: str, value: object) -> Any:
        """The value as its kind has it; a text is read where it came from a command line. ValueError in words."""
        if self.choices and value not in self.choices:
            raise ValueError(f"{name} is one of {', '.join(self.choices)}")
        found: Any = _KINDS[self.kind](name, value)
        if isinstance(found, str) and len(found) > self.longest:
            raise ValueError(f"{name} has {self.longest} characters at the most")
        low, high = self.least, self.most
        if (low is not None and found < low) or (high is not None and found > high):
            raise ValueError(f"{name} is from {_plain(low)} to {_plain(high)}")
        return found


@dataclass(slots=True, frozen=True)
class Verb:
    """Something that can be asked of a device."""

    says: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)

    def checked(self, given: Mapping[str, object]) -> dict[str, Any]:
        """The arguments, each of its kind. ValueError in words: unknown, missing, or not what it must be."""
        if strange := [name for name in given if name not in self.arguments]:
            known = ", ".join(self.arguments) or "none"
            more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
            raise ValueError(f"there is no argument {', '.join(map(_short, strange[:3]))}{more}; there are: {known}")
        if missing := [name for name, one in self.arguments.items() if one.required and name not in given]:
            raise ValueError(f"{', '.join(missing)} is wanted")
        return {name: self.arguments[name].checked(name, value) for name, value in given.items()}

    def shown(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as they may be written down."""
        return {name: "***" if self.arguments[name].secret else value for name, value in arguments.items()}


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is a text of at least one character")
    if not value.isprintable():
        raise ValueError(f"{name} has characters that cannot be printed")
    return value


def _integer(name: str, value: object) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is a whole number")
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{name} is a number")
    return value


def _flag(name: str, value: object) -> bool:
    found = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise ValueError(f"{name} is true or false")
    return found


def _time(name: str, value: object) -> str:
    """RFC 3339 with an offset."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f'{name} is a time with its offset, such as "2030-01-31T08:00:00Z"')
    return moment.isoformat()


_KINDS: Final = {"text": _text, "integer": _integer, "number": _number, "flag": _flag, "time": _time}


def _plain(bound: float | None) -> str:
    return "any" if bound is None else f"{bound:g}"


def _short(text: str) -> str:
    return text if len(text) <= 40 and text.isprintable() else "(unreadable)"


_PLATE: Final = Argument("the number plate, as the camera reads it", required=True)
_LIST: Final = Argument("the list of plates", required=True, choices=("allow", "block"))
_HOLD: Final = Argument(
    "seconds until it goes back by itself, where the device can do that", "number", least=1, most=3600
)
_CHANNEL: Final = Argument("the device's own number of the channel", "integer", least=0, most=100_000)

VERBS: Final[dict[str, Verb]] = {
    "gate.open": Verb("Let one vehicle pass"),
    "gate.hold-open": Verb("Open, and stay open until it is released"),
    "gate.release": Verb("End holding open: the device decides again"),
    "gate.close": Verb("Close"),
    "lock.raise": Verb("Bar the bay"),
    "lock.lower": Verb("Open the bay"),
    "lock.reset-code": Verb("Have the lock take a new pairing code"),
    "sensor.activate": Verb("Have a frozen sensor report again"),
    "sensor.freeze": Verb("Have a sensor report nothing until it is activated"),
    "partition.arm": Verb(
        "Arm", {"mode": Argument("how it is armed; away unless said", choices=("away", "stay", "night", "instant"))}
    ),
    "partition.disarm": Verb("Disarm"),
    "zone.bypass": Verb("Leave the zone out"),
    "zone.restore": Verb("End leaving the zone out"),
    "alarm.clear": Verb("Silence and clear the alarm"),
    "output.on": Verb("Switch the output on", {"seconds": _HOLD}),
    "output.off": Verb("Switch the output off"),
    "door.open": Verb("Unlock for one passage"),
    "door.hold-open": Verb("Stay unlocked until released"),
    "door.hold-closed": Verb("Stay locked, for everybody, until released"),
    "door.release": Verb("End holding: cards and codes decide again"),
    "call.answer": Verb("Take the call", {"call_id": Argument("the call, where there are several")}),
    "call.reject": Verb("Reject the call", {"call_id": Argument("the call, where there are several")}),
    "call.hang-up": Verb("End the call", {"call_id": Argument("the call, where there are several")}),
    "list.add": Verb(
        "Put a plate on a list",
        {
            "plate": _PLATE,
            "list": _LIST,
            "from": Argument("valid from then on", "time"),
            "until": Argument("valid until then", "time"),
            "owner": Argument("who drives it"),
        },
    ),
    "list.remove": Verb("Take a plate off a list", {"plate": _PLATE, "list": _LIST}),
    "list.clear": Verb("Take every plate off a list", {"list": _LIST}),
    "display.show": Verb(
        "Show a text on the display",
        {
            "text": Argument("the text", required=True),
            "line": Argument("the line, from 1", "integer", least=1, most=16),
            "seconds": Argument("how long it is shown", "number", least=1, most=3600),
            "color": Argument("the text's colour", choices=("red", "green", "yellow", "blue", "white")),
            "voice": Argument("a text that is spoken with it"),
        },
    ),
    "lamp.set": Verb(
        "Set the lamp",
        {
            "mode": Argument("the lamp's mode", choices=("on", "off", "auto", "flash")),
            "color": Argument("the lamp's colour", choices=("red", "green", "blue", "white", "yellow")),
            "brightness": Argument("per cent", "integer", least=0, most=100),
        },
    ),
    "camera.capture": Verb("Take a picture; it becomes media", {"channel": _CHANNEL}),
    "camera.reboot": Verb("Start the device anew"),
    "serial.send": Verb(
        "Send bytes to a serial port",
        {
            "hex": Argument("the bytes in hexadecimal", required=True, longest=2 * LONGEST),
            "port": Argument("the port, from 1", "integer", least=1, most=16),
        },
    ),
}
"""Every verb. A source takes those that its vendor has; one that it lacks is refused before anything is sent."""
