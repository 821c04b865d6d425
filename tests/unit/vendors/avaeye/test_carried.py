"""Commands that the answer to a keep-alive carries: one an answer, once, never after their expiry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pump.core.clock import Clock
from pump.testing import ManualClock
from pump.vendors.avaeye.carried import QUIET
from pump.vendors.avaeye.simulator.camera import Camera
from pump.vendors.avaeye.simulator.lapi import Actions
from pump.vendors.avaeye.simulator.messages import STEADY
from tests.unit.vendors.avaeye.commanded import Commanded, commanded


@asynccontextmanager
async def carried(folder: Path, *, clock: Clock | None = None, **table: Any) -> AsyncIterator[tuple[Commanded, Player]]:
    """A camera that is commanded by its keep-alives, and gives one when it is asked to."""
    clock = clock or Clock()
    async with (
        commanded(folder, clock=clock, **{"control": "keepalive", **table}) as there,
        aiohttp.ClientSession() as session,
    ):
        yield there, Player(there, session, clock)


class Player:
    """The simulated camera 10000/1001, whose every message a test asks for."""

    def __init__(self, there: Commanded, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.url = there.site.listener.url
        self.session = session
        zone = clock.now().tzinfo
        assert zone is not None
        self.camera = Camera("10000", "1001", STEADY, clock=clock, zone=zone, seed=1)
        self.source = there.source

    @property
    def account(self) -> Actions:
        return self.camera.account

    async def alive(self, *, waiting: bool = True) -> None:
        """A keep-alive, once a command waits for it."""
        while waiting and not self.source.waits("10000/1001"):
            await asyncio.sleep(0)
        assert await self.camera.keep_alive(self.session, self.url)

    async def introduce(self, *spaces: str) -> None:
        message = self.camera.introduction()
        message["params"]["parkInfo"] = {"idInfo": [{"area": "A", "id": one} for one in spaces]}
        assert await self.camera.send(self.session, self.url, "basicinfo", message)


@pytest.mark.parametrize(
    ("verb", "arguments", "action", "content", "status"),
    [
        ("gate.open", {}, "open", None, "done"),
        ("camera.capture", {}, "capture", None, "done"),
        ("camera.reboot", {}, "reboot", None, "unknown"),
        ("lamp.set", {"mode": "auto"}, "lamps", "camera", "done"),
        ("lamp.set", {"mode": "flash", "color": "red"}, "lamp", [("001", 2, 1), ("002", 2, 1)], "done"),
        ("lamp.set", {"mode": "off"}, "lamp", [("001", 0, None), ("002", 0, None)], "done"),
    ],
)
async def test_each_control_is_carried_once_and_its_result_comes_by_notifyresult(
    tmp_path: Path, verb: str, arguments: dict[str, Any], action: str, content: Any, status: str
) -> None:
    async with carried(tmp_path) as (there, player):
        await player.introduce("001", "002")
        ticket = await there.ask(verb, **arguments)
        await player.alive()
        assert (await ticket.result).status == status
        await player.alive(waiting=False)
        assert [one[:2] for one in player.account.actions] == [(action, content)]


async def test_what_the_lamps_cannot_do_is_refused(tmp_path: Path) -> None:
    async with carried(tmp_path) as (there, _):
        for arguments in ({"mode": "off"}, {"mode": "on", "color": "blue"}, {"brightness": 3}, {"mode": "on"}):
            assert (await there.result("lamp.set", **arguments)).status == "refused"


async def test_the_cameras_own_no_is_a_refusal(tmp_path: Path) -> None:
    async with carried(tmp_path) as (there, player):
        player.camera.refuses = True
        ticket = await there.ask("gate.open")
        await player.alive()
        found = await ticket.result
        assert (found.status, player.account.names) == ("refused", [])


async def test_one_answer_carries_one_command_in_their_order(tmp_path: Path) -> None:
    async with carried(tmp_path) as (there, player):
        first, second = await there.ask("gate.open"), await there.ask("camera.capture")
        await player.alive()
        assert (await first.result).status == "done"
        assert player.account.names == ["open"]
        await player.alive()
        assert (await second.result).status == "done"
        assert player.account.names == ["open", "capture"]


async def test_nothing_is_carried_after_its_expiry(tmp_path: Path) -> None:
    clock = ManualClock()
    async with carried(tmp_path, clock=clock) as (there, player):
        ticket = await there.ask("gate.open", expires=10)
        waiting = asyncio.ensure_future(ticket.result)
        while not there.source.waits("10000/1001"):
            await asyncio.sleep(0)
        clock.advance(10.0)
        await player.alive(waiting=False)
        assert (await asyncio.wait_for(waiting, 60)).status == "expired"
        await player.alive(waiting=False)
        assert player.account.names == []


async def test_a_result_that_is_lost_is_a_time_out_and_what_comes_late_settles_no_other(tmp_path: Path) -> None:
    clock = ManualClock()
    async with carried(tmp_path, clock=clock) as (there, player):
        player.camera.mute = True
        ticket = await there.ask("gate.open", expires=30)
        await player.alive()
        waiting = asyncio.ensure_future(ticket.result)
        await clock.run(40.0)
        assert (await asyncio.wait_for(waiting, 60)).status == "timed-out"
        assert player.account.names == ["open"]
        second = await there.ask("gate.open", expires=30)
        await player.alive()
        await player.camera.report(player.session, player.url, "gatecontrol")  # the first one's, late
        waiting = asyncio.ensure_future(second.result)
        player.camera.mute = False
        await player.camera.report(player.session, player.url, "gatecontrol")
        assert (await asyncio.wait_for(waiting, 60)).status == "done"
        assert player.account.names == ["open", "open"]


async def test_results_that_come_twice_settle_one_command(tmp_path: Path) -> None:
    async with carried(tmp_path) as (there, player):
        player.camera.repeats = 3
        ticket = await there.ask("gate.open")
        await player.alive()
        assert (await ticket.result).status == "done"
        assert player.account.names == ["open"]
        assert len([one for one in await there.site.events() if one["type"] == "command.result"]) == 4


async def test_the_result_of_another_platforms_request_settles_nothing(tmp_path: Path) -> None:
    async with carried(tmp_path) as (there, player):
        player.camera.mute = True
        ticket = await there.ask("gate.open")
        await player.alive()
        other = {"requestId": "202006171129590001", "parkId": "10000", "deviceId": "1001", "code": 200, "data": {}}
        assert (await there.site.post("notifyresult/gatecontrol", other)).status == 200
        player.camera.refuses = True
        await player.camera.report(player.session, player.url, "gatecontrol")
        assert (await ticket.result).status == "refused"


async def test_a_camera_that_cannot_be_reached_is_given_it_with_its_keep_alive(tmp_path: Path) -> None:
    async with carried(tmp_path, control="auto") as (there, player):
        assert (await there.result("gate.open")).status == "done"
        assert there.camera.account.names == ["open"]
        await there.camera.go_away()
        ticket = await there.ask("gate.open")
        await player.alive()
        assert (await ticket.result).status == "done"
        assert player.account.names == ["open"]


async def test_what_was_sent_to_the_camera_is_not_carried_too(tmp_path: Path) -> None:
    async with carried(tmp_path, control="auto") as (there, player):
        there.camera.quirks.drop = True
        assert (await there.result("gate.open")).status == "unknown"
        await player.alive(waiting=False)
        assert (there.camera.account.names, player.account.names) == (["open"], [])


async def test_another_camera_is_not_given_it(tmp_path: Path) -> None:
    async with carried(tmp_path) as (there, player):
        ticket = await there.ask("gate.open")
        while not there.source.waits("10000/1001"):
            await asyncio.sleep(0)
        for park, device in (("10000", "1002"), ("10001", "1001")):
            answer = await there.site.post("keepalive", {"parkId": park, "deviceId": device, "params": {}})
            assert "letCarPass" not in answer.json["data"]
        await player.alive()
        assert (await ticket.result).status == "done"


async def test_a_stop_leaves_what_was_given_unknown(tmp_path: Path) -> None:
    async with carried(tmp_path) as (there, player):
        player.camera.mute = True
        ticket = await there.ask("gate.open")
        await player.alive()
        await there.desk.close()
        assert (await ticket.result).status == "unknown"
        assert not there.source.waits("10000/1001")


async def test_a_copy_of_a_result_settles_no_other_command(tmp_path: Path) -> None:
    clock = ManualClock()
    async with carried(tmp_path, clock=clock) as (there, player):
        first = await there.ask("gate.open")
        await player.alive()
        assert (await first.result).status == "done"
        second = await there.ask("gate.open")
        await player.alive()  # too soon after the first one's result, of which a copy may be on its way
        assert player.account.names == ["open"]
        await player.camera.report(player.session, player.url, "gatecontrol")
        clock.advance(QUIET)
        player.camera.refuses = True
        await player.alive()
        assert (await second.result).status == "refused", "its own result counts, not the first one's copy"
        assert player.account.names == ["open"]


async def test_a_result_after_the_end_changes_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    async with carried(tmp_path, clock=clock) as (there, player):
        player.camera.mute = True
        ticket = await there.ask("gate.open", expires=10)
        await player.alive()
        waiting = asyncio.ensure_future(ticket.result)
        await clock.run(20.0)
        assert (await asyncio.wait_for(waiting, 60)).status == "timed-out"
        for _ in range(2):
            await player.camera.report(player.session, player.url, "gatecontrol")
        ours = [
            event["data"]["command"]["status"]
            for event in await there.site.events()
            if event["type"] == "command.result" and event["data"]["command"].get("request_id") == ticket.request_id
        ]
        assert (ours, player.account.names) == (["timed-out"], ["open"])


async def test_a_picture_that_was_reported_before_settles_nothing_however_late_it_comes(tmp_path: Path) -> None:
    clock = ManualClock()
    async with carried(tmp_path, clock=clock) as (there, player):
        path, body = "notifyresult/manualcapture/common", {"parkId": "10000", "deviceId": "1001", "code": 200}
        player.camera.mute = True
        first = await there.ask("camera.capture")
        await player.alive()
        assert (await there.site.post(path, {**body, "data": {"recordId": "one"}})).status == 200
        assert (await first.result).status == "done"
        clock.advance(100.0)
        second = await there.ask("camera.capture")
        await player.alive()
        assert (await there.site.post(path, {**body, "data": {"recordId": "one"}})).status == 200
        assert (await there.site.post(path, {**body, "code": 101, "data": {"recordId": "two"}})).status == 200
        assert (await second.result).status == "refused", "the second picture's own result counts"
        assert player.account.names == ["capture", "capture"]
