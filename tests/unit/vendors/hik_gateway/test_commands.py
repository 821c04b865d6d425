"""Commands to a gateway's devices, through the real desk: the document's calls, each once, their answers judged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pump.commands.contract import CommandResult, NotTaken, Request
from pump.config.model import CommandSettings
from pump.ops.commands.desk import CommandDesk
from pump.vendors.hik_gateway.simulator.quirks import Quirks
from pump.vendors.hik_gateway.simulator.server import Device
from tests.unit.vendors.hik_gateway.site import PASSWORD, Site, site

PANEL = "2cd6716d-767f-4756-ac55-50276a5e3b01"
CAMERA = "2cd6716d-767f-4756-ac55-50276a5e3b02"
GRANTS = {"grants": [{"callers": ["socket"], "verbs": ["*"], "targets": ["*"]}], "per_minute": 600}
NAMES = {f"{PANEL}/zone/3": {"name": "Back door"}, f"{PANEL}/partition/1": {"name": "House"}}


@dataclass
class Commanding:
    pump: Site
    desk: CommandDesk

    async def ask(self, target: str, verb: str, **arguments: Any) -> CommandResult:
        return await (await self.desk.ask(Request(target, verb, arguments), "socket")).result

    @property
    def did(self) -> list[tuple[str, ...]]:
        return [one[1:] for one in self.pump.vendor.account.actions]


@asynccontextmanager
async def commanding(folder: Path) -> AsyncIterator[Commanding]:
    """A pump that is up and knows the devices, with its desk."""
    devices = [Device(PANEL, "House panel"), Device(CAMERA, "Yard", kind="encodingDev")]
    quirks = Quirks(nonce_seconds=1e9)
    async with site(folder, quirks=quirks, devices=devices, settings={"names": NAMES}) as pump:
        desk = CommandDesk(
            CommandSettings.model_validate(GRANTS), {"arc": pump.source}, {"arc": pump.intake}, pump.intake,
            clock=pump.clock, metrics=pump.metrics,
        )  # fmt: skip
        running = asyncio.create_task(desk.run())
        await pump.up()
        await pump.until(lambda: list(pump.source.targets()))
        try:
            yield Commanding(pump, desk)
        finally:
            running.cancel()
            await asyncio.wait({running})
            await desk.close()


@pytest.mark.parametrize(
    ("target", "verb", "arguments", "action"),
    [
        (f"partition/{PANEL}/1", "partition.arm", {}, (PANEL, "arm", "1", "away")),
        (f"partition/{PANEL}/2", "partition.arm", {"mode": "stay"}, (PANEL, "arm", "2", "stay")),
        (f"device/{PANEL}", "partition.arm", {"mode": "away"}, (PANEL, "arm", "0xffffffff", "away")),
        (f"partition/{PANEL}/1", "partition.disarm", {}, (PANEL, "disarm", "1", "")),
        (f"device/{PANEL}", "partition.disarm", {}, (PANEL, "disarm", "0xffffffff", "")),
        (f"partition/{PANEL}/1", "alarm.clear", {}, (PANEL, "clearAlarm", "1", "")),
        (f"zone/{PANEL}/3", "zone.bypass", {}, (PANEL, "bypass", "3", "")),
        (f"zone/{PANEL}/3", "zone.restore", {}, (PANEL, "bypassRecover", "3", "")),
        (f"output/{PANEL}/1", "output.on", {}, (PANEL, "outputs", "1", "open")),
        (f"output/{PANEL}/1", "output.off", {}, (PANEL, "outputs", "1", "close")),
        (f"output/{CAMERA}/2", "output.on", {}, (CAMERA, "trigger", "2", "high")),
        (f"output/{CAMERA}/2", "output.off", {}, (CAMERA, "trigger", "2", "low")),
        (f"device/{CAMERA}", "camera.reboot", {}, (CAMERA, "reboot", "", "")),
    ],
)  # fmt: skip
async def test_each_verb_is_the_documents_call(
    tmp_path: Path, target: str, verb: str, arguments: dict[str, Any], action: tuple[str, ...]
) -> None:
    async with commanding(tmp_path) as there:
        assert (await there.ask(target, verb, **arguments)).status == "done"
        assert there.did == [action]


async def test_targets_are_the_inventory_and_what_the_configuration_names(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        assert {one.subject: one.name for one in there.pump.source.targets()} == {
            f"device/{PANEL}": "House panel", f"device/{CAMERA}": "Yard", f"zone/{PANEL}/3": "Back door",
            f"partition/{PANEL}/1": "House",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("habit", "status", "acted"),
    [("refuse", "refused", 0), ("busy", "refused", 0), ("drop", "unknown", 1), ("error", "unknown", 1),
     ("garbage", "unknown", 1)],
)  # fmt: skip
async def test_an_answer_is_what_it_says_and_nothing_is_sent_twice(
    tmp_path: Path, habit: str, status: str, acted: int
) -> None:
    async with commanding(tmp_path) as there:
        there.pump.vendor.faults.commands.append(habit)
        assert (await there.ask(f"partition/{PANEL}/1", "partition.disarm")).status == status
        assert len(there.did) == acted


@pytest.mark.parametrize(
    ("target", "verb", "arguments"),
    [
        (f"partition/{PANEL}/1", "partition.arm", {"mode": "night"}),
        (f"output/{PANEL}/1", "output.on", {"seconds": 5}), (f"zone/{PANEL}/9", "zone.bypass", {}),
    ],
)  # fmt: skip
async def test_what_the_document_has_not_is_refused(
    tmp_path: Path, target: str, verb: str, arguments: dict[str, Any]
) -> None:
    async with commanding(tmp_path) as there:
        assert (await there.ask(target, verb, **arguments)).status == "refused"
        assert there.did == []


@pytest.mark.parametrize(
    ("target", "verb"),
    [
        (f"partition/{CAMERA}/1", "partition.arm"), (f"device/{CAMERA}", "partition.disarm"),
        ("device/another", "camera.reboot"), (f"partition/{PANEL}/0", "partition.arm"),
        (f"partition/{PANEL}/01", "partition.arm"), (f"zone/{PANEL}/x", "zone.bypass"),
        (f"zone/{PANEL}", "zone.bypass"),
    ],
)  # fmt: skip
async def test_what_no_device_has_is_not_taken(tmp_path: Path, target: str, verb: str) -> None:
    async with commanding(tmp_path) as there:
        with pytest.raises(NotTaken):
            await there.ask(target, verb)
        assert there.did == []


async def test_a_rejected_login_is_not_tried_again(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        there.pump.vendor.digest.password = "another1"
        first = await there.ask(f"partition/{PANEL}/1", "partition.disarm")
        again = await there.ask(f"partition/{PANEL}/2", "partition.disarm")
        assert first.status in ("refused", "failed"), "failed where the device list's call was the first to find out"
        assert again.status == "failed"
        assert [outcome for _, outcome in there.pump.vendor.digest.logins].count("wrong") == 1
        assert PASSWORD not in first.reason + again.reason


async def test_a_gateway_that_is_away_has_done_nothing(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        await there.pump.vendor.go_away()
        assert (await there.ask(f"partition/{PANEL}/1", "partition.disarm")).status == "failed"
        assert there.did == []
