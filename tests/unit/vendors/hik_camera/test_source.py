"""The source against the simulated device over a real socket, with a real spool."""

from __future__ import annotations

from pathlib import Path

import pytest

from pump.core.clock import Clock
from pump.vendors.hik_camera.simulator.server import ODDITIES, Simulator
from tests.unit.vendors.hik_camera.site import site


@pytest.mark.parametrize("name", ODDITIES)
async def test_every_habit_of_devices_is_read(tmp_path: Path, name: str) -> None:
    clock = Clock()
    async with (
        Simulator(clock=clock, quirks=ODDITIES[name], seed=3) as device,
        site(tmp_path, device, clock) as pump,
    ):
        await device.connected()
        for kind in ("anpr", "access", "counting", "line", "io"):
            device.emit(kind, repeats=5)
        device.emit("anpr")
        await device.drained()
        device.cut()
        found = await pump.stored(lambda events: any(event["type"] == "pump.gap" for event in events))
        kinds = [(event["type"], event["data"]["phase"]) for event in found]
        assert not [event for event in found if event["type"] == "pump.record.unparsed"], found
        assert kinds.count(("vehicle.passed", "pulse")) == 2
        assert kinds.count(("video.people.counted", "pulse")) == 2
        assert kinds.count(("video.line.crossed", "start")) == kinds.count(("video.line.crossed", "end")) == 1
        assert kinds.count(("security.input.triggered", "start")) == 1
        assert kinds.count(("security.input.restored", "end")) == 1
        plates = [event["data"] for event in found if event["type"] == "vehicle.passed" and "media" in event["data"]]
        assert [len(data["media"]) for data in plates] == [2, 2]
        assert kinds.count(("vehicle.passed", "update")) == (2 if name == "record in two" else 0)
        assert {event["data"]["late"] for event in found if event["type"] != "pump.gap"} == {False}
