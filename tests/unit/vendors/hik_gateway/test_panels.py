"""Panels' states after each connection: what happened unseen is an event, what the stream said is none, once each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pump.testing import ManualClock
from pump.vendors.hik_gateway.panels import PREFIX
from pump.vendors.hik_gateway.simulator.server import Simulator
from tests.unit.vendors.hik_gateway.site import Site, site, spooled


async def read(one: Site) -> None:
    """Once every panel was read since the link stood; the gaps, if any, are closed then."""
    before = one.vendor.account.requests.count("GET /ISAPI/SecurityCP/status/exDevStatus")

    def done() -> bool:
        asked = one.vendor.account.requests.count("GET /ISAPI/SecurityCP/status/exDevStatus")
        return asked >= before + 5 and len(one.intake.state(PREFIX)) == 5 and not one.intake.gaps.waiting

    await one.until(done)


@pytest.mark.parametrize("by_post", [False, True])
async def test_what_happened_unseen_is_told_once_and_the_gap_is_filled(tmp_path: Path, by_post: bool) -> None:
    async with site(tmp_path, settings={}) as one:
        one.pace = 0.2
        one.vendor.faults.zones_by_post = by_post
        await one.up()
        await read(one)
        assert await one.reconciled() == [], "the first reading is what is known from then on"
        first, second, *_ = one.vendor.devices.values()
        first.partitions[1]["arming"] = "away"
        first.zones[2] |= {"alarm": "true", "bypassed": 1}
        first.zones[3]["charge"] = "lowPower"
        second.sirens[1]["status"] = "offline"
        one.source.stream.renew()
        await one.until(lambda: one.vendor.account.streams == 2)
        await read(one)
        found = {(event["subject"], event["type"], event["data"]["phase"]) for event in await one.reconciled(5)}
        assert found == {
            (f"device/{first.index}", "security.armed", "pulse"),
            (f"zone/{first.index}/2", "security.input.triggered", "start"),
            (f"zone/{first.index}/2", "security.bypass.set", "start"),
            (f"zone/{first.index}/3", "device.battery.low", "start"),
            (f"device/{second.index}", "device.sounder.offline", "start"),
        }
        [armed] = [event for event in await one.reconciled() if event["type"] == "security.armed"]
        assert armed["data"]["alarm"]["mode"] == "away"
        assert armed["data"]["place"]["partition"] == 1
        gaps = await one.spool.gaps.read()
        assert {gap.state for gap in gaps} == {"filled"}
        assert sum(gap.filled for gap in gaps) == 5
        assert "by the states of 5 panels" in gaps[-1].notes
        second.sirens[1]["status"] = "on"
        one.source.stream.renew()
        await one.until(lambda: one.vendor.account.streams == 3)
        await read(one)
        back = (await one.reconciled(6))[-1]
        assert (back["type"], back["data"]["phase"]) == ("device.sounder.offline", "end")
        assert back["data"]["incident"] in {event["data"].get("incident") for event in (await one.reconciled())[:-1]}


async def test_what_the_stream_said_is_not_said_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as vendor, spooled(tmp_path, clock) as spool:
        one = Site(vendor, spool, clock, {})
        one.pace = 0.2
        await one.up()
        await read(one)
        panel = next(iter(vendor.devices.values()))
        panel.zones[1] |= {"alarm": True}
        message = vendor.messages.cid(panel.index, "1130", zone=1)
        vendor.put(message)
        await one.stored(1)
        await one.until(lambda: one.intake.state(PREFIX)[PREFIX + panel.index]["zone/1"]["alarm"] is True)
        assert await one.reconciled() == []
        await one.stop()
        one = Site(vendor, spool, clock, {})
        one.pace = 0.2
        await one.up()
        await read(one)
        assert await one.reconciled() == [], "nor after a restart"
        await one.stop()


@pytest.mark.parametrize("trouble", ["no panels", "one offline"])
async def test_a_gap_that_panels_do_not_answer_is_unfillable(tmp_path: Path, trouble: str) -> None:
    async with site(tmp_path, settings={}) as one:
        one.pace = 0.2
        await one.up()
        await read(one)
        if trouble == "no panels":
            one.vendor.faults.no_panels = True
        else:
            next(iter(one.vendor.devices.values())).online = False
        one.source.stream.renew()
        await one.until(lambda: one.vendor.account.streams == 2 and one.intake.gaps.waiting)
        await one.until(lambda: not one.intake.gaps.waiting)
        gaps: list[Any] = await one.spool.gaps.read()
        assert [gap.state for gap in gaps] == ["unfillable"]
        assert f"{5 if trouble == 'no panels' else 1} of the 5 panels could not be read" in gaps[0].notes
