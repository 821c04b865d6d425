"""The simulated devices' partitions, zones, outputs and new start (8.4.1 to 8.4.6, 8.5.3, 8.5.9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from pump.vendors.hik_gateway.simulator.http import Request, response, status_body

if TYPE_CHECKING:
    from pump.vendors.hik_gateway.simulator.server import Simulator

_CONTROL: Final = "/ISAPI/SecurityCP/control/"
_IO: Final = "/ISAPI/System/IO/outputs/"
_PARTS: Final = 8
"""Partitions, zones and outputs of each device."""


def play(simulator: Simulator, request: Request) -> bytes | None:
    """The answer of a call of these, b"" where none comes; None for another call."""
    if not request.path.startswith((_CONTROL, _IO)) and request.path != "/ISAPI/System/reboot":
        return None
    quirks = simulator.quirks
    index = request.query.get("devIndex", [""])[0]
    device = simulator.devices.get(index)
    if request.query.get("format") != ["json"] or device is None:
        return response(400, status_body(quirks, 6, "Invalid Content", "badParameters", 0x60000001))
    if not device.online:
        return response(403, status_body(quirks, 4, "Invalid Operation", "deviceOffline", 0x40000001))
    action = _action(request, device.kind)
    if action is None:
        return response(403, status_body(quirks, 4, "Invalid Operation", "notSupport", 0x40000001))
    if not action:
        return response(400, status_body(quirks, 5, "Invalid Message", "badJsonFormat", 0x50000002))
    habit = simulator.faults.commands.pop(0) if simulator.faults.commands else ""
    if habit == "refuse":
        return response(200, status_body(quirks, 4, "Invalid Operation", "lowPrivilege", 0x40000002))
    if habit == "busy":
        return response(503, status_body(quirks, 2, "Device Busy", "deviceBusy", 0x20000001))
    call, number, state = action
    simulator.account.actions.append((simulator.clock.monotonic(), index, call, number, state))
    answers = {"drop": b"", "error": response(502, b""), "garbage": response(200, b"{}")}
    return answers.get(habit, response(200, status_body(quirks, 1, "OK", "ok", 1)))


def _action(request: Request, kind: str) -> tuple[str, str, str] | tuple[()] | None:
    """Call, number, state; empty for a wrong body, None for what the device does not support."""
    alarm = kind == "SecurityCP"
    match request.method, request.path.removeprefix(_CONTROL).removeprefix(_IO).split("/"):
        case "PUT", ["", "ISAPI", "System", "reboot"]:
            return "reboot", "", ""
        case "PUT", ["arm", number] if alarm and _partition(number):
            way = request.query.get("ways", [""])[0]
            return ("arm", number, way) if way in ("away", "stay") else ()
        case "PUT", [("disarm" | "clearAlarm") as call, number] if alarm and _partition(number):
            return call, number, ""
        case "PUT", [("bypass" | "bypassRecover") as call] if alarm:
            return _listed(call, _body(request), "")
        case "POST", ["outputs"] if alarm:
            order = _body(request).get("OutputsCtrl")
            if not isinstance(order, dict) or order.get("switch") not in ("open", "close"):
                return ()
            return _listed("outputs", order, order["switch"])
        case "PUT", [number, "trigger"] if not alarm and _numbered(number):
            state = _body(request).get("IOPortData", {}).get("outputState")
            return ("trigger", number, state) if state in ("high", "low") else ()
    return None


def _listed(call: str, body: Mapping[str, Any], state: str) -> tuple[str, str, str] | tuple[()]:
    """Of the List's numbers (9.19, 9.22), which are integers."""
    rows = body.get("List")
    if not isinstance(rows, list) or not rows:
        return ()
    numbers = [row.get("id") if isinstance(row, dict) else None for row in rows]
    if not all(isinstance(one, int) and 0 <= one <= _PARTS for one in numbers):
        return ()
    return call, ",".join(map(str, numbers)), state


def _body(request: Request) -> dict[str, Any]:
    try:
        found = orjson.loads(request.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _partition(number: str) -> bool:
    return number == "0xffffffff" or _numbered(number)


def _numbered(number: str) -> bool:
    return number.isdecimal() and 1 <= int(number) <= _PARTS
