"""The gateway's device list: kept over restarts, and left as it is by whatever is no list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pump.testing import ManualClock
from pump.vendors.hik_gateway.simulator.server import Simulator
from tests.unit.vendors.hik_gateway.site import Site, site, spooled

REFUSED = (
    b'{"requestURL": "/ISAPI/ContentMgmt/DeviceMgmt/deviceList", "statusCode": 4, "statusString": "Invalid Operation", '
    b'"subStatusCode": "lowPrivilege", "errorCode": 0x40000002, "errorMsg": "lowPrivilege"}'
)


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize("settings", [{}, {"event_mode": "device"}], ids=["all", "device"])
async def test_a_restart_knows_the_names_from_its_first_event_on_though_the_list_is_refused(
    tmp_path: Path, settings: dict[str, Any], status: int
) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as vendor, spooled(tmp_path, clock) as spool:
        one = Site(vendor, spool, clock, settings)
        await one.up()
        await one.until(lambda: one.intake.state("inventory"))
        await one.stop()
        vendor.faults.answers["deviceList"] = (status, REFUSED)
        one = Site(vendor, spool, clock, settings)
        await one.up()
        index = list(vendor.devices)[4]
        vendor.put(vendor.messages.cid(index))
        await one.stored(1)
        (event,) = await one.events()
        device = vendor.devices[index]
        assert event["data"]["device"]["name"] == device.name
        assert event["data"]["device"]["serial"] == device.serial
        assert one.intake.component.details["mode"] == one.source.keeper.wanted.told()["mode"]
        await one.stop()


async def test_a_first_start_with_a_refused_list_goes_on_without_names(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        one.vendor.faults.answers["deviceList"] = (200, REFUSED)
        await one.up()
        one.vendor.put(one.vendor.messages.cid(next(iter(one.vendor.devices))))
        await one.stored(1)
        (event,) = await one.events()
        assert "name" not in event["data"]["device"]
