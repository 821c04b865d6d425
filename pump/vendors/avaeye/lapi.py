"""The calls of a camera's own interface, LAPI: pure. "ANPR APIs 2.1", Downstream Interfaces (HTTP)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from math import ceil
from typing import Any, Final

import orjson

from pump.commands.contract import DONE, CommandResult
from pump.core.errors import MessageError, Refusal, Unavailable
from pump.core.groups import BOUNDS
from pump.vendors.avaeye.parse import loads
from pump.vendors.common.values import text, whole

GATE: Final = "/LAPI/V1.0/ParkingLots/Entrances/Lanes/0/GateControl"
VEHICLES: Final = "/LAPI/V1.0/ParkingLots/Vehicles"
LED: Final = "/LAPI/V1.0/INTELLIGENT/ParkingLED"
CAPTURE: Final = "/LAPI/V1.0/Smart/CaptureExecution?IA_TRIGGER_FORMAL"
REBOOT: Final = "/LAPI/V1.0/System/Reboot"
_FORM: Final = "application/x-www-form-urlencoded"

_GATE: Final = {"gate.open": 0, "gate.hold-open": 1, "gate.release": 2, "gate.close": 3}
"""Gate Control: "0-Open; 1-Open and Lock; 2-Unlock; 3-Close"."""
_COLORS: Final = {"red": 1, "green": 2, "yellow": 3}
_ROWS: Final = 4
_PLATE: Final = 16
"""Characters of a plate, at the most."""
_END: Final = 2**31 - 1
"""The end of what is valid without an end: EndTime is wanted, and seconds of 32 bits end in January 2038."""


@dataclass(slots=True, frozen=True)
class Call:
    """One request."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"


def call(verb: str, arguments: Mapping[str, Any], now: float) -> Call:
    """The request of a verb of `VERBS`; `now` in seconds since 1970. Raises Refusal for what the camera cannot do."""
    return _CALLS[verb](verb, arguments, now)


def result(status: int, body: bytes) -> CommandResult:
    """What the camera's answer means: StatusCode 0 is success, "Otherwise-Failure".

    Raises Refusal where the camera says no, Unavailable where nobody can say what it did.
    """
    if 300 <= status < 400:
        raise Refusal(f"the camera sends to another address (HTTP {status}), which is not followed")
    if 400 <= status < 500:
        raise Refusal(f"the camera answered HTTP {status}")
    if status != 200:
        raise Unavailable(f"the camera answered HTTP {status}")
    answer = _response(body)
    code = whole(answer.get("StatusCode"))
    if code is None:
        raise Unavailable("the camera answered something that is not in its document")
    if code != 0:
        said = text(answer.get("StatusString"), BOUNDS["name"])
        raise Refusal(f"the camera refuses: StatusCode {code}" + (f", {said}" if said else ""))
    return DONE


def status_code(body: bytes) -> int | None:
    """StatusCode of an answer; None where it has none."""
    return whole(_response(body).get("StatusCode"))


def _response(body: bytes) -> dict[str, Any]:
    try:
        answer = loads(body)
    except MessageError:
        return {}
    found = answer.get("Response", answer) if isinstance(answer, dict) else None
    return found if isinstance(found, dict) else {}


def list_id(plate: str) -> int:
    """The number by which a camera knows a plate of a list. Made of the plate: taking it off must find it again."""
    return int.from_bytes(blake2b(plate.encode(), digest_size=4).digest()) >> 1 or 1


def _gate(verb: str, arguments: Mapping[str, Any], now: float) -> Call:
    """Gate Control."""
    return Call("POST", GATE, orjson.dumps({"Command": _GATE[verb]}))


def _added(verb: str, arguments: Mapping[str, Any], now: float) -> Call:
    """Add Allowed Vehicle, Add Forbidden Vehicle; `Num` is a text in the one and a number in the other."""
    plate = plate_of(arguments)
    begin, end = validity(arguments, now)
    name = _NAMES[arguments["list"]]
    row: dict[str, Any] = {f"{name}ID": list_id(plate), "PlateNo": plate, "BeginTime": begin, "EndTime": end}
    if owner := arguments.get("owner"):
        row["OwnerName"] = owner
    number: int | str = "1" if name == "Allow" else 1
    return Call("POST", f"{VEHICLES}/{name}List", orjson.dumps({"Num": number, f"{name}ListInfo": [row]}))


def _removed(verb: str, arguments: Mapping[str, Any], now: float) -> Call:
    """Delete Allowed Vehicle, Delete Forbidden Vehicle: by the id under which it was added."""
    number = list_id(plate_of(arguments))
    return Call("DELETE", f"{VEHICLES}/{_NAMES[arguments['list']]}List/{number}", orjson.dumps({"ID": number}))


_NAMES: Final = {"allow": "Allow", "block": "Block"}


def plate_of(arguments: Mapping[str, Any]) -> str:
    """The plate. Raises Refusal for one that is too long for a camera."""
    plate: str = arguments["plate"]
    if len(plate) > _PLATE:
        raise Refusal(f"a plate has {_PLATE} characters at the most")
    return plate


def validity(arguments: Mapping[str, Any], now: float) -> tuple[int, int]:
    """From when to when it is valid, in seconds since 1970. Raises Refusal."""
    begin, end = _seconds(arguments.get("from"), int(now)), _seconds(arguments.get("until"), _END)
    if end <= begin:
        raise Refusal("until is not after from, or is over")
    return begin, end


def _seconds(moment: str | None, default: int) -> int:
    if moment is None:
        return default
    found = int(datetime.fromisoformat(moment).timestamp())
    if not 0 <= found <= _END:
        raise Refusal("a camera's times are from 1970 to 2038")
    return found


def _shown(verb: str, arguments: Mapping[str, Any], now: float) -> Call:
    """LED Display Control."""
    return Call("PUT", LED, orjson.dumps(display(arguments) | {"scenseNum": _ROWS}))


def display(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What the display is to show, as LAPI and MQTT have it: all four rows, "The array size is fixed to 4".

    Raises Refusal.
    """
    shown, voice = arguments["text"], arguments.get("voice")
    row = arguments.get("line", 1)
    if row > _ROWS:
        raise Refusal(f"the display has {_ROWS} lines")
    color = _COLORS.get(arguments.get("color", "red"))
    if color is None:
        raise Refusal(f"the display's colours are {', '.join(_COLORS)}")
    if voice not in (None, shown):
        raise Refusal("the camera speaks what it shows, and nothing else")
    rows = [{"customContext": "", "runType": 0, "isBroadcast": 0, "colorType": color} for _ in range(_ROWS)]
    rows[row - 1] |= {"customContext": shown, "isBroadcast": int(voice is not None)}
    seconds = arguments.get("seconds")
    return {"msgType": 2 if seconds is None else 1, "showTime": ceil(seconds or 0), "scenseInfoList": rows}


def _captured(verb: str, arguments: Mapping[str, Any], now: float) -> Call:
    """Manual Capture."""
    if arguments.get("channel", 0) != 0:
        raise Refusal("a camera has channel 0 alone")
    return Call("PUT", CAPTURE, content_type=_FORM)


def _rebooted(verb: str, arguments: Mapping[str, Any], now: float) -> Call:
    """Device Restart (HTTP)."""
    return Call("PUT", REBOOT)


_CALLS: Final[dict[str, Callable[[str, Mapping[str, Any], float], Call]]] = {
    **dict.fromkeys(_GATE, _gate),
    "list.add": _added,
    "list.remove": _removed,
    "display.show": _shown,
    "camera.capture": _captured,
    "camera.reboot": _rebooted,
}
VERBS: Final = frozenset(_CALLS)
