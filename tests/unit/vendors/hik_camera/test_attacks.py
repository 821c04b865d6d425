"""The camera's source before a spool that refuses, and a user with few rights: what was read is kept, a pause is no
silence, and what may not be asked costs no event.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pump.commands.trial import Trial
from pump.testing import ManualClock
from pump.vendors.hik_camera import SOURCE
from pump.vendors.hik_camera import device as device_paths
from pump.vendors.hik_camera.simulator.messages import Records
from pump.vendors.hik_camera.simulator.quirks import Quirks
from pump.vendors.hik_camera.simulator.server import Simulator
from tests.unit.vendors.hik_camera.site import numbers, site


async def test_an_event_that_waits_for_its_pictures_outlives_the_link_and_a_spool_that_refuses(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: pump.state == "up")
        (message,) = Records(clock, Quirks(), 1).make("anpr")
        head = message.body
        # The message alone, of one that has announced two pictures; then the link is gone.
        device.send(type(message)(message.number, message.kind, message.content_type, head))
        await device.drained()
        for _ in range(50):
            await asyncio.sleep(0.002)
        pump.intake.refusing = True
        device.cut()
        await pump.until(lambda: pump.intake.refused)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while loop.time() - begin < 5.5:  # longer than a stop may take, in the world's time
            clock.advance(0.02)
            await asyncio.sleep(0.005)
        pump.intake.refusing = False
        events = await pump.stored(lambda events: numbers(events))
        assert numbers(events) == [message.number]


async def test_a_spool_that_refuses_ends_nothing_that_lasts(tmp_path: Path) -> None:
    clock = ManualClock()
    *active, last = Records(clock, Quirks(), 1).make("motion", repeats=20)
    (access,) = Records(clock, Quirks(), 2, numbers=100).make("access")
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock, event_timeout="5s") as pump:
        await pump.until(lambda: pump.state == "up")
        device.send(*active[:10])
        await pump.stored(lambda events: len(events) == 1)
        pump.intake.refusing = True
        device.send(access)
        await pump.until(lambda: pump.intake.refused)
        device.send(*active[10:])  # nobody reads them yet
        begin = clock.monotonic()
        await pump.until(lambda: clock.monotonic() > begin + 60.0, step=0.2)
        pump.intake.refusing = False
        device.send(last)
        events = await pump.stored(lambda events: sum(e["data"]["phase"] == "end" for e in events))
        motion = [event["data"] for event in events if event["type"] == "video.motion"]
        assert [data["phase"] for data in motion] == ["start", "end"]
        assert motion[1]["count"] == 20


async def test_a_list_that_the_user_may_not_read_costs_no_stream(tmp_path: Path) -> None:
    clock = ManualClock()
    quirks = Quirks(withheld=(device_paths.INPUTS,), nonce_life=1e9)
    async with Simulator(clock=clock, quirks=quirks) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: pump.state == "up")
        device.emit("motion", repeats=2)
        event, _ = await pump.stored(lambda events: len(events) == 2)
        assert event["data"]["device"]["name"] == "North gate", "what it may read it has read"
        for n in range(2, 6):  # and no new link asks soon again: it may have counted as a failed login
            device.cut()
            await pump.until(partial(lambda n: len(device.account.streams) >= n, n))
        assert clock.monotonic() < 600.0
        assert device.account.requests.count(device_paths.INPUTS) == 2, "the challenge and its answer"


@pytest.mark.parametrize("how", ["withheld", "forbidden"])
async def test_a_user_who_may_listen_and_ask_nothing_gets_every_event(tmp_path: Path, how: str) -> None:
    clock = ManualClock()
    asked: Any = {how: (device_paths.INFO, *device_paths.LISTS, device_paths.OUTPUTS, device_paths.DOORS)}
    quirks = Quirks(nonce_life=1e9, **asked)
    async with Simulator(clock=clock, quirks=quirks) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: pump.state == "up")
        device.emit("motion", repeats=2)
        event, _ = await pump.stored(lambda events: len(events) == 2)
        assert event["type"] == "video.motion"
        assert "device" not in event["data"], "nothing is known of it"
        assert pump.state == "up"
        assert len(device.account.streams) == 1


async def test_the_trial_of_a_device_that_may_not_be_asked_blames_no_password(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock, quirks=Quirks(forbidden=(device_paths.INFO,))) as device:
        settings = {"type": "hik-camera", "url": device.url, "password": "Camera-1"}
        source = SOURCE("door", SOURCE.Settings.model_validate(settings), clock)
        trial = Trial()
        await source.try_out(trial)
        assert any("the password is accepted" in line for line in trial.found)
        assert not device.account.rejected
