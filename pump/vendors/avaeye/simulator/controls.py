"""The controls in the answer to a keep-alive, as a camera reads them ("ANPR APIs 2.1", Heartbeat Keep-alive)."""

from __future__ import annotations

from typing import Any, Final

_ALWAYS: Final = frozenset(("svrTime", "parkId", "deviceId"))
_OTHERS: Final = frozenset(("svrAddress", "svrPort", "picFillType", "aliOssParam", "mqttEnable", "mqttParam"))


def controlled(data: Any) -> tuple[str, Any, str] | None:
    """The action, what it is done with, and the path of its report; None where nothing is to be done.

    Raises ValueError where the answer is not as the document has it: "control parameters can carry only one type of
    data at a time".
    """
    controls = {name: value for name, value in (data or {}).items() if name not in _ALWAYS}
    if not controls:
        return None
    if len(controls) > 1 or controls.keys() & _OTHERS:
        raise ValueError(f"no camera is sent {', '.join(controls)} by this pump, nor several controls")
    ((name, value),) = controls.items()
    match name, value:
        case "reboot", 1:
            return "reboot", None, ""
        case "getCapture", 1:
            return "capture", None, "manualcapture/common"
        case "letCarPass", 1:
            return "open", None, "gatecontrol"
        case "lampCtrlMode", 0 | 1:
            return "lamps", "platform" if value else "camera", "lamp"
        case "setLamp", {"num": num, "lampInfo": list(rows)} if num == len(rows):
            return "lamp", [_lamp(row) for row in rows], "lamp"
    raise ValueError(f"{name} cannot be {value}")


def _lamp(row: Any) -> tuple[str, int, int | None]:
    """A lamp's parking space, mode and color."""
    mode, color = row["mode"], row.get("color")
    if mode not in range(4) or color not in (None, 1, 2, 3):
        raise ValueError("a lamp cannot do that")
    return str(row["id"]), mode, color
