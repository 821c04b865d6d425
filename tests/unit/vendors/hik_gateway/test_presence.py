"""A device that came or went unseen: the device list's devStatus after each connection (document, 9.26)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pump.testing import ManualClock
from pump.vendors.hik_gateway.parse import Context, parse
from pump.vendors.hik_gateway.presence import PREFIX, Presence
from pump.vendors.hik_gateway.simulator.server import Simulator
from tests.unit.vendors.hik_gateway.site import Site, site, spooled


@pytest.mark.parametrize("settings", [{}, {"event_mode": "device"}], ids=["all", "device"])
async def test_who_went_while_nobody_listened_is_told_once_and_so_is_who_came_back(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    async with site(tmp_path, settings=settings) as one:
        await one.up()
        await one.until(lambda: len(one.intake.state(PREFIX)) == 5)
        assert await one.reconciled() == []
        device = list(one.vendor.devices.values())[3]
        device.online = False
        one.source.stream.renew()
        (gone,) = await one.reconciled(1)
        assert (gone["type"], gone["data"]["phase"], gone["data"]["severity"]) == (
            "device.offline", "start", "warning",
        )  # fmt: skip
        assert gone["subject"] == f"device/{device.index}"
        assert gone["data"]["device"]["name"] == device.name
        assert gone["data"]["time_source"] == "received"
        assert gone["data"]["raw"]["devStatus"] == "offline"
        assert gone["data"]["incident"] == gone["id"]
        one.source.stream.renew()
        await one.until(lambda: one.vendor.account.streams == 3)
        await one.up()
        # The stream's own word ends the same matter, and the list has nothing to add.
        one.vendor.put(one.vendor.messages.status(device.index, online=True))
        await one.stored(1)
        (back,) = await one.events()
        assert (back["type"], back["data"]["incident"]) == ("device.online", gone["id"])
        device.online = False
        one.source.stream.renew()
        await one.reconciled(2)
        device.online = True
        one.source.stream.renew()
        _, again, over = await one.reconciled(3)
        assert (over["type"], over["data"]["phase"]) == ("device.online", "end")
        assert over["data"]["incident"] == again["data"]["incident"] == again["id"] != gone["id"]


async def test_a_device_that_is_offline_at_the_first_connection_is_told_and_no_restart_tells_it_again(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as vendor, spooled(tmp_path, clock) as spool:
        device = next(iter(vendor.devices.values()))
        device.online = False
        for _ in range(2):
            one = Site(vendor, spool, clock, {})
            await one.up()
            (event,) = await one.reconciled(1)
            assert event["type"] == "device.offline"
            assert one.intake.state(PREFIX)[PREFIX + device.index] == "offline"
            await one.stop()
        one = Site(vendor, spool, clock, {})
        device.online = True
        _, event = await one.reconciled(2)
        assert event["type"] == "device.online"
        await one.stop()


SPELLINGS: list[tuple[Any, str | None]] = [
    ("offline", "offline"), ("OffLine", "offline"), (" OFFLINE ", "offline"), (False, "offline"), ("false", "offline"),
    (0, "offline"), ("0", "offline"), ("online", "online"), ("ONLINE", "online"), (True, "online"), ("true", "online"),
    (1, "online"), ("sleeping", None), ("", None), (None, None), ([], None),
]  # fmt: skip


@pytest.mark.parametrize(("spelled", "status"), SPELLINGS, ids=repr)
def test_a_status_is_known_however_it_is_spelled(spelled: Any, status: str | None) -> None:
    for before in ("online", "offline"):
        presence = Presence()
        presence.load({PREFIX + "d": before})
        found, changes = presence.compare({"d": {"devStatus": spelled}}, 0, Context(), "now")
        assert [one.event.type for one in found] == ([] if status in (None, before) else [f"device.{status}"])
        assert changes == ({} if status in (None, before) else {PREFIX + "d": status})
    alert = {"devIndex": "d", "eventType": "devStatusChanged", "dateTime": "2026-01-01T00:00:00Z", "status": spelled}
    parsed = parse({"EventNotificationAlert": alert}, Context())
    assert parsed is not None
    assert parsed.event.type == (f"device.{status}" if status else "device.unknown")


def test_what_the_stream_said_after_the_question_stands_against_the_answer() -> None:
    presence, changes = Presence(), dict[str, Any]()
    presence.load({PREFIX + "d": "online"})
    words = presence.words
    alert = {"devIndex": "d", "eventType": "devStatusChanged", "dateTime": "2026-01-01T00:00:00Z", "status": "offline"}
    parsed = parse({"EventNotificationAlert": alert}, Context())
    assert parsed is not None
    presence.heard(parsed, changes)
    assert changes == {PREFIX + "d": "offline"}
    assert presence.compare({"d": {"devStatus": "online"}}, words, Context(), "now") == ([], {})
    ((back,), _) = presence.compare({"d": {"devStatus": "online"}}, presence.words, Context(), "now")
    assert back.event.type == "device.online"


def test_a_device_that_left_the_list_is_forgotten() -> None:
    presence = Presence()
    presence.load({PREFIX + "d": "offline", PREFIX + "e": "nonsense"})
    found, changes = presence.compare({}, 0, Context(), "now")
    assert (found, changes) == ([], {PREFIX + "d": None})
    assert presence.compare({"d": {"devStatus": "online"}}, 0, Context(), "now") == ([], {PREFIX + "d": "online"})
    assert presence.compare({"d": {"devStatus": "online"}}, 0, Context(), "now") == ([], {})


async def test_a_list_that_is_refused_says_nothing_of_devices(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        await one.until(lambda: len(one.intake.state(PREFIX)) == 5)
        one.vendor.faults.answers["deviceList"] = (200, b'{"statusCode": "2", "statusString": "Device Busy"}')
        before = str(one.vendor.account.requests).count("deviceList")
        one.source.stream.renew()
        await one.until(lambda: str(one.vendor.account.requests).count("deviceList") > before + 1)
        assert await one.reconciled() == []
        assert len(one.intake.state(PREFIX)) == 5
