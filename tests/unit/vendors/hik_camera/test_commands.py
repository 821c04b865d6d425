"""Commands to a device, through the real desk: each call once, its answer judged, a picture stored."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pump.commands.contract import CommandResult, NotTaken, Request
from pump.config.model import CommandSettings
from pump.core.clock import Clock
from pump.ops.commands.desk import CommandDesk
from pump.testing import ManualClock
from pump.vendors.hik_camera.simulator.controls import PICTURE, Habit
from pump.vendors.hik_camera.simulator.server import Quirks, Simulator
from tests.unit.vendors.hik_camera.site import Site, site

SERIAL = "DS-2CD000020260101AAWRTEST00001"
GRANTS = {"grants": [{"callers": ["socket"], "verbs": ["*"], "targets": ["*"]}], "per_minute": 600}


@dataclass
class Commanding:
    device: Simulator
    pump: Site
    desk: CommandDesk

    async def ask(self, target: str, verb: str, arguments: Mapping[str, Any] | None = None) -> CommandResult:
        return await (await self.desk.ask(Request(target, verb, arguments or {}), "socket")).result

    @property
    def did(self) -> list[tuple[str, int, str]]:
        return [(one.what, one.number, one.state) for one in self.device.account.actions]


@asynccontextmanager
async def commanding(folder: Path, clock: Clock | None = None, **quirks: Any) -> AsyncIterator[Commanding]:
    """A pump that is up, with its desk."""
    clock = clock or Clock()
    more: dict[str, Any] = {"nonce_life": 1e9, "heartbeat": "none"}
    async with (
        Simulator(clock=clock, quirks=Quirks(**(more | quirks))) as device,
        site(folder, device, clock, heartbeat_timeout="1h") as pump,
    ):
        pump.source.qualifier = "door"
        desk = CommandDesk(
            CommandSettings.model_validate(GRANTS), {"door": pump.source}, {"door": pump.intake}, pump.intake,
            clock=clock, metrics=pump.metrics,
        )  # fmt: skip
        running = asyncio.create_task(desk.run())
        await pump.until(lambda: pump.state == "up" and "doors" in (pump.intake.state("device").get("device") or {}))
        try:
            yield Commanding(device, pump, desk)
        finally:
            running.cancel()
            await asyncio.wait({running})
            await desk.close()


@pytest.mark.parametrize(
    ("target", "verb", "action"),
    [
        ("output/door/2", "output.on", ("output", 2, "high")), ("output/door/1", "output.off", ("output", 1, "low")),
        ("door/door/1", "door.open", ("door", 1, "open")), ("door/door/2", "door.hold-open", ("door", 2, "alwaysOpen")),
        ("door/door/1", "door.hold-closed", ("door", 1, "alwaysClose")),
        ("door/door/1", "door.release", ("door", 1, "close")), (f"device/{SERIAL}", "camera.reboot", ("reboot", 1, "")),
        ("camera/door/1", "camera.capture", ("picture", 1, "")), ("camera/door/33", "camera.capture", ("proxy", 1, "")),
    ],
)  # fmt: skip
async def test_each_verb_is_its_call(tmp_path: Path, target: str, verb: str, action: tuple[str, int, str]) -> None:
    async with commanding(tmp_path, recorder=True) as there:
        assert (await there.ask(target, verb)).status == "done"
        assert there.did == [action]


async def test_targets_are_what_the_device_lists(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        found = {one.subject: one.name for one in there.pump.source.targets()}
        assert found == {
            "camera/door/1": "Lane 1", "output/door/1": "Relay 1", "output/door/2": "Relay 2", "door/door/1": None,
            "door/door/2": None, f"device/{SERIAL}": "North gate",
        }  # fmt: skip
        assert all(there.pump.source.verbs(one) for one in found)


async def test_a_picture_becomes_media(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        result = await there.ask("camera/door/1", "camera.capture", {"channel": 1})
        assert result.facts["sha256"] == hashlib.sha256(PICTURE).hexdigest()
        assert result.facts["bytes"] == len(PICTURE)
        assert result.facts["mime"] == "image/jpeg"
        assert (there.pump.intake.media.folder / result.facts["path"]).read_bytes() == PICTURE


@pytest.mark.parametrize(
    ("habit", "status", "acted"),
    [
        ("drop", "unknown", 1), ("busy", "refused", 0), ("broken", "failed", 0), ("refuse", "refused", 0),
        ("garbage", "unknown", 1), ("error", "unknown", 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", ["door/door/1", "camera/door/1"])
async def test_an_answer_is_what_it_says_and_nothing_is_sent_twice(
    tmp_path: Path, habit: Habit, status: str, acted: int, target: str
) -> None:
    async with commanding(tmp_path) as there:
        there.device.controls.habits.append(habit)
        verb = "door.open" if target.startswith("door") else "camera.capture"
        assert (await there.ask(target, verb)).status == status
        assert len(there.did) == acted


async def test_an_answer_that_does_not_come_is_a_time_out(tmp_path: Path) -> None:
    clock = ManualClock()
    async with commanding(tmp_path, clock) as there:
        there.device.controls.habits.append("hang")
        asked = asyncio.ensure_future(there.ask("door/door/1", "door.open"))
        await there.pump.until(lambda: there.did)
        await there.pump.until(asked.done, step=0.5)
        assert (await asked).status == "timed-out"
        assert len(there.did) == 1
        assert (await there.ask("door/door/1", "door.open")).status == "done", "the next one is not held up"


async def test_nothing_is_sent_after_its_time(tmp_path: Path) -> None:
    clock = ManualClock()
    async with commanding(tmp_path, clock) as there:
        there.device.stall()
        before = len(there.device.account.requests)
        asked = asyncio.ensure_future(there.ask("door/door/1", "door.open"))
        await there.pump.until(asked.done, step=0.5)
        there.device.resume()
        assert (await asked).status in ("timed-out", "expired")
        assert there.did == []
        assert len(there.device.account.requests) <= before + 1


@pytest.mark.parametrize(
    ("target", "verb", "arguments"),
    [
        ("output/door/1", "output.on", {"seconds": 5}), ("camera/door/1", "camera.capture", {"channel": 2}),
    ],
)  # fmt: skip
async def test_what_the_device_has_no_call_for_is_refused_unsent(
    tmp_path: Path, target: str, verb: str, arguments: dict[str, Any]
) -> None:
    async with commanding(tmp_path) as there:
        before = len(there.device.account.requests)
        assert (await there.ask(target, verb, arguments)).status == "refused"
        assert len(there.device.account.requests) == before


@pytest.mark.parametrize(
    ("target", "verb"),
    [
        ("output/door/3", "output.on"), ("door/door/0", "door.open"), ("door/door/01", "door.open"),
        ("door/1", "door.open"),
        ("door/other/1", "door.open"), ("device/another", "camera.reboot"), ("device/", "camera.reboot"),
        ("camera/door/1", "door.open"), ("camera/door/../1", "camera.capture"), ("camera/door/99999", "camera.capture"),
    ],
)  # fmt: skip
async def test_what_is_not_the_devices_is_not_taken(tmp_path: Path, target: str, verb: str) -> None:
    async with commanding(tmp_path) as there:
        with pytest.raises(NotTaken):
            await there.ask(target, verb)
        assert there.did == []


async def test_a_rejected_login_is_not_tried_again_and_costs_no_stream(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        there.device.login.password = "Another-1"
        first = await there.ask("door/door/1", "door.open")
        assert first.status == "refused"
        assert len(there.device.account.rejected) == 1
        again = await there.ask("door/door/2", "door.open")
        assert again.status == "failed"
        assert "Camera-1" not in first.reason + again.reason
        assert len(there.device.account.rejected) == 1
        assert there.device.streams == 1
        there.device.login.password = "Camera-1"
        there.pump.source.hurry()
        assert (await there.ask("door/door/1", "door.open")).status == "done"


async def test_a_device_that_is_away_has_not_done_it(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        await there.device.go_away()
        assert (await there.ask("door/door/1", "door.open")).status == "failed"
        assert there.did == []
