"""The simulated device's outputs, doors, pictures and new start, as ISAPI has them; it refuses what devices refuse."""

from __future__ import annotations

import re
from collections import deque
from typing import Final, Literal
from xml.etree import ElementTree

from pump.core.clock import Clock
from pump.vendors.hik_camera import device
from pump.vendors.hik_camera.simulator.account import Account, Action

PICTURE: Final = b"\xff\xd8\xff\xe0 a picture of the simulated camera \xff\xd9"
Habit = Literal["drop", "hang", "busy", "broken", "refuse", "garbage", "error"]
"""What becomes of one call: it acts and answers nothing ("drop": the connection ends, "hang": it stands), says that
it is busy (503), that it failed, no inside HTTP 200, something unreadable after acting, 500 after acting."""
_DOORS: Final = frozenset({"open", "close", "alwaysOpen", "alwaysClose"})
_OUTPUT: Final = re.compile(r"/ISAPI/System/IO/outputs/(\d+)/trigger")
_DOOR: Final = re.compile(r"/ISAPI/AccessControl/RemoteControl/door/(\d+)")
_STREAM: Final = re.compile(r"/ISAPI/Streaming/channels/(\d+)0[1-3]/picture")
_PROXY: Final = re.compile(r"/ISAPI/ContentMgmt/StreamingProxy/channels/(\d+)0[1-3]/picture")
_STATUS: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><ResponseStatus version="2.0" '
    'xmlns="http://www.isapi.org/ver20/XMLSchema"><requestURL>{}</requestURL><statusCode>{}</statusCode>'
    "<statusString>{}</statusString><subStatusCode>{}</subStatusCode></ResponseStatus>"
)


class Controls:
    """`habits`: of each coming call, taken from the left; `outputs` and `doors`: how many it has."""

    def __init__(self, clock: Clock, account: Account, *, outputs: int = 2, doors: int = 2) -> None:
        self._clock = clock
        self._account = account
        self.outputs = outputs
        self.doors = doors
        self.habits: deque[Habit] = deque()

    def lists(self) -> dict[str, bytes]:
        """What it says of its outputs and doors, by path."""
        ports = "".join(
            f"<IOOutputPort><id>{n}</id><outputName>Relay {n}</outputName></IOOutputPort>"
            for n in range(1, self.outputs + 1)
        )
        able = f'<RemoteControlDoor><doorNo min="1" max="{self.doors}"/><cmd opt="open,close"/></RemoteControlDoor>'
        return {
            device.OUTPUTS: f"<IOOutputPortList>{ports}</IOOutputPortList>".encode(),
            device.DOORS: able.encode(),
        }

    def answer(self, method: str, path: str, body: bytes, *, recorder: bool) -> tuple[int, str, bytes] | None:
        """Status, content type and body of a call, (0, "", b"") where none comes; None where it is no call of these."""
        found = _matched(path)
        if found is None:
            return None
        what, number, most = found[0], found[1], {"output": self.outputs, "door": self.doors, "proxy": int(recorder)}
        if method != ("GET" if what in ("picture", "proxy") else "PUT"):
            return _said(403, path, 4, "Invalid Operation", "methodNotAllowed")
        if not 1 <= number <= most.get(what, 1):
            return _said(403, path, 4, "Invalid Operation", "notSupport")
        state = _state(what, body)
        if state is None:
            return _said(400, path, 5, "Invalid XML Format", "badXmlFormat")
        habit = self.habits.popleft() if self.habits else None
        if habit == "busy":
            return _said(503, path, 2, "Device Busy", "deviceBusy")
        if habit == "broken":
            return _said(500, path, 3, "Device Error", "deviceError")
        if habit == "refuse":
            return _said(200, path, 4, "Invalid Operation", "lowPrivilege")
        self._account.actions.append(Action(self._clock.monotonic(), what, number, state))
        match habit:
            case "drop":
                return 0, "", b""
            case "hang":
                return -1, "", b""
            case "garbage":
                return 200, "text/html", b"<html>"
            case "error":
                return 500, "text/html", b""
        if what in ("picture", "proxy"):
            return 200, "image/jpeg", PICTURE
        return _said(200, path, 1, "OK", "ok")


def _matched(path: str) -> tuple[str, int] | None:
    if path == "/ISAPI/System/reboot":
        return "reboot", 1
    for what, pattern in (("output", _OUTPUT), ("door", _DOOR), ("picture", _STREAM), ("proxy", _PROXY)):
        if found := pattern.fullmatch(path):
            return what, int(found[1])
    return None


def _state(what: str, body: bytes) -> str | None:
    """The state that a body asks for; None for a wrong one."""
    if what not in ("output", "door"):
        return ""
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return None
    name, inner, known = {
        "output": ("IOPortData", "outputState", frozenset({"high", "low"})),
        "door": ("RemoteControlDoor", "cmd", _DOORS),
    }[what]
    state = root.findtext(inner) if root.tag == name else None
    return state if state in known else None


def _said(status: int, path: str, code: int, words: str, sub: str) -> tuple[int, str, bytes]:
    return status, "application/xml", _STATUS.format(path, code, words, sub).encode()
