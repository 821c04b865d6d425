"""The documented calls that the simulated gateway takes and does not play: it checks who they are for (chapter 8)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

from pump.vendors.hik_gateway.simulator.http import Request, response, status_body

if TYPE_CHECKING:
    from pump.vendors.hik_gateway.simulator.server import Simulator

GATEWAYS: Final = (
    ("POST", "/ISAPI/ContentMgmt/DeviceMgmt/addDevice"), ("POST", "/ISAPI/ContentMgmt/DeviceMgmt/delDevice"),
    ("GET", "/ISAPI/System/deviceInfo"), ("PUT", "/ISAPI/System/deviceInfo"), ("PUT", "/ISAPI/System/reboot"),
    ("GET", "/ISAPI/System/time"), ("PUT", "/ISAPI/System/time"),
)  # fmt: skip
"""Of the gateway itself, without devIndex (8.1.1, 8.1.3, 8.5.1, 8.5.8, 8.5.11)."""
DEVICES: Final = (
    ("GET", "/ISAPI/ContentMgmt/DeviceMgmt/channelInfo"), ("DELETE", "/ISAPI/ContentMgmt/DeviceMgmt/delDevice"),
    ("GET", "/ISAPI/System/deviceInfo"), ("PUT", "/ISAPI/System/deviceInfo"), ("GET", "/ISAPI/System/IO"),
    ("GET", "/ISAPI/System/Network/interfaces/<ID>/ipAddress"),
    ("PUT", "/ISAPI/System/Network/interfaces/<ID>/ipAddress"), ("GET", "/ISAPI/System/Network/interfaces/<ID>"),
    ("PUT", "/ISAPI/System/Network/interfaces/<ID>"), ("GET", "/ISAPI/System/Network/interfaces"),
    ("GET", "/ISAPI/System/time/timeZone"), ("PUT", "/ISAPI/System/time/timeZone"), ("GET", "/ISAPI/System/time"),
    ("PUT", "/ISAPI/System/time"),
)  # fmt: skip
"""Of one device, with its devIndex (8.1.2, 8.1.4, 8.5.2, 8.5.4 to 8.5.7, 8.5.10, 8.5.12)."""
XML: Final = "/ISAPI/System/time/timeZone"
"""The one without format=json (8.5.10)."""


def take(simulator: Simulator, request: Request) -> bytes | None:
    """The answer of a call of these; None for another."""
    index = request.query.get("devIndex", [""])[0]
    for method, path in DEVICES if index else GATEWAYS:
        if request.method == method and re.fullmatch(path.replace("<ID>", r"\d+"), request.path):
            break
    else:
        return None
    quirks = simulator.quirks
    form = [] if path == XML else ["json"]
    if request.query.get("format", []) != form or (index and index not in simulator.devices):
        return response(400, status_body(quirks, 6, "Invalid Content", "badParameters", 0x60000001))
    simulator.account.taken.append((method, request.path, index, request.body))
    if (method, path, index) == ("GET", "/ISAPI/System/time", ""):
        now = simulator.clock.now().isoformat(timespec="seconds")
        return response(200, orjson.dumps({"Time": {"timeMode": "manual", "localTime": now}}))
    if method == "GET":
        return response(200, orjson.dumps({request.path.rpartition("/")[2]: {}}))
    return response(200, status_body(quirks, 1, "OK", "ok", 1))
