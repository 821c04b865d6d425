"""The things that the simulated account's devices do by command (5.7.1, 5.6.5, alarmoutputs/control, capturePic)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Final, NamedTuple

from aiohttp import web

from pump.core.clock import Clock
from pump.simulation.pictures import jpeg
from pump.vendors.hik_connect.simulator.rules import Refused

CAPTURES: Final = "/hccopen/capture/"
"""Below it the pictures are that were taken by command."""


class Doing(NamedTuple):
    """Something that a device did."""

    at: float
    """Monotonic seconds."""
    kind: str
    id: str
    value: int


@dataclass
class Doings:
    """`stuck`: doors and outputs that answer with this code instead of obeying."""

    clock: Clock
    actions: list[Doing] = field(default_factory=list)
    stuck: dict[str, str] = field(default_factory=dict)
    server: str = ""
    """The address in the links of pictures."""

    def door(self, given: dict[str, Any]) -> dict[str, Any] | None:
        """acs/v1/remote/control: RemoteControl (A.3.138); the failures of A.3.139."""
        asked = given["remoteControl"]
        action, doors = asked.get("actionType"), asked.get("elementlist") or ["every door"]
        if action not in (1, 2, 3, 4) or asked.get("direction", 0) not in (0, 1):
            raise Refused("OPEN000010", "actionType or direction is none of its values")
        return {"operationResult": self._each("door", [(door, action) for door in doors], "elementId")}

    def output(self, given: dict[str, Any]) -> dict[str, Any] | None:
        """areas/alarmoutputs/control (table 5-23)."""
        asked = [(row.get("alarmOutputID"), row.get("operation")) for row in given["alarmOutputOperation"]]
        if not asked or any(not isinstance(id, str) or len(id) > 32 or value not in (0, -1) for id, value in asked):
            raise Refused("OPEN000010", "an output has no id, or an operation that is none of its values")
        return {"alarmOutputOperation": self._each("output", asked, "alarmOutputID")}

    def call(self, given: dict[str, Any]) -> dict[str, Any] | None:
        """devcall/v1/call/receive; it answers without data."""
        if not given["recordId"]:
            raise Refused("OPEN000010", "recordId is empty")
        self._did("call", given["recordId"], given["status"])
        return None

    def capture(self, given: dict[str, Any]) -> dict[str, Any] | None:
        """resource/v1/device/capturePic."""
        self._did("capture", given["deviceSerial"], given["channelNo"])
        place = f"{CAPTURES}{given['deviceSerial']}/{given['channelNo']}/{len(self.actions)}.jpeg"
        signed = f"X-Amz-Date={self.clock.now().astimezone(UTC):%Y%m%dT%H%M%SZ}&X-Amz-Expires=900&X-Amz-Signature=1"
        return {"captureUrl": f"{self.server}{place}?{signed}", "isEncrypted": 0}

    def answer(self, request: web.BaseRequest) -> web.Response:
        """The picture of a link; in the field another host gives it."""
        if request.method != "GET" or not request.query.get("X-Amz-Signature"):
            return web.Response(status=403)
        return web.Response(body=jpeg(request.path), content_type="image/jpeg")

    def _each(self, kind: str, asked: list[tuple[str, int]], key: str) -> list[dict[str, Any]]:
        for id, value in asked:
            if id not in self.stuck:
                self._did(kind, id, value)
        return [{key: id, "errorCode": self.stuck[id]} for id, _ in asked if id in self.stuck]

    def _did(self, kind: str, id: str, value: int) -> None:
        self.actions.append(Doing(self.clock.monotonic(), kind, id, value))


CALLS: Final[dict[str, Callable[[Doings, dict[str, Any]], dict[str, Any] | None]]] = {
    "/api/hccgw/acs/v1/remote/control": Doings.door,
    "/api/hccgw/resource/v1/areas/alarmoutputs/control": Doings.output,
    "/api/hccgw/devcall/v1/call/receive": Doings.call,
    "/api/hccgw/resource/v1/device/capturePic": Doings.capture,
}
