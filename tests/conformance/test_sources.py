from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pump.clock import Clock
from pump.source import Source
from pump.testing.sources import CHECKS, Vendor, applies
from pump.vendors.hik_camera import simulator as camera
from pump.vendors.hik_camera.source import HikCamera
from pump.vendors.hik_connect import simulator as connect
from pump.vendors.hik_connect.source import HikConnect
from pump.vendors.hik_connect.traffic import identity as connect_identity
from pump.vendors.hik_gateway import simulator as gateway
from pump.vendors.hik_gateway.simulator_messages import identity as gateway_identity
from pump.vendors.hik_gateway.source import HikGateway


class CameraVendor(Vendor):
    can = frozenset({"redeliver", "stall", "vanish", "half_open", "garbage"})
    quirks = camera.Quirks(heartbeat_interval=0.2)

    async def start(self) -> None:
        self.device = camera.Simulator(clock=Clock(), quirks=self.quirks, seed=self.number)
        await self.device.come_back()
        self.dead = 0

    async def stop(self) -> None:
        await self.device.go_away()

    def make(self, name: str, clock: Clock) -> Source[Any]:
        table = {"type": "hik-camera", "url": self.device.url, "password": "Camera-1", "heartbeat_timeout": "1s"}
        return HikCamera(name, HikCamera.Settings.model_validate(table), clock)

    async def ready(self) -> None:
        while self.device.streams <= self.dead:  # the dead ones count too
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
        await self.gateway.listen()
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
        await self.gateway.listen()

    async def half_open(self) -> None:
        streams = self.gateway.account.streams
        self.gateway.faults.half_open = 1
        for one in list(self.gateway.subscriptions.values()):
            one.stop()
        while self.gateway.account.streams < streams + 2:  # as above
            await asyncio.sleep(0.005)

    async def garbage(self) -> None:
        self.gateway.faults.garbage = [b"\xff\x00 what is this\r\n\r\n", b"--boundary\r\n\r\n"]


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


VENDORS: tuple[type[Vendor], ...] = (CameraVendor, BareCameraVendor, GatewayVendor, ConnectVendor)


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
