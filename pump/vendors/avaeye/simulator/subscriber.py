"""A camera that takes orders at a broker ("ANPR APIs 2.1", Downstream Interfaces (MQTT)); it reports over HTTP.

Written from the document and not with the pump's messages: what is not as the document has it is answered with code
301. An order for another park or device is not its own; one for "1ton" or "all" is everybody's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp
import aiomqtt
import orjson

from pump.vendors.avaeye.simulator.camera import Camera

_EVERYBODY: Final = ("1ton", "all")
_NO_REPORT: Final = (2, 6)
"""Types of which the document has no result: a new start, and what goes to a serial port."""


class Subscriber:
    """One camera at a broker; an async context manager that is subscribed while it is open."""

    def __init__(self, camera: Camera, broker: str, topic: str, pump: str, *, modes: tuple[int, int, int]) -> None:
        """`modes` are the numbers by which its firmware adds, edits and deletes: 1, 2, 3 in the document.

        Older firmware has 0 and 1 alone: (0, -1, 1).
        """
        self.camera = camera
        self.lists: dict[int, dict[str, Any]] = {1: {}, 2: {}}
        """Rows by list (1 allowed, 2 forbidden) and plate."""
        self.hold: asyncio.Event | None = None
        """Slow: it acts, and reports when this is set."""
        self.deaf = False
        """What comes to it is lost on its way."""
        self.heard: list[dict[str, Any]] = []
        """Every message of the topic, whoever it was for."""
        self._broker, self._topic, self._pump = broker, topic, pump
        self._modes = modes
        self._running: asyncio.Task[None] | None = None
        self._there = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run(), name=f"camera {self.camera.device} at the broker")
        there = asyncio.create_task(self._there.wait())
        await asyncio.wait({self._running, there}, return_when=asyncio.FIRST_COMPLETED)
        there.cancel()
        if self._running.done():
            self._running.result()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = self._running
        if running is not None:
            running.cancel()
            await asyncio.wait({running})

    async def _run(self) -> None:
        parts = urlsplit(self._broker)
        async with (
            aiomqtt.Client(parts.hostname or "", parts.port or 1883, identifier=f"cam-{id(self)}") as client,
            aiohttp.ClientSession() as session,
            asyncio.TaskGroup() as group,
        ):
            await client.subscribe(self._topic, qos=1)
            self._there.set()
            async for message in client.messages:
                if not self.deaf and isinstance(message.payload, bytes):
                    group.create_task(self._take(session, message.payload))

    async def _take(self, session: aiohttp.ClientSession, payload: bytes) -> None:
        camera, order = self.camera, orjson.loads(payload)
        self.heard.append(order)
        if order["deviceId"] not in (camera.device, *_EVERYBODY) or order.get("parkId", camera.park) != camera.park:
            return
        try:
            if order["version"] != "1.0" or not order["requestId"] or len(order["requestId"]) > 32:
                raise ValueError("the envelope")
            action, content, path = _TYPES[order["type"]](self, order["params"])
            code = 101 if camera.refuses else 200
        except (KeyError, ValueError, TypeError, AttributeError):
            action, content, path, code = "", None, _PATHS.get(order.get("type"), "gatecontrol"), 301
        if code == 200:
            camera.did(action, content)
        if self.hold is not None:
            await self.hold.wait()
        if not camera.mute and order.get("type") not in _NO_REPORT:
            for _ in range(camera.repeats):
                await camera.report(session, self._pump, path, request=order["requestId"], code=code)

    # --- the types --------------------------------------------------------------------------------------------------

    def _capture(self, params: Any) -> tuple[str, Any, str]:
        if params.get("mode", 1) not in (1, 2):
            raise ValueError("mode")
        return "capture", None, _PATHS[1]

    def _list(self, params: Any) -> tuple[str, Any, str]:
        rows, kind, mode = params["listInfo"], params["listType"], params["mode"]
        known = self.lists[kind]
        if params["num"] != len(rows) or mode not in self._modes:
            raise ValueError("a list")
        for row in rows:
            plate = row["plateNo"]
            if not plate or not row["startTime"].isdecimal() or int(row["startTime"]) >= int(row["endTime"]):
                raise ValueError("a row")
            if mode == self._modes[2]:
                known.pop(plate, None)
            elif (mode == self._modes[0]) is (plate in known):
                raise ValueError("it is there already, or is not")
            else:
                known[plate] = row
        word = {self._modes[0]: "add", self._modes[1]: "edit", self._modes[2]: "remove"}[mode]
        return f"{word} {'allow' if kind == 1 else 'block'}", [row["plateNo"] for row in rows], _PATHS[4]

    def _serial(self, params: Any) -> tuple[str, Any, str]:
        data, kind = params["data"], params["type"]
        content = bytes.fromhex(data) if kind == 2 else data.encode("ascii")
        if kind not in (1, 2) or params["size"] != len(content) or not 0 < len(content) <= 1024:
            raise ValueError("data")
        if params.get("serialNo", 1) not in (1, 2):
            raise ValueError("port")
        return "serial", (params.get("serialNo", 1), content.hex()), ""

    def _display(self, params: Any) -> tuple[str, Any, str]:
        rows = params["scenseInfoList"]
        if params["msgType"] not in (1, 2) or not isinstance(params["showTime"], int) or len(rows) != 4:
            raise ValueError("LED")
        if any(row["runType"] not in range(5) or row["colorType"] not in (1, 2, 3) for row in rows):
            raise ValueError("a row")
        return "show", [row["customContext"] for row in rows], _PATHS[7]

    def _lamp(self, params: Any) -> tuple[str, Any, str]:
        rows = params["lampInfo"]
        if params["num"] != len(rows) or any(row["mode"] not in range(4) for row in rows):
            raise ValueError("lamps")
        return "lamp", [(row["id"], row["mode"], row.get("color")) for row in rows], _PATHS[3]


_PATHS: Final = {1: "manualcapture/common", 3: "lamp", 4: "list", 5: "gatecontrol", 7: "ledcontrol", 8: "gatecontrol"}
_TYPES: Final[dict[int, Callable[[Subscriber, Any], tuple[str, Any, str]]]] = {
    1: Subscriber._capture,
    2: lambda one, params: ("reboot", None, ""),
    3: Subscriber._lamp,
    4: Subscriber._list,
    5: lambda one, params: ("open", None, _PATHS[5]),
    6: Subscriber._serial,
    7: Subscriber._display,
    8: lambda one, params: ("close", None, _PATHS[8]),
}
