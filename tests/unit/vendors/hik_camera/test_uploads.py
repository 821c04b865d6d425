"""One record under one UUID: sent again it is the same event, completed it is an update; pictures by an address."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from pump.testing import ManualClock
from pump.vendors.hik_camera.document import read_document
from pump.vendors.hik_camera.parse import Alert, Facts, parse
from pump.vendors.hik_camera.simulator.server import Message, Quirks, Simulator
from pump.vendors.hik_camera.uploads import RECENT, Uploads
from tests.unit.vendors.hik_camera.site import Site, site
from tests.unit.vendors.hik_camera.test_incidents import JPEG, alert, of

SENT_AGAIN = "<isDataRetransmission>true</isDataRetransmission>"


def plate(
    uuid: str | None, more: str = "", inside: str = "", *, number: int = 0, count: int = 0, pictures: int = 0
) -> Message:
    named = f"<UUID>{uuid}</UUID>" if uuid is not None else ""
    body = f"<ANPR><licensePlate>ZZ12345</licensePlate>{inside}</ANPR>{named}<picNum>{count}</picNum>{more}"
    sent = alert("ANPR", extra=body, number=number)
    return Message(number, "anpr", sent.content_type, sent.body, tuple(JPEG + bytes([n]) for n in range(pictures)))


def read(message: Message, serial: str | None = "S") -> Alert:
    return parse(dict(read_document(message.body)), Facts(serial=serial), UTC)


async def passes(pump: Site, n: int, **how: float) -> list[dict[str, Any]]:
    return of(await pump.stored(lambda events: len(of(events, "vehicle.passed")) >= n, **how), "vehicle.passed")


@pytest.mark.parametrize("restart", [False, True])
async def test_a_record_that_is_sent_again_is_one_event_and_completed_its_update(tmp_path: Path, restart: bool) -> None:
    async def again(device: Simulator, pump: Site) -> None:
        whole = "<vehicleType>vehicle</vehicleType>"
        device.send(
            plate("u-1", SENT_AGAIN),
            plate("u-1", SENT_AGAIN, number=7),
            plate("u-2", "<hasMoreData>true</hasMoreData>"),
            plate("u-2", "<hasMoreData>false</hasMoreData>", whole),
            plate("u-2", SENT_AGAIN, whole),
            plate("u-3"),
        )
        first, second, update, third = await passes(pump, 4)
        assert update["data"]["updates"] == second["id"]
        assert (update["data"]["update"], update["data"]["phase"]) == (True, "update")
        assert update["data"]["vehicle"]["type"] == "vehicle"
        assert update["time"] == second["time"]
        assert len({one["id"] for one in (first, second, update, third)}) == 4
        assert not first["data"]["update"]
        assert pump.counted("repeat") == 3

    clock = ManualClock()
    async with Simulator(clock=clock) as device:
        async with site(tmp_path, device, clock) as pump:
            await pump.until(lambda: device.streams)
            device.send(
                plate("u-1", "<isDataRetransmission>false</isDataRetransmission>"),
                plate("u-2", "<hasMoreData>true</hasMoreData>"),
            )
            await passes(pump, 2)
            if not restart:
                await again(device, pump)
        if restart:
            async with site(tmp_path, device, clock) as pump:
                await device.connected(2)
                await again(device, pump)


async def test_pictures_that_came_with_the_second_sending_are_an_update(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: device.streams)
        device.send(plate("u-1", count=2, pictures=1), alert("heartBeat", number=1))
        (first,) = await passes(pump, 1)
        assert len(first["data"]["media"]) == 1
        device.send(plate("u-1", SENT_AGAIN, count=2, pictures=2))
        update = (await passes(pump, 2))[1]
        assert update["data"]["updates"] == first["id"]
        assert [one["id"] for one in update["data"]["media"]] == [f"{update['id']}/0", f"{update['id']}/1"]
        device.send(plate("u-1", SENT_AGAIN, count=2, pictures=2), plate("u-2"))
        assert (await passes(pump, 3))[2]["data"]["update"] is False, "the third sending brought nothing new"


async def test_a_plate_that_is_sent_ahead_does_not_wait_for_its_pictures(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: device.streams)
        device.send(plate("u-1", "<hasMoreData>true</hasMoreData>", count=2))
        await passes(pump, 1, within=2.0)


@pytest.mark.parametrize(
    "more",
    [
        "<detectionPictureTransType>url</detectionPictureTransType><detectionPicturesNumber>1</detectionPicturesNumber>"
        "<bkgUrl>http://192.0.2.9/pic?name=ch7_1&amp;size=4096</bkgUrl>",
        "<bkgUrl>/pic?name=ch7_1&amp;size=4096</bkgUrl>",
    ],
)
@pytest.mark.parametrize("kind", ["VMD", "linedetection", "ANPR"])
async def test_a_picture_by_address_is_stored_at_once_with_its_event(tmp_path: Path, kind: str, more: str) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: device.streams)
        device.send(alert(kind, extra=more))
        (event,) = await pump.stored(lambda events: events, within=0.0)  # though no time passes
        (medium,) = event["data"]["media"]
        assert medium["id"] == f"{event['id']}/0"
        assert medium["url"].endswith("/pic?name=ch7_1&size=4096")
        assert medium["url"].startswith("http://192.0.2.9" if "://" in more else device.url)
        # a part that comes all the same is a second upload
        device.send(Message(1, "late", "image/jpeg", JPEG))
        update = (await pump.stored(lambda events: len(events) > 1))[1]
        assert update["data"]["updates"] == event["id"]


async def test_a_duration_over_the_stream_keeps_the_incident_and_is_no_event(tmp_path: Path) -> None:
    clock = ManualClock()
    quirks = Quirks(duration=True)
    async with (
        Simulator(clock=clock, quirks=quirks) as device,
        site(tmp_path, device, clock, event_timeout="5s") as pump,
    ):
        await pump.until(lambda: device.streams)
        start, *going_on, end = device.records.make("line", repeats=9)
        device.send(start)
        await pump.stored(lambda events: events)
        for message in going_on:
            begun = clock.monotonic()
            device.send(message)
            await pump.until(lambda begun=begun: clock.monotonic() - begun >= 3.0)  # type: ignore[misc]
        assert len(await pump.events()) == 1
        device.send(end)
        events = await pump.stored(lambda events: len(events) > 1)
        assert [one["data"]["phase"] for one in events] == ["start", "end"]
        assert events[1]["data"]["incident"] == events[0]["id"]


def test_the_uuid_is_the_identity_whatever_else_changes() -> None:
    uuid = "9e1fb2f0-4fb5-4d4a-bd7a-7a1ab1d8f4f0"
    same = [
        plate(uuid), plate(uuid, SENT_AGAIN), plate(uuid, "<hasMoreData>true</hasMoreData>"), plate(uuid, number=5),
        plate(uuid, "<alarmDataType>1</alarmDataType>"), plate(uuid, inside="<vehicleType>vehicle</vehicleType>"),
        plate(uuid.upper().lower(), count=2),
    ]  # fmt: skip
    assert len({(read(one).event.id, read(one).event.dedup_time_ms) for one in same}) == 1
    assert read(plate(uuid), serial=None).event.id == read(plate(uuid)).event.id, "before the device said who it is"
    assert read(plate("u-2")).event.id != read(plate(uuid)).event.id


@pytest.mark.parametrize("uuid", [None, "", "0", "00000000-0000-0000-0000-000000000000", "null"])
def test_a_uuid_that_is_none_is_no_identity(uuid: str | None) -> None:
    first, second = read(plate(uuid)), read(plate(uuid, number=1))
    assert first.event.id != second.event.id
    assert first.record is None


def test_a_number_that_begins_anew_is_an_identity_with_its_time_alone() -> None:
    assert read(plate("7")).event.id != read(plate("7", number=1)).event.id
    assert read(plate("7")).event.id == read(plate("7", SENT_AGAIN)).event.id


def test_a_device_whose_uuids_repeat_themselves_loses_nothing() -> None:
    uploads = Uploads()
    first = alert("ANPR", extra="<ANPR><licensePlate>A1</licensePlate></ANPR><UUID>always</UUID>")
    later = first.body.replace(b"08:00", b"09:00").replace(b"A1", b"B2")
    one = uploads.take(read(first))
    two = uploads.take(parse(dict(read_document(later)), Facts(), UTC))
    assert one.events[0].id != two.events[0].id
    assert not two.events[0].data["update"]
    assert uploads.take(parse(dict(read_document(later)), Facts(), UTC)).same


def test_every_number_of_a_record_that_is_completed_is_an_update_of_its_own() -> None:
    uploads = Uploads()
    body = "<UUID>u</UUID><peopleCounting><enter>{}</enter><exit>3</exit></peopleCounting>"
    first = uploads.take(read(alert("PeopleCounting", extra=body.format(9)))).events
    again = uploads.take(read(alert("PeopleCounting", extra=body.format(10)))).events
    assert [event.data["updates"] for event in again] == [event.id for event in first]
    assert len({event.id for event in (*first, *again)}) == 4


def test_records_are_bounded_and_survive_a_restart() -> None:
    uploads, state = Uploads(), dict[str, Any]()
    for number in range(RECENT + 100):
        state |= uploads.take(read(plate(f"u-{number}"))).state
    kept = {key: value for key, value in state.items() if value is not None}
    assert len(uploads.known) == len(kept) == RECENT
    again = Uploads()
    again.load({**kept, "record/odd": 7, "matter/x": {}})
    assert again.take(read(plate(f"u-{RECENT + 99}", SENT_AGAIN))).same
