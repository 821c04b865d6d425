"""Repeats, ends and restarts of what lasts; pictures that follow. Against the simulated device."""

from __future__ import annotations

import asyncio
import random
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.core.event import Event
from pump.ingest.stream.client import DigestClient
from pump.ingest.stream.handler import Batch
from pump.ingest.stream.intake import StreamIntake
from pump.testing import ManualClock
from pump.vendors.hik_camera.access import ACCESS
from pump.vendors.hik_camera.document import read_document
from pump.vendors.hik_camera.handler import CameraHandler
from pump.vendors.hik_camera.incidents import OpenIncidents
from pump.vendors.hik_camera.parse import Facts, parse
from pump.vendors.hik_camera.simulator.messages import Records
from pump.vendors.hik_camera.simulator.server import Message, Quirks, Simulator
from tests.unit.vendors.hik_camera.site import Site, site

JPEG = b"\xff\xd8\xff\xe0" + bytes(900) + b"\xff\xd9"


def of(events: list[dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    """The events of a type, or of all types of a domain ("access.")."""
    return [
        event for event in events if event["type"] == type_ or (type_[-1] == "." and event["type"].startswith(type_))
    ]


def alert(code: str, *, state: str = "active", extra: str = "", number: int = 0, count: int = 1) -> Message:
    body = (
        f"<EventNotificationAlert><channelID>1</channelID><dateTime>2026-11-20T08:00:{number:02}Z</dateTime>"
        f"<activePostCount>{count}</activePostCount><eventType>{code}</eventType><eventState>{state}</eventState>"
        f"<eventDescription>x</eventDescription>{extra}</EventNotificationAlert>"
    )
    return Message(number, code, "application/xml", body.encode(), state=state)


async def test_a_burst_is_one_start_and_one_end(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: device.streams)
        device.emit("motion", repeats=50)
        events = await pump.stored(lambda events: len(of(events, "video.motion")) == 2)
        start, end = of(events, "video.motion")
        assert (start["data"]["phase"], end["data"]["phase"]) == ("start", "end")
        assert start["data"]["incident"] == end["data"]["incident"] == start["id"]
        assert end["data"]["count"] == 50
        assert start["data"]["place"] == {"channel": "Lane 1"}
        assert start["data"]["device"]["name"] == "North gate"
        assert start["data"]["device"]["serial"].startswith("DS-2CD")
        assert start["subject"] == "camera/door/1"


async def test_silence_ends_what_lasts_and_a_late_word_of_it_changes_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock, event_timeout="5s") as pump:
        await pump.until(lambda: device.streams)
        *active, last = Records(clock, Quirks(), 1).make("motion", repeats=20)
        device.send(*active)
        await pump.until(lambda: pump.counted("repeat") == 19)
        silent = clock.now()
        events = await pump.stored(lambda events: len(of(events, "video.motion")) == 2)
        recorded = datetime.fromisoformat(of(events, "video.motion")[1]["recordedtime"])
        assert (recorded - silent).total_seconds() >= 4.0  # and no more than a slow disk makes of it
        assert of(events, "video.motion")[1]["data"]["count"] == 20
        device.send(last)
        device.send(active[0])  # the device repeats itself: the same start, ended already
        await pump.until(lambda: pump.counted("repeat") == 21)
        for _ in range(400):
            clock.advance(0.02)
            await asyncio.sleep(0.001)
        assert len(of(await pump.events(), "video.motion")) == 2


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_restart_neither_repeats_the_start_nor_forgets_the_end(tmp_path: Path, how: str) -> None:
    clock = ManualClock()
    *active, last = Records(clock, Quirks(), 1).make("motion", repeats=30)
    async with Simulator(clock=clock) as device:
        folder = tmp_path / "first"
        async with site(folder, device, clock) as pump:
            await pump.until(lambda: device.streams)
            device.send(*active[:10])
            await pump.until(lambda: pump.counted("repeat") == 9)
            await pump.stored(lambda events: of(events, "video.motion"))
            if how == "killed":  # the files as a kill -9 leaves them
                await asyncio.to_thread(shutil.copytree, folder, tmp_path / "second")
                folder = tmp_path / "second"
        async with site(folder, device, clock) as pump:
            await pump.until(lambda: len(device.account.streams) == 2)
            device.send(*active[10:], last)
            events = await pump.stored(lambda events: len(of(events, "video.motion")) == 2)
            start, end = of(events, "video.motion")
            assert end["data"]["incident"] == start["id"]
            assert end["data"]["count"] == (30 if how == "stopped" else 21)
            assert [event["data"]["reason"] for event in of(events, "pump.gap")] == ["the pump was not running"]


@pytest.mark.parametrize("numbered", [True, False])
async def test_what_is_repeated_after_a_reconnect_begins_nothing_anew(tmp_path: Path, numbered: bool) -> None:
    async def cut(device: Simulator, pump: Site) -> None:
        streams = len(device.account.streams)
        device.cut()
        await pump.until(lambda: len(device.account.streams) > streams)
        await device.drained()

    async def process(device: Simulator, pump: Site, run: int) -> None:
        await pump.until(lambda: device.streams)
        device.emit("motion", repeats=6)
        device.emit("access")
        for _ in range(2):
            await pump.stored(lambda events: len(of(events, "access.")) == run)
            await cut(device, pump)
        device.emit("io")
        events = await pump.stored(lambda events: len(of(events, "security.input.restored")) == run)
        motion = [event["data"] for event in of(events, "video.motion")]
        assert [data["phase"] for data in motion] == ["start", "end"] * run
        assert [data.get("count") for data in motion] == [None, 6] * run

    clock = ManualClock()
    quirks = Quirks(serial_numbers=numbered, replay=12)
    async with Simulator(clock=clock, quirks=quirks) as device:
        for run in range(1, 4):  # a new process each time, and a cut in each
            async with site(tmp_path, device, clock) as pump:
                await process(device, pump, run)


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("repeated", [1, 2, 4])
async def test_the_tail_of_what_has_ended_is_no_new_start(tmp_path: Path, numbered: bool, repeated: int) -> None:
    clock = ManualClock()
    quirks = Quirks(serial_numbers=numbered, replay=repeated)
    async with Simulator(clock=clock, quirks=quirks) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: device.streams)
        device.emit("motion", repeats=6)
        await pump.stored(lambda events: len(of(events, "video.motion")) == 2)
        device.cut()
        await pump.until(lambda: len(device.account.streams) == 2)
        device.emit("access")
        events = await pump.stored(lambda events: of(events, "access."))
        assert [event["data"]["phase"] for event in of(events, "video.motion")] == ["start", "end"]


@pytest.mark.parametrize("numbered", [True, False])
async def test_the_repeated_end_of_one_matter_does_not_end_the_next(tmp_path: Path, numbered: bool) -> None:
    clock = ManualClock()
    quirks = Quirks(serial_numbers=numbered, replay=12)
    records = Records(clock, quirks, 1)
    first = records.make("disk", repeats=2)
    *second, last = records.make("disk", repeats=3)
    async with (
        Simulator(clock=clock, quirks=quirks) as device,
        site(tmp_path, device, clock, event_timeout="60s") as pump,
    ):
        await pump.until(lambda: device.streams)
        device.send(*first, *second)
        await pump.stored(lambda events: len(of(events, "device.disk.full")) == 3)
        device.cut()
        await pump.until(lambda: len(device.account.streams) == 2)
        device.send(last)
        events = of(await pump.stored(lambda e: len(of(e, "device.disk.full")) == 4), "device.disk.full")
        assert [event["data"]["phase"] for event in events] == ["start", "end", "start", "end"]
        assert events[3]["data"]["incident"] == events[2]["id"]
        assert events[3]["data"]["count"] == 3, "what was repeated is counted once"


async def test_regions_and_channels_are_matters_of_their_own(tmp_path: Path) -> None:
    clock = ManualClock()
    region = (
        "<DetectionRegionList><DetectionRegionEntry><regionID>{}</regionID></DetectionRegionEntry>"
        "</DetectionRegionList>"
    )
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock, event_timeout="60s") as pump:
        await pump.until(lambda: device.streams)
        device.send(
            alert("fielddetection", extra=region.format(1), number=1),
            alert("fielddetection", extra=region.format(2), number=2),
            alert("fielddetection", extra=region.format(1), number=3, state="inactive"),
            alert("linedetection", number=4),
            alert("fielddetection", number=5, state="inactive"),
            alert("IO", extra="<inputIOPortID>2</inputIOPortID>", number=6),
            alert("videoloss", number=7, state="inactive"),
        )
        events = await pump.stored(lambda events: of(events, "security.input.triggered"))
        intrusions = of(events, "video.intrusion")
        assert [event["data"]["phase"] for event in intrusions] == ["start", "start", "end", "end"]
        assert intrusions[2]["data"]["incident"] == intrusions[0]["id"]
        assert intrusions[3]["data"]["incident"] == intrusions[1]["id"]
        assert not of(events, "video.lost"), "an inactive videoloss is a heartbeat"
        device.send(alert("videoloss", number=8), alert("videoloss", number=9, state="inactive"))
        events = await pump.stored(lambda events: len(of(events, "video.lost")) == 2)


async def test_doors_have_starts_and_ends_in_so_many_words(tmp_path: Path) -> None:
    clock = ManualClock()

    def door(major: int, minor: int, number: int, **more: Any) -> Message:
        event = {"majorEventType": major, "subEventType": minor, "serialNo": number, "doorNo": 1, **more}
        body = {
            "eventType": "AccessControllerEvent", "eventState": "active", "dateTime": "2026-11-20T09:00:00+01:00",
            "AccessControllerEvent": event,
        }  # fmt: skip
        return Message(number, "access", "application/json", orjson.dumps(body))

    async with Simulator(clock=clock) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: device.streams)
        device.send(
            door(1, 0x404, 1),
            door(1, 0x405, 2),
            door(5, 76, 3, cardNo="42", currentEvent=False, currTemperature=97.7, thermometryUnit="fahrenheit"),
            door(5, 0xFFF, 4),
            door(5, 76, 3, cardNo="42", currentEvent=False, currTemperature=97.7, thermometryUnit="fahrenheit"),
        )
        events = await pump.stored(lambda events: of(events, "access.unknown"))
        start, end = of(events, "security.tampering")
        assert (start["data"]["phase"], end["data"]["phase"]) == ("start", "end")
        assert end["data"]["incident"] == start["id"]
        (denied,) = of(events, "access.denied")
        assert denied["data"]["access"] == {
            "granted": False, "method": "face", "card": "42", "door": "1", "temperature_c": 36.5,
            "reason": "authentication failed",
        }  # fmt: skip
        assert denied["data"]["late"] is True
        assert denied["data"]["code"] == "5/76"
        assert denied["time"] == "2026-11-20T08:00:00Z"


def test_what_an_older_version_began_ends_under_the_subject_that_it_began_under() -> None:
    begun = OpenIncidents(10.0)
    ((start,), state) = begun.take(parse(dict(read_document(alert("VMD").body)), Facts(), UTC), 0.0)
    assert start.subject == "camera/1"  # as before sources' names were part of it
    now = Facts(qualifier="door")
    for silent in (False, True):
        later = OpenIncidents(10.0)
        later.load(state, 0.0)
        if silent:
            ((end,), _) = later.expire(11.0)
        else:
            tree = read_document(alert("VMD", state="inactive", number=5).body)
            ((end,), _) = later.take(parse(dict(tree), now, UTC), 1.0)
        assert (end.data["phase"], end.data["incident"], end.subject) == ("end", start.id, "camera/1")


def test_each_input_of_a_controller_is_a_matter_of_its_own() -> None:
    matters = OpenIncidents(10.0)

    def take(minor: int, number: int, **more: Any) -> Event:
        event = {"majorEventType": 1, "subEventType": minor, "serialNo": number, **more}
        tree = {
            "eventType": "AccessControllerEvent",
            "dateTime": "2026-11-20T09:00:00Z",
            "AccessControllerEvent": event,
        }
        ((found,), _) = matters.take(parse(tree, Facts(), UTC), 0.0)
        return found

    first, second = take(0x408, 1, alarmInNo=1), take(0x408, 2, alarmInNo=2)
    again, end = take(0x408, 3, alarmInNo=2), take(0x409, 4, alarmInNo=2, doorNo=0)
    assert first.data["incident"] == first.id
    assert second.data["incident"] == again.data["incident"] == second.id
    assert end.data["incident"] == second.id
    assert take(0x409, 5, alarmInNo=1).data["incident"] == first.id


def test_every_kind_of_door_that_begins_can_end() -> None:
    for major in (1, 2, 5):
        rows = [row for (one, _), row in ACCESS.items() if one == major]
        begin = {row.matter for row in rows if row.phase == "start"}
        assert begin == {row.matter for row in rows if row.phase == "end"}


async def test_what_is_unknown_is_kept_once_while_it_repeats_itself(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock) as pump:
        await pump.until(lambda: device.streams)
        device.send(*(alert("goose", number=number, count=number) for number in range(1, 30)))
        device.send(alert("goose", number=30, extra="<goose>grey</goose>"))
        events = await pump.stored(lambda events: len(of(events, "device.unknown")) == 2)
        assert pump.counted("repeat") == 28
        assert of(events, "device.unknown")[0]["data"]["code"] == "goose"


async def _plates(pump: Site, n: int = 1) -> list[dict[str, Any]]:
    return of(await pump.stored(lambda events: len(of(events, "vehicle.passed")) >= n), "vehicle.passed")


async def test_pictures_join_their_event(tmp_path: Path) -> None:
    clock = ManualClock()
    plate = "<ANPR><licensePlate>AB123</licensePlate>{}</ANPR>"
    async with (
        Simulator(clock=clock) as device,
        site(tmp_path, device, clock, max_picture="1KiB", event_timeout="5s") as pump,
    ):
        await pump.until(lambda: device.streams)
        body = alert("ANPR", extra=plate.format("<picNum>2</picNum>"), number=1).body
        device.send(Message(1, "anpr", "application/xml", body, (JPEG, JPEG + b"x")))
        (event,) = await _plates(pump)
        media = event["data"]["media"]
        assert [one["id"] for one in media] == [f"{event['id']}/0", f"{event['id']}/1"]
        assert {one["state"] for one in media} == {"stored"}
        assert media[0]["mime"] == "image/jpeg"
        stored = pump.intake.media.folder / media[0]["path"]
        assert await asyncio.to_thread(stored.read_bytes) == JPEG

        # one too large, one that never comes: the event comes all the same, and says so
        body = alert("ANPR", extra=plate.format("<picNum>3</picNum>"), number=2).body
        device.send(Message(2, "anpr", "application/xml", body, (bytes(2000), JPEG)))
        device.send(alert("heartBeat", number=3))
        event = (await _plates(pump, 2))[1]
        assert [one["state"] for one in event["data"]["media"]] == ["too large", "stored"]

        # nobody said how many: they come until something else comes, or for half a second
        body = alert("ANPR", extra=plate.format(""), number=4).body
        device.send(Message(4, "anpr", "application/xml", body, (JPEG,)))
        event = (await _plates(pump, 3))[2]
        assert len(event["data"]["media"]) == 1

        # a picture too late is a second upload
        device.send(Message(5, "late", "image/jpeg", JPEG + b"late"))
        event = (await _plates(pump, 4))[3]
        assert event["data"]["update"] is True
        assert event["data"]["phase"] == "update"
        assert event["data"]["updates"] == (await _plates(pump))[2]["id"]


async def test_only_the_wanted_types_are_kept(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock, events=["IO"]) as pump:
        await pump.until(lambda: device.streams)
        for kind in ("motion", "io", "access"):
            device.emit(kind)
        events = await pump.stored(lambda events: of(events, "security.input.restored"))
        assert len(events) == 2
        await pump.until(lambda: pump.counted("unwanted") == 3)  # motion twice
        assert len(await pump.events()) == 2


async def test_a_recorders_channels_have_the_names_of_its_cameras(tmp_path: Path) -> None:
    clock = ManualClock()
    async with (
        Simulator(clock=clock, quirks=Quirks(recorder=True, empty_elements=True)) as device,
        site(tmp_path, device, clock) as pump,
    ):
        await pump.until(lambda: device.streams)
        device.emit("motion")
        events = await pump.stored(lambda events: of(events, "video.motion"))
        assert of(events, "video.motion")[0]["data"]["place"] == {"channel": "Yard & fence"}
        assert of(events, "video.motion")[0]["subject"] == "camera/door/33"


@pytest.mark.parametrize("numbered", [False, True])
async def test_a_start_dated_in_2099_keeps_no_end_from_ending_it(tmp_path: Path, numbered: bool) -> None:
    """Nor after a new link, where what is not newer than the last message counts as said again."""
    clock = ManualClock()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock, event_timeout="1h") as pump:
        await pump.until(lambda: device.streams)
        serial = "<serialNo>7</serialNo>" if numbered else ""
        start = alert("VMD", extra=serial)
        device.send(replace(start, body=start.body.replace(b"2026-11-20", b"2099-11-20")))
        await pump.stored(lambda events: len(of(events, "video.motion")) == 1)
        streams = len(device.account.streams)
        device.cut()
        await pump.until(lambda: len(device.account.streams) > streams)
        device.send(alert("VMD", state="inactive", extra=serial.replace("7", "8"), number=5))
        events = await pump.stored(lambda events: len(of(events, "video.motion")) == 2)
        first, last = of(events, "video.motion")
        assert first["data"]["time_source"] == "received"
        assert last["data"]["incident"] == first["id"]
        assert last["data"]["phase"] == "end"


async def test_a_heartbeat_that_is_recognised_unread_has_the_effect_of_one_that_is_read(tmp_path: Path) -> None:
    """The handler's whole effect, message by message, beside one that reads each of them."""
    rng = random.Random(15)
    made = [
        alert("videoloss", number=1, state="inactive"),
        alert("videoloss", number=2),
        alert("videoloss", number=3, state="inactive", extra="<channelName>North</channelName>"),
        alert("heartBeat", number=4),
        alert("linedetection", number=5),
        alert("linedetection", number=6, state="inactive"),
        alert("other", number=7, state="inactive"),
        alert("shelteralarm", number=8, state="inactive"),
    ]
    clock, none = ManualClock(), frozenset[str]()
    async with Simulator(clock=clock) as device, site(tmp_path, device, clock) as pump:
        link = DigestClient("http://127.0.0.1:9", username="a", password="b")
        quick, thorough = (
            CameraHandler(
                StreamIntake(pump.intake, clock), link, clock=clock, zone=UTC, event_timeout=60.0, wanted=none
            )
            for _ in range(2)
        )
        thorough._says_nothing_again = lambda tree: False  # type: ignore[method-assign]
        for _ in range(600):
            tree = read_document(rng.choices(made, weights=[9, 1, 3, 3, 1, 1, 2, 1])[0].body)
            clock.advance(rng.choice((0.5, 20.0)))
            effects = []
            for handler in (quick, thorough):
                batch, counted = Batch(), pump.counted("heartbeat")
                handler._message(dict(tree), batch)
                state = handler._matters.repeats, set(handler._matters.open), handler._unwanted
                shown = [(one.type, one.id, one.data) for one in batch.events if isinstance(one, Event)]
                effects.append((shown, batch.state, state, pump.counted("heartbeat") - counted))
            assert effects[0] == effects[1]
        assert quick._quiet is not None
