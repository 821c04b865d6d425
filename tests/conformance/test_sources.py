from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.core.clock import Clock
from pump.source import Source
from pump.testing.sources import CHECKS, Vendor, applies
from pump.vendors.avaeye.simulator import server as avaeye
from pump.vendors.avaeye.source import AvaEye
from pump.vendors.hik_camera.simulator import server as camera
from pump.vendors.hik_camera.source import HikCamera
from pump.vendors.hik_connect.simulator import server as connect
from pump.vendors.hik_connect.simulator.messages import identity as connect_identity
from pump.vendors.hik_connect.source import HikConnect
from pump.vendors.hik_gateway.simulator import server as gateway
from pump.vendors.hik_gateway.simulator.messages import identity as gateway_identity
from pump.vendors.hik_gateway.source import HikGateway
from pump.vendors.kinot.simulator import server as kinot
from pump.vendors.kinot.simulator.callbacks import Callback
from pump.vendors.kinot.source import Kinot


class CameraVendor(Vendor):
    can = frozenset({"redeliver", "stall", "vanish", "half_open", "garbage"})
    quirks = camera.Quirks(heartbeat_interval=0.2)

    async def start(self) -> None:
        self.device = camera.Simulator(clock=Clock(), quirks=self.quirks, seed=self.number)
        await self.device.come_back()
        self.dead = self.before = 0

    async def stop(self) -> None:
        await self.device.go_away()

    def make(self, name: str, clock: Clock) -> Source[Any]:
        self.before = len(self.device.account.streams)
        table = {"type": "hik-camera", "url": self.device.url, "password": "Camera-1", "heartbeat_timeout": "1s"}
        return HikCamera(name, HikCamera.Settings.model_validate(table), clock)

    async def ready(self) -> None:
        # The dead ones count too, and one whose client has just left may still be there.
        while self.device.streams <= self.dead or len(self.device.account.streams) <= self.before:
            await asyncio.sleep(0.005)

    async def produce(self, n: int) -> list[Hashable]:
        kinds = ("access", "anpr")
        return [self.device.emit(kinds[turn % 2])[0].number for turn in range(n)]  # type: ignore[arg-type]

    def identity(self, event: Mapping[str, Any]) -> Hashable | None:
        raw = event["data"].get("raw")
        return camera.identity(raw) if event["data"]["vendor"] == "hik-camera" and raw else None

    async def redeliver(self) -> None:
        self.device.quirks = camera.Quirks(heartbeat_interval=0.2, replay=10)
        self.device.cut()
        await self.device.connected(2)

    async def stall(self) -> None:
        self.device.stall()

    async def resume(self) -> None:
        self.device.resume()

    async def vanish(self) -> None:
        await self.device.go_away()

    async def come_back(self) -> None:
        await self.device.come_back()

    async def half_open(self) -> None:
        self.dead = self.device.streams
        self.device.half_open()
        await self.device.connected(2)
        self.dead = 0

    async def garbage(self) -> None:
        for body in (b"<EventNotificationAlert><eventType>VMD", b"{]", b"\xff\x00--boundary", b"<!DOCTYPE x><x/>"):
            self.device.send(camera.Message(-2, "garbage", "application/xml", body))


class BareCameraVendor(CameraVendor):
    """The same with a device that frames badly and numbers nothing."""

    quirks = camera.Quirks(
        heartbeat_interval=0.2, chunked=False, boundary="differs", line_feed=True, namespace="changing",
        bare_ampersand=True, serial_numbers=False, heartbeat="cidEvent",
    )  # fmt: skip


class GatewayVendor(Vendor):
    can = frozenset({"redeliver", "stall", "vanish", "half_open", "garbage"})

    async def start(self) -> None:
        self.gateway = gateway.Simulator(clock=Clock(), quirks=gateway.Quirks(heartbeat_seconds=0.2), seed=self.number)
        await self.gateway.come_back()
        self.made = 0

    async def stop(self) -> None:
        self.gateway.faults.stall = False
        await self.gateway.go_away()

    def make(self, name: str, clock: Clock) -> Source[Any]:
        table = {
            "type": "hik-gateway", "url": self.gateway.url, "username": "admin", "password": "secret1",
            "heartbeat_timeout": "1s",
        }  # fmt: skip
        return HikGateway(name, HikGateway.Settings.model_validate(table), clock)

    async def ready(self) -> None:
        await self.gateway.subscribed.wait()

    async def produce(self, n: int) -> list[Hashable]:
        index = next(iter(self.gateway.devices))
        made = []
        for _ in range(n):
            self.made += 1
            made.append(self.gateway.messages.cid(index, "1130", zone=self.made))
        return [*self.gateway.put(*made)]

    def identity(self, event: Mapping[str, Any]) -> Hashable | None:
        raw = event["data"].get("raw")
        return gateway_identity(raw) if event["data"]["vendor"] == "hik-gateway" and raw else None

    async def redeliver(self) -> None:
        self.gateway.faults.replay = 10
        streams = self.gateway.account.streams
        self.gateway.faults.cuts = []
        for one in list(self.gateway.subscriptions.values()):
            one.stop()
        while self.gateway.account.streams == streams:  # the simulator tells nobody of a second one
            await asyncio.sleep(0.005)

    async def stall(self) -> None:
        self.gateway.faults.stall = True

    async def resume(self) -> None:
        self.gateway.faults.stall = False

    async def vanish(self) -> None:
        await self.gateway.go_away()

    async def come_back(self) -> None:
        await self.gateway.come_back()

    async def half_open(self) -> None:
        streams = self.gateway.account.streams
        self.gateway.faults.half_open = 1
        for one in list(self.gateway.subscriptions.values()):
            one.stop()
        while self.gateway.account.streams < streams + 2:  # as above
            await asyncio.sleep(0.005)

    async def garbage(self) -> None:
        self.gateway.faults.garbage = [b"\xff\x00 what is this\r\n\r\n", b"--boundary\r\n\r\n"]


class AvaEyeVendor(Vendor):
    can = frozenset({"redeliver", "stall", "half_open", "garbage", "acknowledge"})
    keeps = True

    async def start(self) -> None:
        self.park = str(self.number)
        self.fleet = avaeye.Fleet(
            1, rate=0.0, seed=self.number, park=self.park, retries=(0.05,), picture=500, persistent=False
        )
        await self.fleet.__aenter__()
        await self.fleet.reach(self.push_url)
        await asyncio.sleep(0)  # its tasks are the vendor's, and there before the source's
        self.dead: list[asyncio.StreamWriter] = []

    async def stop(self) -> None:
        for writer in self.dead:
            writer.close()
        await self.fleet.__aexit__(None, None, None)

    def make(self, name: str, clock: Clock) -> Source[Any]:
        return AvaEye(name, AvaEye.Settings.model_validate({"type": "avaeye", "park_ids": (self.park,)}), clock)

    async def ready(self) -> None:
        """A camera sends again until it is answered."""

    async def produce(self, n: int) -> list[Hashable]:
        return [self.fleet.cameras[0].see() for _ in range(n)]

    def identity(self, event: Mapping[str, Any]) -> Hashable | None:
        if not event["type"].startswith("vehicle."):
            return None
        record: str = event["data"]["raw"]["params"]["recordId"]
        return record

    async def redeliver(self) -> None:
        self.fleet.cameras[0].repeat()

    async def stall(self) -> None:
        self.fleet.cameras[0].silent.set()

    async def resume(self) -> None:
        self.fleet.cameras[0].silent.clear()

    async def half_open(self) -> None:
        for half in (b"POST /api/upark/capture HTTP/1.1\r\nHo", b"POST /api/upark/capture HTTP/1.1\r\n" * 2):
            self.dead.append(await self._write(half))
        head = b"POST /api/upark/capture HTTP/1.1\r\nHost: pump\r\nContent-Length: 100\r\n\r\n"
        self.dead.append(await self._write(head + b'{"parkId'))

    async def garbage(self) -> None:
        for body in (b"", b"\xff\x00", b'{"parkId":"0","deviceId":"1001","params":[]}', b"[" * 1000, b"{]"):
            head = b"POST /api/upark/capture HTTP/1.1\r\nHost: pump\r\nContent-Length: %d\r\n\r\n" % len(body)
            (await self._write(head + body)).close()

    async def _write(self, content: bytes) -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection("127.0.0.1", int(self.push_url.rpartition(":")[2]))
        writer.write(content)
        return writer

    def acknowledged(self) -> set[Hashable]:
        return set(self.fleet.cameras[0].answered)


class KinotVendor(Vendor):
    """Callbacks and the lists that know what they missed; a platform sends many callbacks at a time."""

    can = frozenset({"redeliver", "stall", "vanish", "garbage", "acknowledge"})
    keeps = True
    ordered = False

    async def start(self) -> None:
        self.kinot = kinot.Simulator(clock=Clock(), bays=180, seed=self.number, retries=(0.05,) * 60, persistent=False)
        await self.kinot.__aenter__()
        fleet = self.kinot.fleet
        fleet.bays = {bay.sn: bay for bay in fleet.sensors}
        self.begun = next(iter(fleet.bays.values())).updated.isoformat()
        self.turns = cycle(fleet.bays)
        self.kinot.register(f"{self.push_url}/kinot/s{self.number}")

    async def stop(self) -> None:
        await self.kinot.__aexit__(None, None, None)

    def make(self, name: str, clock: Clock) -> Source[Any]:
        table = {
            "type": "kinot", "server": self.kinot.url, "app_key": "ak", "app_secret": "sk", "snapshot": "1s",
            "register_callbacks": False, "timeout": "1s",
        }  # fmt: skip
        return Kinot(name, Kinot.Settings.model_validate(table), clock)

    async def ready(self) -> None:
        """What no callback brings, the next snapshot does."""

    async def produce(self, n: int) -> list[Hashable]:
        made: list[Hashable] = []
        for _ in range(n):
            bay = self.kinot.fleet.bays[next(self.turns)]
            self.kinot.change(bay.sn, car_detected=1 - bay.flags["car_detected"])
            made.append((bay.sn, bay.updated.isoformat()))
        return made

    def identity(self, event: Mapping[str, Any]) -> Hashable | None:
        raw = event["data"].get("raw")
        # The first that is heard of a bay says all that it has; what changes later is whether a vehicle stands there.
        if not event["type"].startswith("parking.space.") or not raw or raw["updated_at"] == self.begun:
            return None
        return raw["sn"], raw["updated_at"]

    async def redeliver(self) -> None:
        for callback in self.kinot.platform.callbacks[-10:]:
            assert await self.kinot.platform.once(callback)

    async def stall(self) -> None:
        self.kinot.faults.append(kinot.Fault("hang"))

    async def resume(self) -> None:
        self.kinot.faults.clear()

    async def vanish(self) -> None:
        await self.kinot.go_away()

    async def come_back(self) -> None:
        await self.kinot.come_back()

    async def garbage(self) -> None:
        self.kinot.faults.append(kinot.Fault("garbage"))
        url = f"{self.push_url}/kinot/s{self.number}/status"
        for body in ("", "[]", '{"sn":419635202,"car_detected":1}', '{"sn":1,"sign":"0"}', "{]"):
            assert not await self.kinot.platform.once(Callback(url, body, 0))

    def acknowledged(self) -> set[Hashable]:
        bodies = [orjson.loads(each.body) for each in self.kinot.platform.callbacks if each.acknowledged]
        return {(body["sn"], body["updated_at"]) for body in bodies}


class ConnectVendor(Vendor):
    can = frozenset({"redeliver", "stall", "vanish", "garbage", "acknowledge"})
    keeps = True

    async def start(self) -> None:
        await self._open(0)

    async def _open(self, port: int) -> None:
        self.vendor = connect.Simulator(
            clock=Clock(), rate_limit=None, seed=self.number, port=port, app_key="ak", secret_key="sk"
        )
        await self.vendor.__aenter__()

    async def stop(self) -> None:
        await self.vendor.__aexit__(None, None, None)

    def make(self, name: str, clock: Clock) -> Source[Any]:
        table = {
            "type": "hik-connect", "server": self.vendor.url, "app_key": "ak", "secret_key": "sk",
            "poll_interval": "10ms", "timeout": "1s",
        }  # fmt: skip
        return HikConnect(name, HikConnect.Settings.model_validate(table), clock, paced=False)

    @property
    def queue(self) -> Any:
        return self.vendor.account.queues["combine"]

    async def ready(self) -> None:
        while not self.queue.subscribed:  # the simulator tells nobody
            await asyncio.sleep(0.005)

    async def produce(self, n: int) -> list[Hashable]:
        return [*self.vendor.put("combine", *self.vendor.make("combine", n))]

    def identity(self, event: Mapping[str, Any]) -> Hashable | None:
        raw = event["data"].get("raw")
        return connect_identity(raw) if event["data"]["vendor"] == "hik-connect" and raw else None

    async def redeliver(self) -> None:
        while self.queue.remaining or self.queue.out:  # the simulator tells nobody
            await asyncio.sleep(0.005)
        self.queue.redeliver(new_id=True, resigned=True)

    async def stall(self) -> None:
        self.vendor.faults.push(connect.Fault("hang", times=1))

    async def resume(self) -> None:
        self.vendor.faults.clear()

    async def vanish(self) -> None:
        account, port = self.vendor.account, self.vendor._port
        await self.vendor.__aexit__(None, None, None)
        self.away = (account, port)

    async def come_back(self) -> None:
        await self.vendor.__aenter__()

    async def garbage(self) -> None:
        self.vendor.faults.push(connect.Fault("garbage", path="messages"), connect.Fault("poison", path="messages"))

    def acknowledged(self) -> set[Hashable]:
        return set(self.queue.completed)


VENDORS: tuple[type[Vendor], ...] = (
    CameraVendor, BareCameraVendor, GatewayVendor, AvaEyeVendor, KinotVendor, ConnectVendor,
)  # fmt: skip


@pytest.mark.parametrize(
    ("check", "vendor"),
    [
        pytest.param(check, vendor, id=f"{check}-{vendor.__name__.removesuffix('Vendor')}")
        for check in CHECKS
        for vendor in VENDORS
        if applies(check, vendor)
    ],
)
def test_source(check: str, vendor: type[Vendor], tmp_path: Path) -> None:
    asyncio.run(CHECKS[check](tmp_path, vendor))  # type: ignore[arg-type]  # a coroutine, as all checks are
