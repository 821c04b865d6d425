"""The source against the simulated gateway, over real sockets."""

from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pump.core.errors import Refusal
from pump.simulation.quirks import variants
from pump.testing import ManualClock
from pump.vendors.hik_gateway import SOURCE
from pump.vendors.hik_gateway.simulator.server import Quirks, Simulator
from tests.unit.vendors.hik_gateway.site import Site, site, spooled

QUIRKS = dict(variants(Quirks()))


async def test_the_devices_events_arrive_with_names_models_and_serials(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        index = list(one.vendor.devices)[4]  # on the list's second page
        one.vendor.put(one.vendor.messages.cid(index, "1130", zone=3))
        one.vendor.put(one.vendor.messages.cid(index, "3130", zone=3))
        one.vendor.put(one.vendor.messages.status(index, online=False))
        one.vendor.put(one.vendor.messages.other(index))
        await one.stored(4)
        start, end, offline, other = await one.events()
        device = one.vendor.devices[index]
        assert start["data"]["device"] == {
            "id": index, "name": "Panel 5", "serial": device.serial, "model": "DS-PWA32-HS",
            "category": "alarm device",
        }  # fmt: skip
        assert (start["type"], start["data"]["phase"]) == ("security.burglary", "start")
        assert (end["type"], end["data"]["phase"]) == ("security.burglary", "end")
        assert start["data"]["incident"] == end["data"]["incident"] == start["id"]
        assert offline["type"] == "device.offline"
        assert other["type"] == "device.unknown"
        assert not one.intake.state("incident/" + start["id"])
        assert await one.gaps() == []


@pytest.mark.parametrize("name", QUIRKS)
async def test_each_quirk_is_met(tmp_path: Path, name: str) -> None:
    async with site(tmp_path, quirks=QUIRKS[name]) as one:
        await one.until(lambda: one.vendor.subscriptions)
        index = next(iter(one.vendor.devices))
        sent = one.vendor.put(*(one.vendor.messages.cid(index, "1130", zone) for zone in range(1, 9)))
        sent += one.vendor.put(one.vendor.messages.review(index), one.vendor.messages.status(index, online=True))
        await one.until(lambda: one.vendor.account.heartbeats > 1)
        await one.stored(10)
        assert await one.identities() == sent
        assert await one.gaps() == []
        assert not [event for event in await one.records() if event["type"] == "pump.record.unparsed"]


@pytest.mark.parametrize("silence", ["stall", "half_open"])
async def test_a_silent_link_is_noticed_within_the_time_out_and_rebuilt(tmp_path: Path, silence: str) -> None:
    async with site(tmp_path) as one:
        if silence == "half_open":
            one.vendor.faults.half_open = 1
        await one.up()
        one.vendor.faults.stall = silence == "stall"
        first = one.vendor.account.streams
        last = one.clock.monotonic()
        await one.until(lambda: one.intake.component.state == "down")
        assert one.clock.monotonic() - last <= 30.0 + 1.0
        one.vendor.faults.stall = False
        one.pace /= 10  # what a slow machine takes of the world's time counts less
        back = one.clock.monotonic()
        await one.until(lambda: one.vendor.account.streams > first)
        assert one.clock.monotonic() - back <= 2.0
        await one.up()
        assert one.vendor.account.streams == first + 1
        (gap,) = await one.gapped()
        assert gap["reason"] == "the gateway was silent for 30 s"
        begin, end = datetime.fromisoformat(gap["from"]), datetime.fromisoformat(gap["to"])
        assert 29 <= (end - begin).total_seconds() <= 34


async def test_the_link_is_back_within_two_seconds_of_the_server_s_return(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        first = one.vendor.account.streams
        await one.vendor.go_away()
        await one.until(lambda: one.intake.component.state == "down")
        gone = one.clock.monotonic()
        await one.until(lambda: one.clock.monotonic() > gone + 120.0)
        await one.vendor.come_back()
        one.pace = 0.002  # what the sockets take in the world counts as well
        back = one.clock.monotonic()
        await one.until(lambda: one.vendor.account.streams > first)
        assert one.clock.monotonic() - back <= 2.0
        await one.up()
        assert len(await one.gapped()) == 1


async def test_a_dead_password_is_tried_once_in_ten_minutes_also_over_restarts(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock, password="another") as vendor, spooled(tmp_path, clock) as spool:
        one = Site(vendor, spool, clock, {})
        one.pace = 1.0
        await one.until(lambda: clock.monotonic() > 300)
        assert "attempts left: 4" in one.intake.component.reason
        assert "lock: unlock" in one.intake.component.reason
        await one.stop()
        one = Site(vendor, spool, clock, {})
        one.pace = 1.0
        await one.until(lambda: clock.monotonic() > 1500)
        times = [at for at, _ in vendor.digest.logins]
        assert len(times) == 3
        assert all(later - earlier >= 600 for earlier, later in pairwise(times))
        assert {outcome for _, outcome in vendor.digest.logins} == {"wrong"}
        # A new password need not wait.
        await one.stop()
        vendor.digest.password = "secret1"
        one = Site(vendor, spool, clock, {"username": "admin"})
        other = Site(vendor, spool, clock, {"password": "yet another"})
        before = len(vendor.digest.logins)
        await other.until(lambda: len(vendor.digest.logins) > before)
        await one.stop()
        await other.stop()


async def test_a_locked_account_is_left_alone_for_as_long_as_the_gateway_says(tmp_path: Path) -> None:
    async with site(tmp_path, quirks=Quirks(lock_seconds=5000.0, nonce_seconds=100.0)) as one:
        one.pace = 5.0
        one.vendor.digest.locked_until = 5000.0
        await one.up()
        assert one.clock.monotonic() >= 5000.0
        assert [outcome for _, outcome in one.vendor.digest.logins][:2] == ["locked", "ok"]


async def test_a_failed_device_is_a_gap_and_a_word_in_status(tmp_path: Path) -> None:
    devices = [f"2cd6716d-767f-4756-ac55-50276a5e3b{n:02x}" for n in range(1, 3)]
    lists: dict[str, Any] = {"devices": {devices[0]: ["CIDAlarm"], devices[1]: []}}
    async with site(tmp_path, settings=lists) as one:
        one.vendor.faults.fail = {devices[1]: "theDeviceIdDoesNotExist"}
        await one.up()
        assert one.vendor.account.orders[0]["eventMode"] == "device"
        assert one.vendor.account.orders[0]["DevEventList"][0] == {
            "Dev": {"devIndex": devices[0], "uploadMode": "part", "eventList": ["CIDAlarm"]}
        }
        told = one.intake.component.details["devices"]
        assert "the gateway does not have it" in told[devices[1]]
        # queryStatus goes on to tell it, and tells when it is mended.
        await one.until(lambda: "GET" in str(one.vendor.account.requests))
        one.vendor.faults.fail.clear()
        await one.until(lambda: not one.intake.component.details["devices"])
        reasons = [gap["reason"] for gap in await one.gapped(2)]
        assert [devices[1] in reason for reason in reasons] == [True, True]
        assert "was not subscribed" in reasons[1]


async def test_devices_are_added_and_dropped_while_the_stream_runs(tmp_path: Path) -> None:
    devices = [f"2cd6716d-767f-4756-ac55-50276a5e3b{n:02x}" for n in range(1, 3)]
    async with site(tmp_path, settings={"devices": {devices[0]: []}}) as one:
        await one.up()
        await one.source.change(devices={devices[1]: ("CIDAlarm",)})
        (stream,) = one.vendor.subscriptions.values()
        assert stream.devices == {devices[1]: ["CIDAlarm"]}
        sent = one.vendor.put(one.vendor.messages.cid(devices[1]))
        one.vendor.put(one.vendor.messages.review(devices[1]), one.vendor.messages.cid(devices[0]))
        await one.stored(1)
        assert await one.identities() == sent
        assert one.vendor.account.streams == 1


async def test_with_event_mode_all_a_change_is_a_new_subscription(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        (number,) = one.vendor.subscriptions
        await one.source.change(events=("videoReview",))
        await one.until(lambda: one.vendor.account.streams == 2)
        await one.up()
        assert one.vendor.account.orders[1] == {
            "eventMode": "all", "defenceMode": "part", "eventList": ["videoReview"],
        }  # fmt: skip
        assert one.vendor.account.closed == [str(number)]
        assert [gap["reason"] for gap in await one.gapped()] == ["the subscription is made anew"]


async def test_a_clean_stop_closes_the_subscription(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        (number,) = one.vendor.subscriptions
        await one.stop()
        assert one.task.cancelled()
        assert one.vendor.account.closed == [str(number)]
        assert not one.vendor.subscriptions


async def test_a_stop_at_any_moment_leaves_nothing_open(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as vendor, spooled(tmp_path, clock) as spool:
        for turns in range(0, 120, 3):
            one = Site(vendor, spool, clock, {})
            for _ in range(turns):
                await asyncio.sleep(0.0005)
            await one.stop()
            assert one.task.cancelled()
            async with asyncio.timeout(20.0):
                while vendor.subscriptions:
                    await asyncio.sleep(0.001)
        # Nothing of it was told as a trouble.
        assert vendor.digest.failures == 0


async def test_a_stop_before_a_gateway_that_hangs_takes_only_its_deadline(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        one.vendor.faults.hang = 1
        async with asyncio.timeout(20.0):
            await one.stop()
        assert one.task.cancelled()


async def test_our_own_downtime_is_one_gap(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as vendor:
        async with spooled(tmp_path, clock) as spool:
            one = Site(vendor, spool, clock, {})
            await one.up()
            await one.stop()
        clock.advance(3600.0)
        async with spooled(tmp_path, clock) as spool:
            one = Site(vendor, spool, clock, {})
            await one.up()
            (gap,) = await one.gapped()
            assert gap["reason"] == "the pump was not running"
            begin, end = datetime.fromisoformat(gap["from"]), datetime.fromisoformat(gap["to"])
            assert 3600 <= (end - begin).total_seconds() <= 3620
            await one.stop()


async def test_a_spool_that_refuses_pauses_the_reading_and_keeps_the_link(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        index = next(iter(one.vendor.devices))
        one.intake.refusing = True
        sent = one.vendor.put(one.vendor.messages.cid(index))
        begin = one.clock.monotonic()
        await one.until(lambda: one.clock.monotonic() > begin + 200.0)
        assert one.intake.refused > 10
        sent += one.vendor.put(one.vendor.messages.cid(index, "3130"))
        one.intake.refusing = False
        await one.stored(2)
        assert await one.identities() == sent
        assert one.vendor.account.streams == 1
        assert await one.gaps() == []


@pytest.mark.parametrize(
    ("refusal", "word", "least"),
    [
        ((403, "Invalid Operation", "invalidOperation"), "Private", 30.0),
        ((403, "Invalid Operation", ""), "Private", 30.0),
        ((503, "Device Busy", ""), "busy", 5.0),
        ((403, "Invalid Operation", "deployExceedMax"), "deployExceedMax", 60.0),
    ],
)
async def test_each_refusal_has_its_own_advice_and_waiting(
    tmp_path: Path, refusal: tuple[int, str, str], word: str, least: float
) -> None:
    async with site(tmp_path) as one:
        one.vendor.faults.refuse = [refusal, refusal]
        await one.until(lambda: one.intake.component.state == "down")
        assert word in one.intake.component.reason
        begin = one.clock.monotonic()
        await one.up()
        assert one.clock.monotonic() - begin >= 2 * least - 1


async def test_a_gateway_that_replays_is_stored_once(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        index = next(iter(one.vendor.devices))
        sent = one.vendor.put(*(one.vendor.messages.cid(index, "1130", zone) for zone in range(1, 6)))
        await one.stored(5)
        one.vendor.faults.replay = 4
        one.vendor.faults.close_after_one = 1
        await one.source.change(events=("CIDAlarm",))
        await one.until(lambda: one.vendor.account.replayed >= 4 and one.vendor.account.streams >= 2)
        sent += one.vendor.put(one.vendor.messages.cid(index, "3130", 1))
        await one.stored(6)
        assert await one.identities() == sent


async def test_garbage_in_the_stream_is_told_and_the_next_part_is_read(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        index = next(iter(one.vendor.devices))
        one.vendor.faults.garbage = [b"\0garbage\xff" * 10]
        sent = one.vendor.put(one.vendor.messages.cid(index), one.vendor.messages.cid(index, "3130"))
        await one.stored(2)
        assert await one.identities() == sent
        (gap,) = await one.gapped()
        assert "skipped" in gap["reason"]
        # Without end it is beyond repair: the link is made anew.
        one.vendor.faults.garbage = [b"x" * (3 << 20)]
        one.vendor.put(one.vendor.messages.cid(index))
        await one.until(lambda: one.vendor.account.streams == 2)


async def test_a_poison_record_is_kept_and_nothing_reconnects(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        index = next(iter(one.vendor.devices))
        body = b'{"EventNotificationAlert": oops}'
        one.vendor.faults.garbage = [b"--boundary\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(body), body)]
        sent = one.vendor.put(one.vendor.messages.cid(index))
        await one.stored(1)
        assert await one.identities() == sent
        (kept,) = [event for event in await one.records() if event["type"] == "pump.record.unparsed"]
        assert kept["data"]["raw"] == body.decode()
        assert one.vendor.account.streams == 1


async def test_an_expired_nonce_costs_a_retry_and_no_ten_minutes(tmp_path: Path) -> None:
    async with site(tmp_path, quirks=Quirks(nonce_seconds=-1.0, expired_counts="no")) as one:
        await one.until(lambda: len(one.vendor.digest.logins) >= 2)
        assert one.clock.monotonic() < 100.0
        assert {outcome for _, outcome in one.vendor.digest.logins} == {"expired"}


async def test_expired_nonces_never_lock_the_account(tmp_path: Path) -> None:
    async with site(tmp_path, quirks=Quirks(nonce_seconds=-1.0)) as one:
        one.pace = 1.0
        await one.until(lambda: one.clock.monotonic() > 1100.0)
        assert one.vendor.digest.locked_until == 0.0
        assert "attempts left" in one.intake.component.reason


async def test_a_password_that_is_changed_under_way_costs_no_stream(tmp_path: Path) -> None:
    settings = {"devices": {"2cd6716d-767f-4756-ac55-50276a5e3b01": ()}}
    async with site(tmp_path, settings=settings, quirks=Quirks(nonce_seconds=1e9)) as one:
        one.pace = 1.0
        await one.up()
        one.vendor.digest.password = "changed"
        logins = len(one.vendor.digest.logins)
        await one.until(lambda: one.clock.monotonic() > 500.0)
        # The subscription's status and the device list each were refused once, and wait.
        assert len(one.vendor.digest.logins) - logins <= 2
        assert one.intake.component.state == "up"
        assert one.vendor.account.streams == 1


def test_a_source_that_was_never_run_refuses_to_subscribe() -> None:
    more = {"type": "hik-gateway", "url": "http://192.0.2.1", "username": "admin", "password": "secret1"}
    source = SOURCE("arc", SOURCE.Settings.model_validate(more), ManualClock())
    with pytest.raises(Refusal, match="does not run yet"):
        asyncio.run(source.subscribe(None, types=["videoReview"]))
