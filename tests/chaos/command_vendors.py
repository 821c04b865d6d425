"""Five simulated vendors in a process of their own, which outlives the daemon and keeps account of what devices did.

`python -m tests.chaos.command_vendors SEED PUSH_PORT` prints, as JSON, the address of its own socket, the source tables
of a pump.toml and the pairs of target and verb: each pair is one action that the account can tell from all others.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, Final

import orjson
from aiohttp import web

from pump.core.clock import Clock
from pump.simulation.server import WebServer
from pump.vendors.avaeye.simulator.lapi import CameraServer
from pump.vendors.avaeye.simulator.lapi import Quirks as CameraQuirks
from pump.vendors.hik_camera.simulator.server import Quirks as DeviceQuirks
from pump.vendors.hik_camera.simulator.server import Simulator as Device
from pump.vendors.hik_connect.simulator import faults
from pump.vendors.hik_connect.simulator.server import Simulator as Cloud
from pump.vendors.hik_gateway.simulator.quirks import Quirks as GatewayQuirks
from pump.vendors.hik_gateway.simulator.server import Device as Panel
from pump.vendors.hik_gateway.simulator.server import Simulator as Gateway
from pump.vendors.kinot.simulator.server import Fault
from pump.vendors.kinot.simulator.server import Simulator as Kinot

Pair = tuple[str, str]
"""A target and a verb; with a plate or a text where one camera is asked several times."""
CAMERAS: Final = 14
PANELS: Final = ("2cd6716d-767f-4756-ac55-50276a5e3b01", "2cd6716d-767f-4756-ac55-50276a5e3b02")
DOORS: Final = 16
OUTPUTS: Final = 20
STUCK: Final = "camera/10000/1000"
"""A camera that acts and gives no answer: what is asked for behind it expires."""

_LAPI: Final = {
    "open": "gate.open", "open and lock": "gate.hold-open", "unlock": "gate.release", "close": "gate.close",
    "add Allow": "list.add", "show": "display.show", "reboot": "camera.reboot", "capture": "camera.capture",
}  # fmt: skip
_DOORS: Final = {1: "door.open", 2: "door.release", 3: "door.hold-open", 4: "door.hold-closed"}
_STATES: Final = {
    "open": "door.open", "close": "door.release", "alwaysOpen": "door.hold-open", "alwaysClose": "door.hold-closed",
    "high": "output.on", "low": "output.off",
}  # fmt: skip
_PANEL: Final = {
    "arm": ("partition", "partition.arm"), "disarm": ("partition", "partition.disarm"),
    "clearAlarm": ("partition", "alarm.clear"), "bypass": ("zone", "zone.bypass"),
    "bypassRecover": ("zone", "zone.restore"), "outputs open": ("output", "output.on"),
    "outputs close": ("output", "output.off"),
}  # fmt: skip
_BAY: Final = {
    "reset code": "lock.reset-code", "raise": "lock.raise", "lower": "lock.lower", "activate": "sensor.activate",
    "freeze": "sensor.freeze",
}  # fmt: skip
_CLOUD: Final[tuple[faults.Kind, ...]] = ("lost_answer", "cut_answer", "drop", "garbage", "expired_token")


class Vendors(WebServer):
    """All of them, and the socket at which they are asked what was done."""

    def __init__(self, seed: int, push_port: int) -> None:
        super().__init__("127.0.0.1", 0)
        clock = Clock()
        self.random = random.Random(seed)
        self.troubled = False
        self.push_port = push_port
        self.cameras = {f"10000/{1000 + number}": CameraServer(clock=clock) for number in range(CAMERAS)}
        self.stuck = self.cameras[STUCK.removeprefix("camera/")].quirks.hold = asyncio.Event()
        self.kinot = Kinot(clock=clock, bays=60, seed=seed)
        self.kinot.orders.lock_values = {2: "raise", 3: "lower"}
        self.cloud = Cloud(clock=clock)
        panels = [Panel(index, f"Panel {number}") for number, index in enumerate(PANELS)]
        self.gateway = Gateway(clock=clock, quirks=GatewayQuirks(nonce_seconds=1e9, page=10), devices=panels)
        self.device = Device(clock=clock, quirks=DeviceQuirks(nonce_life=1e9))
        self.device.controls.outputs, self.device.controls.doors = OUTPUTS, DOORS

    @property
    def servers(self) -> list[Any]:
        return [*self.cameras.values(), self.kinot, self.cloud, self.gateway, self.device]

    # --- what the test asks -----------------------------------------------------------------------------------------

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /account, POST /trouble and /calm; POST /release has the stuck camera answer."""
        if request.path in ("/trouble", "/calm"):
            self.troubled = request.path == "/trouble"
        if request.path == "/release":
            self.stuck.set()
        return web.Response(body=orjson.dumps(list(self.account())), content_type="application/json")

    def account(self) -> Iterator[tuple[str, str, float]]:
        """Target, verb and monotonic time of everything that a device did."""
        for key, camera in self.cameras.items():
            yield from ((f"camera/{key}", _LAPI[did], at) for did, _, at in camera.account.actions)
        for bay in self.kinot.actions:
            kind = "lock" if self.kinot.fleet.bays[bay.sn].lock else "sensor"
            yield f"{kind}/{bay.sn}", _BAY[bay.did], bay.at
        for doing in self.cloud.doings.actions:
            verb = _DOORS[doing.value] if doing.kind == "door" else {-1: "output.on", 0: "output.off"}[doing.value]
            yield f"{doing.kind}/{doing.id}", verb, doing.at
        for at, index, call, number, state in self.gateway.account.actions:
            kind, verb = _PANEL[f"{call} {state}" if call == "outputs" else call]
            yield f"{kind}/{index}/{number}", verb, at
        for one in self.device.account.actions:
            yield f"{one.what}/{one.number}", _STATES[one.state], one.when

    def pairs(self) -> dict[str, list[Pair]]:
        """What can be asked for, by source."""
        lock, sensor = list(_BAY.values())[:3], list(_BAY.values())[3:]
        bays = [(f"{'lock' if bay.lock else 'sensor'}/{sn}", lock if bay.lock else sensor)
                for sn, bay in self.kinot.fleet.bays.items()]  # fmt: skip
        doors, switches = [*_DOORS.values()], ["output.on", "output.off"]
        parts = [f"{index}/{number}" for index in PANELS for number in range(1, 9)]
        targets = {
            "gate": [(f"camera/{key}", [*_LAPI.values()]) for key in self.cameras],
            "bays": bays,
            "teams": [*((f"door/d{n}", doors) for n in range(DOORS)), *((f"output/o{n}", switches) for n in range(20))],
            "arc": [(f"{kind}/{part}", [verb]) for kind, verb in _PANEL.values() for part in parts],
            "door": [*((f"door/{n}", doors) for n in range(1, DOORS + 1)),
                     *((f"output/{n}", switches) for n in range(1, OUTPUTS + 1))],
        }  # fmt: skip
        return {name: [(target, verb) for target, verbs in rows for verb in verbs] for name, rows in targets.items()}

    def tables(self) -> str:
        """The sources of a pump.toml."""
        named = [f"door/d{n}" for n in range(DOORS)] + [f"output/o{n}" for n in range(20)]
        return "\n".join([
            "[sources.gate]", 'type = "avaeye"', 'username = "admin"', 'password = "camera-secret"',
            "[sources.gate.cameras]",
            *(f'"{key}" = {{ url = "{camera.url}" }}' for key, camera in self.cameras.items()),
            "[sources.bays]", 'type = "kinot"', f'server = "{self.kinot.url}"', 'app_key = "ak"', 'app_secret = "sk"',
            f'callback_base = "http://127.0.0.1:{self.push_port}"', "lock_values = { raise = 2, lower = 3 }",
            "[sources.teams]", 'type = "hik-connect"', f'server = "{self.cloud.url}"', 'app_key = "ak"',
            'secret_key = "sk"', 'queues = ["rawmsg"]', 'timeout = "5s"',
            "[sources.teams.names]", *(f'"{one}" = {{ name = "{one}" }}' for one in named),
            "[sources.arc]", 'type = "hik-gateway"', f'url = "{self.gateway.url}"', 'username = "admin"',
            'password = "secret1"',
            "[sources.door]", 'type = "hik-camera"', f'url = "{self.device.url}"', 'username = "admin"',
            'password = "Camera-1"', 'heartbeat_timeout = "1h"', "",
        ])  # fmt: skip

    # --- what goes wrong --------------------------------------------------------------------------------------------

    async def trouble(self) -> None:
        """About every third call of a command meets something, for as long as it is asked for."""
        while True:
            await asyncio.sleep(0.1)
            if self.troubled:
                self._cameras()
                self._others()

    def _cameras(self) -> None:
        for key, camera in self.cameras.items():
            if camera.quirks.hold is None and f"camera/{key}" != STUCK and self.random.random() < 0.2:
                habit = self.random.choice(["", "", "drop", "garbled", "status", "hold"])
                hold = asyncio.Event() if habit == "hold" else None
                camera.quirks = CameraQuirks(
                    drop=habit == "drop", garbled=habit == "garbled", status=503 if habit == "status" else 200,
                    hold=hold,
                )  # fmt: skip
                if hold is not None:
                    later = asyncio.get_running_loop()
                    later.call_later(1.5, hold.set)
                    later.call_later(1.5, setattr, camera, "quirks", CameraQuirks())

    def _others(self) -> None:
        draw = self.random.choice
        if self.random.random() < 0.8:
            return
        if not self.device.controls.habits:
            self.device.controls.habits.append(draw(["drop", "busy", "broken", "refuse", "garbage", "error"]))
        if not self.gateway.faults.commands:
            self.gateway.faults.commands.append(draw(["refuse", "busy", "drop", "error", "garbage"]))
        if not self.cloud.faults.waiting:
            path = draw(["remote/control", "alarmoutputs/control"])
            self.cloud.faults.push(faults.Fault(draw(_CLOUD), path))
        if not self.kinot.faults:
            self.kinot.faults.append(Fault(draw(["lost", "drop", "garbage"]), "commands"))
        self.kinot.orders.delay = draw([0.0, 0.0, 0.5])
        self.kinot.orders.silent = draw([False, False, True])


async def _run(seed: int, push_port: int) -> None:
    vendors = Vendors(seed, push_port)
    async with AsyncExitStack() as stack:
        for server in (*vendors.servers, vendors):
            await stack.enter_async_context(server)
        said = {"url": vendors.url, "tables": vendors.tables(), "pairs": vendors.pairs()}
        sys.stdout.buffer.write(orjson.dumps(said) + b"\n")
        sys.stdout.buffer.flush()
        troubling = asyncio.create_task(vendors.trouble())
        try:
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the test closes it
        finally:
            troubling.cancel()


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1]), int(sys.argv[2])))
