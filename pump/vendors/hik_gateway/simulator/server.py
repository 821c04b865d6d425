"""A faithful local Device Gateway: the subscription's stream, digest login, device list, quirks and faults.

Made from the document (3.1, 6.1, 8.1.5, 8.1.6, 8.2, 8.4, 8.5, 9.4, 9.10 to 9.14, 9.23 to 9.30) and docs/field.md,
not from the pump's client. It listens on a real socket of the loopback, with TLS where it is given a context. `Quirks`
turns the habits in which gateways differ, `faults` makes things go wrong, `account` is what tests audit. As a gateway
does, it keeps nothing for a client that is away, unless `faults.replay` says so.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from pump.core.clock import Clock
from pump.simulation.server import TALLY, RawServer, perform, portions
from pump.vendors.hik_gateway.simulator.controls import play
from pump.vendors.hik_gateway.simulator.documented import take
from pump.vendors.hik_gateway.simulator.http import Digest, Request, read_request, response, status_body
from pump.vendors.hik_gateway.simulator.messages import Message, Messages, identity
from pump.vendors.hik_gateway.simulator.quirks import Faults, Quirks
from pump.vendors.hik_gateway.simulator.stream import Account, Subscription

__all__ = ["Account", "Device", "Faults", "Quirks", "Simulator", "simulate"]

_NOTIFICATION: Final = "/ISAPI/Event/notification/"
_MANAGEMENT: Final = "/ISAPI/ContentMgmt/DeviceMgmt/"
CLIP: Final = b"\0\0\0\x18ftypmp42" + bytes(1000)
_PANEL: Final = "/ISAPI/SecurityCP/status/"


@dataclass(slots=True)
class Device:
    """A device that was added to the gateway."""

    index: str
    name: str
    model: str = "DS-PWA32-HS"
    serial: str = "DS-PWA32-HS20200101AAWR123456789"
    kind: str = "SecurityCP"
    online: bool = True
    status: Any = None
    """Another spelling of its devStatus."""
    partitions: dict[int, dict[str, Any]] = field(default_factory=lambda: {1: {"arming": "disarm", "alarm": False}})
    zones: dict[int, dict[str, Any]] = field(default_factory=lambda: {number: _zone(number) for number in range(1, 4)})
    sirens: dict[int, dict[str, Any]] = field(
        default_factory=lambda: {1: {"name": "Siren", "status": "off", "tamperEvident": False, "charge": "normal"}}
    )


def _zone(number: int) -> dict[str, Any]:
    return {
        "name": f"Zone {number}", "status": "online", "tamperEvident": False, "shielded": False, "bypassed": "false",
        "armed": "0", "alarm": False, "charge": "normal",
    }  # fmt: skip


def _some_devices() -> list[Device]:
    return [
        Device(f"2cd6716d-767f-4756-ac55-50276a5e3b{n:02x}", f"Panel {n}", serial=f"DS-PWA32-HS20200101AAWR{n:09d}")
        for n in range(1, 6)
    ]


class Simulator(RawServer):
    """The server; an async context manager that listens while it is open. `clock` gives every time."""

    def __init__(
        self,
        *,
        clock: Clock,
        username: str = "admin",
        password: str = "secret1",
        quirks: Quirks | None = None,
        devices: list[Device] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(host, port, tls)
        self.clock = clock
        self.quirks = quirks or Quirks()
        self.faults = Faults()
        self.account = Account()
        self.messages = Messages(clock, self.quirks, seed)
        self.digest = Digest(clock, self.quirks, username, password)
        self.devices = {device.index: device for device in (_some_devices() if devices is None else devices)}
        self.recent: deque[Message] = deque(maxlen=100)
        self.subscriptions: dict[int, Subscription] = {}
        self.subscribed = asyncio.Event()
        """Set while a subscription is open."""
        self._next = 5939

    def put(self, *messages: Message) -> list[str]:
        """Devices send these messages, in this order; returns their identities."""
        TALLY["messages made"] += len(messages)
        names = []
        for message in messages:
            self._heed(message)
            name = identity(message)
            names.append(name)
            takers = [one for one in self.subscriptions.values() if one.wants(message)]
            if not takers:
                self.account.lost.append(name)
            for one in takers:
                one.put(message)
        return names

    def _heed(self, message: Message) -> None:
        """Have the list say from now on what a device says of itself."""
        alert = message.get("EventNotificationAlert", {})
        device = self.devices.get(str(alert.get("devIndex")))
        if device is not None and alert.get("eventType") == "devStatusChanged":
            device.online = alert.get("status") == "online"

    async def traffic(self, rate: float) -> None:
        """Puts a realistic mix of `rate` messages a second until cancelled; what nobody is subscribed to is lost."""
        mix = self.messages.mix(list(self.devices))
        async for due in portions(self.clock, rate):
            self.put(*(next(mix) for _ in range(due)))

    # --- connections ----------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As RawServer.serve."""
        while (request := await read_request(reader)) is not None:
            if self.faults.hang > 0:
                self.faults.hang -= 1
                await asyncio.Event().wait()
            self.account.requests.append(f"{request.method} {request.path}")
            refusal = self.digest.check(request) or self._instead(request)
            if refusal is None and request.path == f"{_NOTIFICATION}subscribeDeviceMgmt" and request.method == "POST":
                answer = await self._subscribe(request, reader, writer)
                if answer is None:
                    return
            else:
                played = None if refusal else take(self, request) or play(self, request)
                if played == b"":
                    return
                answer = refusal or played or self._answer(request)
            writer.write(answer)
            await writer.drain()
            if answer.startswith(b"HTTP/1.1 401") and self.quirks.challenge == "close":
                return

    async def _subscribe(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """The stream; or the refusal where there is none."""
        if self.faults.refuse:
            status, text, sub = self.faults.refuse.pop(0)
            return response(status, status_body(self.quirks, 4, text, sub, 0x40000003))
        if len(self.subscriptions) >= self.quirks.subscriptions:
            return response(403, status_body(self.quirks, 4, "Invalid Operation", "deployExceedMax", 0x40001052))
        try:
            order = orjson.loads(request.body)["SubscribeDeviceMgmt"]
            assert order["eventMode"] in ("all", "device")
            assert order["eventMode"] == "device" or order["defenceMode"] in ("all", "part")
        except (ValueError, KeyError, TypeError, AssertionError):
            return response(400, status_body(self.quirks, 5, "Invalid Message", "badJsonFormat", 0x50000002))
        number, self._next = self._next, self._next + 1
        one = self.subscriptions[number] = Subscription(self, number, order, writer)
        self.account.streams += 1
        self.account.orders.append(order)
        self.subscribed.set()
        writing = asyncio.create_task(one.run(), name=f"simulator stream {number}")
        hearing = asyncio.create_task(reader.read(1), name=f"simulator peer {number}")
        try:
            await asyncio.wait((writing, hearing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.subscriptions.pop(number, None)
            if not self.subscriptions:
                self.subscribed.clear()
            for task in (writing, hearing):
                task.cancel()
            await asyncio.gather(writing, hearing, return_exceptions=True)
        return None

    def _instead(self, request: Request) -> bytes | None:
        """A fault's answer in this call's place."""
        instead = self.faults.answers.get(request.path.rpartition("/")[2])
        if instead is None:
            return None
        status, body = instead
        return response(status, body, kind="application/xml" if body.lstrip().startswith(b"<") else "application/json")

    # --- the other calls ------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> bytes:
        if request.path.startswith(_NOTIFICATION):
            return self._manage(request, request.path.removeprefix(_NOTIFICATION).split("/"))
        if request.path == f"{_MANAGEMENT}deviceList" and request.method == "POST":
            return self._list(orjson.loads(request.body)["SearchDescription"])
        if request.path == f"{_MANAGEMENT}refreshDevInfo" and request.method == "POST":
            return self._refresh(orjson.loads(request.body)["DevList"])
        if request.path.startswith(_PANEL):
            return self._panel(request, request.path.removeprefix(_PANEL))
        if request.path == "/ISAPI/Security/userCheck":
            return response(200, orjson.dumps({"userCheck": {"statusValue": 200, "statusString": "OK"}}))
        if request.path.startswith("/HikGatewayStorage/"):
            return response(200, CLIP, kind="video/mp4")
        return response(404, status_body(self.quirks, 4, "Invalid Operation", "notSupport", 0x40000001))

    def _panel(self, request: Request, what: str) -> bytes:
        """A panel's status, passed on to it (8.4.7 to 8.4.9)."""
        device = self.devices.get((request.query.get("devIndex") or [""])[0])
        refused = device is None or self.faults.no_panels or device.kind != "SecurityCP"
        if device is None or refused or (what, request.method, self.faults.zones_by_post) == ("zones", "GET", True):
            return response(403, status_body(self.quirks, 4, "Invalid Operation", "notSupport", 0x40000001))
        if not device.online:
            return response(403, status_body(self.quirks, 2, "Device Busy", "networkError", 0x20000009))
        zones = [{"Zone": {"id": number, **zone}} for number, zone in device.zones.items()]
        body: dict[str, Any]
        match request.method, what:
            case "GET", "subSystems":
                rows = [{"SubSys": {"id": number, **one}} for number, one in device.partitions.items()]
                body = {"SubSysList": rows}
            case "GET", "zones":
                body = {"ZoneList": zones}
            case "POST", "zones":
                order = orjson.loads(request.body)["ZoneCond"]
                begin = int(order["searchResultPosition"])
                shown = zones[begin : begin + min(2, int(order["maxResults"]))]
                more = "MORE" if begin + len(shown) < len(zones) else "OK"
                body = {
                    "ZoneSearch": {
                        "searchID": order["searchID"], "responseStatusStrg": more, "numOfMatches": len(shown),
                        "totalMatches": len(zones), "ZoneList": shown,
                    }
                }  # fmt: skip
            case "GET", "exDevStatus":
                rows = [{"Siren": {"id": number, "seq": "", **one}} for number, one in device.sirens.items()]
                body = {"ExDevStatus": {"SirenList": rows}}
            case _:
                return response(405, status_body(self.quirks, 4, "Invalid Operation", "methodNotAllowed", 0x40000004))
        return response(200, orjson.dumps(body))

    def _manage(self, request: Request, path: list[str]) -> bytes:
        """What is done to a subscription that stands (8.2.1, 8.2.2, 8.2.4, 8.2.5)."""
        one = self.subscriptions.get(int(path[1])) if len(path) > 1 and path[1].isdecimal() else None
        if one is None:
            return response(403, status_body(self.quirks, 4, "Invalid Operation", "theSessionIdDoesNotExist", 1))
        match request.method, path[0], path[2:]:
            case "DELETE", "unSubscribeDeviceMgmt", []:
                self.account.closed.append(path[1])
                one.stop()
                return self._ok()
            case _ if not one.by_device:
                pass  # with eventMode all a change is a new subscription
            case "GET", "subscribeDeviceMgmt", ["queryStatus"]:
                rows = [
                    {"Dev": {"devIndex": index, "status": "fail" if index in self.faults.fail else "continue"}}
                    for index in one.devices
                ]
                return response(200, orjson.dumps({"SubscribeQueryStatusList": rows}))
            case _, _, ["devIndex", index] if index in self.faults.deny:
                return response(400, status_body(self.quirks, 6, "Invalid Content", "badParameters", 0x60000001))
            case "POST", "subscribeDeviceMgmt", ["devIndex", index]:
                one.devices[index] = orjson.loads(request.body)["SubscribeDevEvent"].get("eventList")
                return self._ok()
            case "GET", "subscribeDeviceMgmt", ["devIndex", index] if index in one.devices:
                types = one.devices[index]
                order = {"devIndex": index, "uploadMode": "all" if types is None else "part", "eventList": types or []}
                return response(200, orjson.dumps({"SubscribeDevEvent": order}))
            case "DELETE", "unSubscribeDeviceMgmt", ["devIndex", index] if index in one.devices:
                del one.devices[index]
                return self._ok()
        return response(403, status_body(self.quirks, 4, "Invalid Operation", "notSupport", 0x40000001))

    def _ok(self) -> bytes:
        return response(200, status_body(self.quirks, 1, "OK", "ok", 1))

    def _list(self, search: dict[str, Any]) -> bytes:
        begin = int(search["position"])
        page = list(self.devices.values())[begin : begin + min(int(search["maxResult"]), self.quirks.page)]
        rows = []
        for device in page:
            row: dict[str, Any] = {
                "devIndex": device.index,
                "devName": device.name,
                "devMode": device.model,
                "devType": device.kind,
                "protocolType": "ehomeV5",
                "EhomeParams": {"EhomeID": device.serial[-9:]},
                "devStatus": device.status or ("online" if device.online else "offline"),
                "activeStatus": "true",
            }
            if self.quirks.serials == "in the list":
                row["serialNumber"] = device.serial
            rows.append({"Device": row})
        result: dict[str, Any] = {"numOfMatches": len(rows), "totalMatches": len(self.devices)}
        if self.devices:
            result["MatchList"] = rows
        return response(200, orjson.dumps({"SearchResult": result}))

    def _refresh(self, indexes: list[str]) -> bytes:
        if self.faults.no_refresh or self.quirks.serials == "unknown":
            return response(403, status_body(self.quirks, 4, "Invalid Operation", "notSupport", 0x40000001))
        found = [self.devices[index] for index in indexes if index in self.devices]
        rows = [
            {"devIndex": one.index, "deviceName": one.name, "model": one.model, "serialNumber": one.serial}
            for one in found
        ]
        return response(200, orjson.dumps({"DeviceInfoList": rows}))


async def simulate(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    rate: float = 1.0,
    seed: int = 0,
    on_ready: Callable[[str], object] | None = None,
    username: str = "admin",
    password: str = "secret1",
    quirks: Quirks | None = None,
) -> None:
    """A simulator with traffic of `rate` messages a second, until cancelled; as `perform`."""
    simulator = Simulator(
        clock=Clock(), username=username, password=password, quirks=quirks, host=host, port=port, seed=seed
    )
    await perform(simulator, rate, on_ready)
