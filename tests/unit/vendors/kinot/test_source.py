"""The source's `run`: callbacks registered, devices read, missed changes found; the clock is moved by hand."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from pump.core.errors import Misconfigured
from pump.testing import ManualClock
from pump.vendors.kinot import SOURCE, parse
from pump.vendors.kinot.simulator.server import Fault, Quirks
from tests.unit.vendors.kinot.site import APP_KEY, Site, kinot_site, vendor


async def run(tmp_path: Path, test: Any, *, quirks: Quirks | None = None, bays: int = 30, **settings: Any) -> None:
    clock = ManualClock()
    async with (
        vendor(clock, quirks=quirks, bays=bays) as kinot,
        kinot_site(tmp_path, clock=clock, kinot=kinot, **settings) as site,
    ):
        await test(site)


class Told:
    """A gateway that says just this."""

    sn = 644219880

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def listed(self) -> dict[str, Any]:
        return self._fields


def posts(site: Site) -> list[Any]:
    return [call.body for call in site.kinot.asked if call.method == "POST"]


async def test_callbacks_are_registered_for_locks_and_sensors(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        await site.snapshot()
        urls = {
            "status_changed_callback_url": f"{site.base}/status",
            "command_resp_callback_url": f"{site.base}/command",
        }
        assert site.kinot.quirks.urls == {18: urls, 34: urls}
        assert len(posts(site)) == 2
        site.kinot.change(site.kinot.fleet.locks[0].sn, car_detected=1)
        await site.settled()
        assert [event["data"]["reconciled"] for event in await site.events("parking.space.occupied")] == [False]

    await run(tmp_path, test)


async def test_what_is_registered_already_is_left_alone(tmp_path: Path) -> None:
    clock = ManualClock()
    async with vendor(clock) as kinot:
        kinot.register("https://pump.example.com/kinot/bays")
        async with kinot_site(tmp_path, clock=clock, kinot=kinot, callback_base="https://pump.example.com/") as site:
            await site.snapshot()
            assert posts(site) == []


async def test_callbacks_that_another_client_took_over_are_taken_back(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        await site.until(lambda: len(posts(site)) == 2 and site.state == "up")
        ours = dict(site.kinot.quirks.urls)
        began = site.clock.monotonic()
        site.kinot.take_over()
        await site.until(lambda: site.kinot.quirks.urls == ours)
        assert site.clock.monotonic() - began <= 600 + 60
        assert site.counted("callbacks taken back") == 2
        site.kinot.change(site.kinot.fleet.sensors[0].sn, car_detected=1)
        await site.settled()
        assert [event["data"]["reconciled"] for event in await site.events("parking.space.occupied")] == [False]

    await run(tmp_path, test, snapshot="0s")


async def test_a_snapshot_that_knows_more_than_the_callbacks_has_the_registration_looked_at(tmp_path: Path) -> None:
    def looks(site: Site) -> int:
        return sum(call.method == "GET" and "notifications" in call.target for call in site.kinot.asked)

    async def test(site: Site) -> None:
        await site.snapshot()
        await site.snapshot()
        ours, before, began = dict(site.kinot.quirks.urls), looks(site), site.clock.monotonic()
        site.kinot.take_over()
        site.kinot.change(site.kinot.fleet.sensors[0].sn, car_detected=1)
        await site.until(lambda: looks(site) == before + 4)  # each type, before and after it is taken back
        assert site.kinot.quirks.urls == ours
        assert site.clock.monotonic() - began < 300
        assert await site.events("parking.space.occupied")
        # changes that callbacks say, and silence where nothing changes, are no reason to look
        before = looks(site)
        site.kinot.change(site.kinot.fleet.sensors[1].sn, car_detected=1)
        await site.settled()
        await site.snapshot()
        await site.snapshot()
        assert looks(site) == before

    await run(tmp_path, test, snapshot="30s")


async def test_callbacks_that_go_elsewhere_are_only_reported_where_that_is_wanted(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        await site.until(lambda: site.counted("callbacks elsewhere") == 2)  # nobody has registered
        details = site.intake.component.details
        assert details["callbacks_elsewhere"] == {"18": "none", "34": "none"}
        site.kinot.register(site.base)
        await site.until(lambda: not details["callbacks_elsewhere"])
        site.kinot.take_over("http://user:hush@192.0.2.7/other")
        theirs = dict(site.kinot.quirks.urls)
        await site.until(lambda: site.counted("callbacks elsewhere") == 4)
        assert details["callbacks_elsewhere"] == dict.fromkeys(("18", "34"), "http://192.0.2.7/other/status")
        await site.snapshot()
        await site.snapshot()
        await site.snapshot()
        assert site.counted("callbacks elsewhere") == 4  # once a change
        assert (posts(site), site.kinot.quirks.urls, site.state) == ([], theirs, "up")

    await run(tmp_path, test, register_callbacks="report")


async def test_a_platform_that_spells_the_key_otherwise_is_given_that(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        await site.snapshot()
        assert len(posts(site)) == 4
        assert site.kinot.quirks.urls[18]["command_resp_callback_url"] == f"{site.base}/command"

    await run(tmp_path, test, quirks=Quirks(command_key="commandResp_callback_url", numbers_for_urls=True))


async def test_register_callbacks_false_asks_for_nothing(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        await site.snapshot()
        assert not [call for call in site.kinot.asked if "notifications" in call.target]

    await run(tmp_path, test, register_callbacks=False, callback_base=None)


async def test_a_snapshot_tells_the_present_state_of_every_device_once(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        await site.snapshot()
        await site.snapshot()
        found = await site.events()
        assert len({event["subject"] for event in found if event["type"] == "parking.space.vacated"}) == 250
        assert len(found) == len({event["id"] for event in found}) == 250 * 2 + len(site.kinot.fleet.locks)
        assert {event["data"]["reconciled"] for event in found} == {True}
        assert "61518-59257" not in str(found)
        assert "61518-59257" not in str(site.intake.state())

    await run(tmp_path, test, bays=250)


async def test_a_push_that_was_missed_is_found_with_the_id_it_would_have_had(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        await site.snapshot()
        bay = site.kinot.fleet.sensors[0]
        site.kinot.platform.tricks.append("lost")
        site.kinot.change(bay.sn, car_detected=1)
        await site.snapshot()
        found = await site.events("parking.space.occupied")
        assert [(event["subject"], event["data"]["reconciled"]) for event in found] == [(f"sensor/{bay.sn}", True)]
        assert site.counted("missed") == 1
        site.kinot.push(bay)
        await site.settled()
        assert site.sent(bay.sn).status == 200
        assert await site.events("parking.space.occupied") == found

    await run(tmp_path, test)


async def test_a_list_that_a_push_overtook_changes_nothing(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        await site.snapshot()
        bay = site.kinot.fleet.sensors[0]
        before = bay.listed()
        site.kinot.change(bay.sn, car_detected=1)
        await site.settled()
        now = site.clock.now()
        states = site.source._states
        assert states is not None
        asked = site.clock.monotonic() - 1.0
        for stale in (before, {**before, "updated_at": bay.listed()["updated_at"]}, {**before, "updated_at": None}):
            status = parse.status(stale, ZoneInfo("UTC"), now, "sensor")
            assert await states.take(status, asked=asked) == "old"
        assert len(await site.events("parking.space.occupied")) == 1
        assert len(await site.events("parking.space.vacated")) == 30

    await run(tmp_path, test)


async def test_a_reading_that_hangs_is_a_stall_though_callbacks_come(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        await site.snapshot()
        component, never = site.intake.component, asyncio.Event()

        async def hangs(*_: Any) -> None:
            await never.wait()

        assert isinstance(site.clock, ManualClock)
        site.source._snapshot = hangs  # type: ignore[assignment,method-assign]
        sn = site.kinot.fleet.sensors[0].sn
        for minute in range(20):
            site.clock.advance(60.0)
            site.kinot.change(sn, car_detected=minute % 2)
            await site.settled()
            component.stall()
        assert component.state == "stalled"
        assert component.reason.startswith("no sign of life of reading")
        assert len(await site.events("parking.space")) >= 19, "callbacks are taken all the while"

    await run(tmp_path, test)


@pytest.mark.parametrize(("minutes", "gaps"), [(4, 0), (10, 1)])
async def test_a_long_absence_is_told_as_a_gap(tmp_path: Path, minutes: int, gaps: int) -> None:
    clock = ManualClock()
    async with vendor(clock) as kinot:
        async with kinot_site(tmp_path, clock=clock, kinot=kinot) as site:
            await site.snapshot()
        assert site.intake.last_activity is not None
        last, bay = site.intake.last_activity, kinot.fleet.sensors[0]
        bay.set(clock.now(), car_detected=1)
        clock.advance(minutes * 60)
        async with kinot_site(tmp_path, clock=clock, kinot=kinot) as site:
            await site.snapshot()
            told = await site.events("pump.gap")
            assert len(told) == gaps
            if gaps:
                assert told[0]["data"]["from"] == last.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            found = await site.events("parking.space.occupied")
            assert [event["subject"] for event in found] == [f"sensor/{bay.sn}"]
            async with asyncio.timeout(60.0):
                while site.spool.gaps.counts.get("bays", {}).get("open"):
                    await asyncio.sleep(0.001)
            ledger = await site.spool.gaps.read()
            assert [(gap.state, gap.filled > 0) for gap in ledger] == [("filled", True)] * gaps
            assert all("by the states of all devices" in gap.notes for gap in ledger)


@pytest.mark.parametrize("days", [-20_000, -1])
async def test_an_absence_with_a_clock_that_went_back_is_told_too(tmp_path: Path, days: int) -> None:
    """How long it was nobody knows: it is told as a gap without width."""

    clock = ManualClock()
    async with vendor(clock) as kinot, kinot_site(tmp_path, clock=clock, kinot=kinot) as site:
        await site.snapshot()
    clock = ManualClock(clock.now() + timedelta(days=days))
    async with vendor(clock) as kinot, kinot_site(tmp_path, clock=clock, kinot=kinot) as site:
        await site.snapshot()
        [told] = await site.events("pump.gap")
        assert told["data"]["from"] <= told["data"]["to"]


async def test_gateways_are_online_and_offline(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        gateway = site.kinot.fleet.gateways[644219880]
        await site.snapshot()
        for online in (False, False, True):
            gateway.online = online
            gateway.updated += timedelta(minutes=5)
            await site.snapshot()
        told = await site.events("device.o")
        assert [event["type"] for event in told] == ["device.online", "device.offline", "device.online"]
        assert {event["subject"] for event in told} == {"gateway/644219880"}
        assert told[1]["data"]["incident"] == told[2]["data"]["incident"]
        assert {event["data"]["reconciled"] for event in told} == {False}
        assert site.counted("unknown gateway") >= 4

    await run(tmp_path, test, gateways=[644219880, 1])


async def test_gateways_are_asked_after_though_the_snapshot_is_off(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        gateway = site.kinot.fleet.gateways[644219880]
        await site.until(lambda: site.state == "up")
        begun = site.clock.monotonic()
        gateway.online, gateway.updated = False, gateway.updated + timedelta(minutes=5)
        await site.until(lambda: len(site.kinot.asked) == 2)
        assert site.clock.monotonic() - begun >= 299.0
        assert [call.target for call in site.kinot.asked] == ["/open/lora/v1/dtu_devices/644219880"] * 2
        await site.until(lambda: site.state == "up")
        while len(await site.events("device.o")) < 2:
            await asyncio.sleep(0.001)
        assert [event["type"] for event in await site.events()] == ["device.online", "device.offline"]

    await run(tmp_path, test, gateways=[644219880], snapshot="0s", register_callbacks=False)


@pytest.mark.parametrize(
    ("told", "types"),
    [
        ({"sn": {}, "online": "online"}, ["pump.record.unparsed"]),
        ({"sn": None, "online": "online"}, ["pump.record.unparsed"]),
        ({"sn": "6" * 100}, ["pump.record.unparsed"]),
        ({"online": "online"}, ["device.online"]),
        ({"online": "perhaps"}, ["device.unknown"]),
        ({"online": []}, ["device.unknown"]),
        ({}, ["device.unknown"]),
    ],
)
async def test_an_odd_answer_about_a_gateway_harms_nothing_else(
    tmp_path: Path, told: dict[str, Any], types: list[str]
) -> None:
    async def test(site: Site) -> None:
        site.kinot.fleet.gateways[644219880] = Told(told)  # type: ignore[assignment]  # it is asked for no more than this
        await site.until(lambda: site.state == "up")
        await site.snapshot()
        found = [event["type"] for event in await site.events() if not event["type"].startswith("parking")]
        assert [type_ for type_ in found if not type_.startswith("device.battery")] == types

    await run(tmp_path, test, gateways=[644219880], bays=2)


async def test_a_vendor_that_is_away_is_told_and_found_again(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        await site.snapshot()
        for path in ("lockers", "sensors"):
            site.kinot.faults.append(Fault("status", path, times=2, status=503))
        site.kinot.faults.append(Fault("drop", "lockers"))
        await site.until(lambda: site.state == "down")
        site.kinot.change(site.kinot.fleet.locks[0].sn, car_detected=1)
        await site.settled()
        assert len(await site.events("parking.space.occupied")) == 1, "callbacks are taken meanwhile"
        await site.until(lambda: site.state == "up")
        assert site.counted("retry") >= 2

    await run(tmp_path, test)


async def test_a_refused_key_is_a_persons_matter_and_callbacks_go_on(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        site.kinot.register(site.base)
        with pytest.raises(Misconfigured, match="app_key"):
            await site.until(lambda: site.state == "up")
        site.task = None
        site.kinot.change(site.kinot.fleet.sensors[0].sn, car_detected=1)
        await site.settled()
        assert len(await site.events("parking.space.occupied")) == 1

    await run(tmp_path, test, app_key="nobody")


async def test_without_anything_to_read_it_is_up_at_once_and_asks_nothing(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        await site.until(lambda: site.state == "up")
        site.kinot.register(site.base)
        site.kinot.change(site.kinot.fleet.sensors[0].sn, car_detected=1)
        await site.settled()
        assert site.kinot.asked == []
        assert len(await site.events("parking.space.occupied")) == 1

    await run(tmp_path, test, register_callbacks=False, snapshot="0s")


async def test_a_day_of_traffic_with_odd_callbacks_ends_in_the_state_that_is(tmp_path: Path) -> None:
    """Whatever was lost, doubled or late: after a snapshot the events add up to what every bay shows."""

    async def test(site: Site) -> None:
        await site.snapshot()
        fleet, platform = site.kinot.fleet, site.kinot.platform
        for turn in range(400):
            if turn % 3 == 0:
                platform.tricks.append(fleet.rng.choice(["lost", "duplicate", "old", "key_suffix", "text_numbers"]))
            site.kinot.push(fleet.turn(site.clock.now()))
            if turn % 20 == 0:
                await site.settled()
        await site.settled()
        await site.snapshot()
        await site.snapshot()
        occupied: dict[str, bool] = {}
        locked: dict[str, bool] = {}
        found = await site.events()
        for event in found:
            subject, type_ = event["subject"], event["type"]
            if type_.startswith("parking.space"):
                assert occupied.get(subject) != (type_ == "parking.space.occupied"), "never the same twice"
                occupied[subject] = type_ == "parking.space.occupied"
            elif type_.startswith("parking.lock"):
                locked[subject] = type_ == "parking.lock.raised"
        for bay in fleet.bays.values():
            subject = f"{'lock' if bay.lock else 'sensor'}/{bay.sn}"
            assert occupied[subject] == bool(bay.flags["car_detected"])
            if bay.lock:
                assert locked[subject] == bool(bay.flags["locked"])
        assert len(found) == len({event["id"] for event in found})
        assert site.counted("missed")
        assert not await site.events("pump.record")

    await run(tmp_path, test)


# --- settings ---------------------------------------------------------------------------------------------------------

BASE = {"type": "kinot", "app_key": APP_KEY, "app_secret": "s", "callback_base": "https://pump.example.com/"}


def test_settings_have_the_defaults_of_the_design() -> None:
    found = SOURCE.Settings.model_validate(BASE)
    assert found.server == "http://device.api.parks8.com"
    assert (found.snapshot, found.register_callbacks, found.emit) == (300.0, True, "changes")
    assert found.callback_base == "https://pump.example.com"
    assert found.warnings() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"callback_base": None},
        {"callback_base": None, "register_callbacks": "report"},
        {"register_callbacks": "sometimes"},
        {"callback_base": "pump.example.com"},
        {"server": "http://device.api.parks8.com/open"},
        {"server": "ftp://x"},
        {"emit": "some"},
        {"snapshot": 300},
        {"gateways": ["x"]},
        {"gateways": [0]},
        {"app_secret": None},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SOURCE.Settings.model_validate({**BASE, **wrong})


def test_what_is_probably_not_meant_is_a_warning() -> None:
    more = {"accept_unsigned": True, "snapshot": "0s", "gateways": [1], "register_callbacks": False}
    (warning,) = SOURCE.Settings.model_validate({**BASE, **more, "callback_base": None}).warnings()
    assert "accept_unsigned" in warning
