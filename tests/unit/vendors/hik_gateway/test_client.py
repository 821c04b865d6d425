"""The gateway on the streams' shared life: what it adds to it, over real sockets."""

from __future__ import annotations

import gc
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pump.core.errors import Refusal
from pump.testing import ManualClock
from pump.vendors.hik_gateway.answers import Trouble
from pump.vendors.hik_gateway.simulator.server import Device, Quirks, Simulator
from tests.unit.vendors.hik_gateway.site import Site, site, spooled

DEVICE: dict[str, Any] = {"event_mode": "device"}


async def settled(one: Site, condition: Any) -> None:
    """Until it is so, however long it takes by the clock."""
    one.pace = 0.5
    await one.until(condition)


@pytest.mark.parametrize("how", ["cut", "stop"])
async def test_bytes_read_right_after_a_pause_do_not_move_the_gap_s_beginning(tmp_path: Path, how: str) -> None:
    async with site(tmp_path, quirks=Quirks(nonce_seconds=1e9)) as one:
        await one.up()
        index = next(iter(one.vendor.devices))
        one.intake.refusing = True
        one.vendor.put(one.vendor.messages.cid(index))
        await one.until(lambda: one.intake.refused)
        paused = one.clock.now()
        # The first waits for the spool, the others in the socket; and then the gateway is gone.
        one.vendor.put(*(one.vendor.messages.cid(index, "1130", zone) for zone in range(2, 9)))
        (stream,) = one.vendor.subscriptions.values()
        await one.until(lambda: len(one.vendor.account.whole) == 8)
        if how == "cut":
            stream.cut()
            one.vendor.put(one.vendor.messages.cid(index, "1130", 9))
        else:
            stream.stop()
        await one.until(lambda: stream.ended.is_set())
        begin = one.clock.monotonic()
        await settled(one, lambda: one.clock.monotonic() > begin + 300.0)
        one.intake.refusing = False
        await one.stored(8)
        (gap,) = await one.gapped()
        first, last = datetime.fromisoformat(gap["from"]), datetime.fromisoformat(gap["to"])
        assert first <= paused
        assert last - first >= timedelta(seconds=300)


async def test_event_mode_device_without_devices_follows_the_gateway_s_list(tmp_path: Path) -> None:
    async with site(tmp_path, settings=DEVICE | {"inventory_interval": "70s"}) as one:
        await one.up()
        first = list(one.vendor.devices)
        (order,) = one.vendor.account.orders
        assert order == {
            "eventMode": "device",
            "DevEventList": [{"Dev": {"devIndex": index, "uploadMode": "all"}} for index in first],
        }
        (stream,) = one.vendor.subscriptions.values()
        one.vendor.devices["new-1"] = Device("new-1", "Panel new")
        del one.vendor.devices[first[0]]
        await settled(one, lambda: "new-1" in stream.devices and first[0] not in stream.devices)
        assert stream.devices.keys() == {*first[1:], "new-1"}
        sent = one.vendor.put(one.vendor.messages.cid("new-1"))
        await one.stored(1)
        assert await one.identities() == sent
        (event,) = await one.events()
        assert event["data"]["device"]["name"] == "Panel new"
        assert one.vendor.account.streams == 1
        assert await one.gaps() == []


async def test_a_call_that_fails_leaves_nothing_to_the_collector(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        client = one.source._running.client
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                with pytest.raises(Trouble):
                    await client.call("GET", "/ISAPI/Unknown", what="that")
            assert not [each for each in gc.get_objects() if isinstance(each, Trouble)]
        finally:
            gc.enable()


async def test_a_device_that_cannot_be_added_keeps_no_other_from_it(tmp_path: Path) -> None:
    async with site(tmp_path, settings=DEVICE | {"inventory_interval": "70s"}) as one:
        await one.up()
        (stream,) = one.vendor.subscriptions.values()
        one.vendor.faults.deny = {"bad"}
        one.vendor.devices |= {"bad": Device("bad", "Bad"), "good": Device("good", "Good")}
        await settled(one, lambda: "good" in stream.devices)
        assert "bad" not in stream.devices
        one.vendor.faults.deny = set()
        await settled(one, lambda: "bad" in stream.devices)
        assert one.vendor.account.streams == 1


async def test_a_password_that_the_device_list_rejects_is_tried_once_in_ten_minutes(tmp_path: Path) -> None:
    async with site(tmp_path, settings=DEVICE, password="another") as one:
        one.pace = 1.0
        await one.until(lambda: one.clock.monotonic() > 1500.0)
        times = [at for at, _ in one.vendor.digest.logins]
        assert len(times) == 3
        assert all(later - earlier >= 600.0 for earlier, later in pairwise(times))
        assert one.vendor.account.orders == []
        assert "rejects the user name or the password" in one.intake.component.reason


async def test_with_event_mode_device_too_the_link_is_there_within_two_seconds_of_the_gateway(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as vendor, spooled(tmp_path, clock) as spool:
        await vendor.go_away()
        one = Site(vendor, spool, clock, DEVICE)
        await one.until(lambda: one.intake.component.state == "down")
        assert "nothing listens" in one.intake.component.reason
        await settled(one, lambda: clock.monotonic() > 200.0)
        await vendor.come_back()
        one.pace, back = 0.002, clock.monotonic()  # what the sockets take in the world counts as well
        await one.until(lambda: vendor.digest.logins)  # the device list's, without which nothing can be ordered
        assert clock.monotonic() - back <= 2.0
        await one.up()
        await one.stop()


async def test_a_rejected_password_is_not_tried_by_a_command_either(tmp_path: Path) -> None:
    index = "2cd6716d-767f-4756-ac55-50276a5e3b01"
    async with site(tmp_path, settings={"devices": {index: []}}, quirks=Quirks(nonce_seconds=1e9)) as one:
        await one.up()
        await one.until(lambda: one.intake.state("inventory"))
        one.vendor.digest.password = "changed"
        for _ in range(3):  # the device list may be asked for just now, and be the first to be refused
            with pytest.raises(Refusal, match="reject"):
                await one.source.subscribe(index, types=["CIDAlarm"])
        assert [outcome for _, outcome in one.vendor.digest.logins].count("wrong") == 1
        assert one.source.keeper.wanted.devices == {index: ()}
        assert one.intake.component.state == "up"


@pytest.mark.parametrize("offers", ["basic first", "basic first, one header"])
async def test_a_password_rejected_behind_an_offer_of_basic_is_a_rejected_password(tmp_path: Path, offers: Any) -> None:
    async with site(tmp_path, quirks=Quirks(offers=offers), password="another") as one:
        one.pace = 1.0
        await one.until(lambda: one.clock.monotonic() > 500.0)
        assert [outcome for _, outcome in one.vendor.digest.logins] == ["wrong"]
        assert "attempts left: 4" in one.intake.component.reason


async def test_a_refusal_that_comes_with_200_is_one(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        one.vendor.faults.refuse = [(200, "Device Busy", "deviceBusy")]
        await one.until(lambda: one.intake.component.state == "down")
        assert "busy" in one.intake.component.reason
        begin = one.clock.monotonic()
        await one.up()
        assert one.clock.monotonic() - begin >= 4.9


async def test_a_refusal_that_comes_as_the_stream_s_first_part_is_one(tmp_path: Path) -> None:
    body = b'{"statusCode": 4, "statusString": "Invalid Operation", "subStatusCode": "deployExceedMax"}'

    async with site(tmp_path, quirks=Quirks(answer="absent")) as one:
        await one.until(lambda: one.vendor.subscriptions)
        one.vendor.faults.garbage = [b"--boundary\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(body), body)]
        index = next(iter(one.vendor.devices))
        one.vendor.put(one.vendor.messages.cid(index))
        await one.until(lambda: one.intake.component.state == "down")
        assert "deployExceedMax" in one.intake.component.reason
        begin = one.clock.monotonic()
        await one.until(lambda: one.vendor.account.streams == 2)
        assert one.clock.monotonic() - begin >= 59.0
        sent = one.vendor.put(one.vendor.messages.cid(index, "3130"))
        await one.stored(1)
        # What came behind the refusal was no stream of ours: nothing of it is kept.
        assert await one.identities() == sent


async def test_a_change_while_the_link_is_away_is_in_the_next_order(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        await one.vendor.go_away()
        await one.until(lambda: one.intake.component.state == "down")
        await one.source.change(events=("videoReview",))
        await one.vendor.come_back()
        await one.until(lambda: one.vendor.account.streams == 2)
        assert one.vendor.account.orders[1]["eventList"] == ["videoReview"]
        await one.up()
        assert one.vendor.account.streams == 2
