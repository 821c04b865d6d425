"""The simulated fleet against the real listener: introductions, keep-alives, captures tried again until answered."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import web

from pump.spool.errors import Verdict
from pump.testing import ManualClock
from pump.vendors.avaeye.simulator.messages import ENTRY, EXIT, Scene, weight
from pump.vendors.avaeye.simulator.server import Fleet
from tests.unit.vendors.avaeye.site import avaeye_site


async def _until_told(fleet: Fleet) -> None:
    while any(camera.waiting for camera in fleet.cameras):
        await asyncio.sleep(0.01)


async def test_every_capture_is_stored_once_though_answers_get_lost_and_the_spool_refuses(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, {"park_ids": ("10000",)}) as site, Fleet(3, rate=0, picture=500) as fleet:
        await fleet.reach(site.listener.url)
        sent = {camera.see() for camera in fleet.cameras for _ in range(20)}
        await _until_told(fleet)
        fleet.cameras[0].lose_answer = True
        writer = site.spool._writer
        writer.refuse(Verdict.FULL.value)
        sent |= {camera.see() for camera in fleet.cameras}
        while not all(camera.retries for camera in fleet.cameras):
            await asyncio.sleep(0.01)
        assert writer.accept()
        await _until_told(fleet)
        events = [event for event in await site.events() if event["type"].startswith("vehicle.")]
        assert len(events) == len(sent) == 63
        assert {event["data"]["raw"]["params"]["recordId"] for event in events} == sent
        assert {event["data"]["media"][0]["state"] for event in events} == {"stored"}
        table = site.sources[0].devices(site.intakes[0])
        assert sorted(device.key for device in table) == ["10000/1001", "10000/1002", "10000/1003"]
        assert all(device.online and device.facts["version"] == "PARK_1201-B0003" for device in table)
        assert {record for camera in fleet.cameras for record in camera.answered} == sent


def test_a_day_has_its_rush_hours_and_its_average_is_one() -> None:
    def at(hour: int) -> datetime:
        return datetime(2026, 11, 20, hour, tzinfo=UTC)

    assert weight(ENTRY, at(8)) > 3 > 0.3 > weight(ENTRY, at(3))
    assert weight(EXIT, at(17)) > 3
    for curve in (ENTRY, EXIT):
        assert abs(sum(weight(curve, at(hour)) for hour in range(24)) / 24 - 1) < 1e-9


def test_one_seed_sees_one_traffic() -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    first, second, other = Scene(1), Scene(1), Scene(2)
    assert first.message("1", "2", now) == second.message("1", "2", now) != other.message("1", "2", now)


class Recorder:
    """A platform that notes what cameras send and when, and answers only some of it."""

    def __init__(self, clock: ManualClock, *answered: str) -> None:
        self.clock = clock
        self.answered = answered
        self.heard: list[tuple[str, float]] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.removeprefix("/api/upark/")
        self.heard.append((path, self.clock.monotonic()))
        if path in self.answered:
            return web.json_response({"code": 200, "message": "success"})
        return web.json_response({"code": 101, "message": "common error"}, status=503)

    def times(self, path: str) -> list[float]:
        return [at for heard, at in self.heard if heard == path]


async def _hear(recorder: Recorder, seconds: float, *, capture: bool) -> None:
    """One camera's life for so long; each time until it sleeps again."""
    clock = recorder.clock
    runner = web.ServerRunner(web.Server(recorder.handle, access_log=None))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with Fleet(1, clock=clock, rate=0) as fleet:
            await fleet.reach(f"http://127.0.0.1:{port}")
            if capture:
                fleet.cameras[0].see()
            tasks = 2 if capture else 1
            await clock.sleeping(tasks)
            while clock.deadline is not None and clock.deadline <= seconds:
                clock.advance(clock.deadline - clock.monotonic())
                await clock.sleeping(tasks)
    finally:
        await runner.cleanup()


async def test_a_camera_that_nobody_answers_tries_again_as_the_document_has_it() -> None:
    recorder = Recorder(ManualClock())
    await _hear(recorder, 95.0, capture=True)
    assert recorder.times("basicinfo") == [0.0, 30.0, 60.0, 90.0], "every 30 s till it is answered"
    assert recorder.times("keepalive") == []
    assert recorder.times("capture")[:7] == [0.0, 1.0, 3.0, 8.0, 18.0, 28.0, 38.0]


async def test_a_camera_whose_keepalives_are_not_answered_three_times_introduces_itself_anew() -> None:
    recorder = Recorder(ManualClock(), "basicinfo")
    await _hear(recorder, 185.0, capture=False)
    assert recorder.times("basicinfo") == [0.0, 90.0, 180.0]
    assert recorder.times("keepalive") == [30.0, 60.0, 90.0, 120.0, 150.0, 180.0]


@pytest.mark.parametrize(
    ("hour", "zone", "relative"),
    [(3, "UTC", 1.0), (8, "UTC", 24.0), (7, "Europe/Paris", 24.0), (13, "UTC", 10.5)],
)
async def test_an_hour_brings_the_vehicles_that_its_curve_has(hour: int, zone: str, relative: float) -> None:
    """An entrance: one at 3 (and at 4), 30 at 8 and 18 at 9, 12 at 13 and 9 at 14."""

    async def main() -> int:
        clock = ManualClock(datetime(2026, 11, 20, hour, tzinfo=UTC))
        async with Fleet(1, clock=clock, rate=0.05, zone=ZoneInfo(zone)) as fleet:
            camera = fleet.cameras[0]
            camera.silent.set()  # it keeps what it sees
            await fleet.reach("http://127.0.0.1:9")
            await clock.run(3600.0)
            return len(camera.waiting)

    expected = 0.05 * 3600 * relative * 24 / sum(ENTRY)
    assert (await main()) == pytest.approx(expected, rel=0.15, abs=12)


async def test_a_camera_that_never_introduced_itself_is_made_to(tmp_path: Path) -> None:
    clock = ManualClock()
    async with (
        avaeye_site(tmp_path, {"ask_basicinfo": True}, clock=clock) as site,
        Fleet(1, clock=clock, rate=0, introduced=True) as fleet,
    ):
        await fleet.reach(site.listener.url)
        devices = site.sources[0].devices(site.intakes[0])
        for _ in range(2000):
            known = devices.get("10000/1001")
            if known is not None and "version" in known.facts:
                break
            clock.advance(1.0)
            await asyncio.sleep(0.005)
        assert known is not None
        assert known.facts["version"] == "PARK_1201-B0003"
        assert "asked" not in known.facts


@pytest.mark.parametrize("ask", [False, True])
async def test_keepalives_of_a_stranger_are_refused_three_times_at_most_and_only_where_that_is_wanted(
    tmp_path: Path, ask: bool
) -> None:
    alive = {"parkId": "1", "deviceId": "2", "params": {"uploadTime": 1}}
    async with avaeye_site(tmp_path, {"ask_basicinfo": ask}) as site:
        statuses = []
        for _ in range(6):
            answer = await site.post("keepalive", alive)
            statuses.append((answer.status, answer.json["code"]))
        refused, taken = (503, 101), (200, 200)
        assert statuses == ([refused] * 3 + [taken] * 3 if ask else [taken] * 6)
        known = site.sources[0].devices(site.intakes[0]).get("1/2")
        assert known is not None
        assert known.online  # it lives all the same
        info = {"parkId": "1", "deviceId": "3", "params": {"softwareVersion": "V7"}}
        assert (await site.post("basicinfo", info)).status == 200
        assert (await site.post("keepalive", {**alive, "deviceId": "3"})).status == 200
        assert (await site.post("keepalive", {"params": {}})).status == 200  # nobody in particular


async def test_a_stranger_is_asked_again_once_it_was_away(tmp_path: Path) -> None:
    alive = {"parkId": "1", "deviceId": "2", "params": {"uploadTime": 1}}
    async with avaeye_site(tmp_path, {"ask_basicinfo": True}) as site:
        devices = site.sources[0].devices(site.intakes[0])
        for _ in range(4):
            last = (await site.post("keepalive", alive)).status
        assert last == 200
        async with devices.lost("1/2") as sign:
            await site.intakes[0].put(*sign.events, state=sign.state)
        assert (await site.post("keepalive", alive)).status == 503


async def test_a_camera_three_hours_ahead_is_reported(tmp_path: Path) -> None:
    async with (
        avaeye_site(tmp_path) as site,
        Fleet(2, rate=0, ahead=timedelta(hours=3)) as fleet,
    ):
        await fleet.reach(site.listener.url)
        for _ in range(15):
            for camera in fleet.cameras:
                camera.see()
        await _until_told(fleet)
        (off,) = [event for event in await site.events(whole=True) if event["type"] == "device.clock.off"]
        assert off["subject"] == "camera/10000/1001"
        assert off["data"]["place"] == {"lot": "10000"}
        assert 10800 - 60 < off["data"]["measure"]["value"] < 10800 + 60
        stored = site.intakes[0].state("clock/")
        assert stored["clock/10000/1001"]["off"]
        fleet.cameras[0].ahead = timedelta()
        for _ in range(15):
            fleet.cameras[0].see()
        await _until_told(fleet)
        (right,) = [event for event in await site.events(whole=True) if event["type"] == "device.clock.off"]
        assert (right["data"]["phase"], right["data"]["incident"]) == ("end", off["data"]["incident"])


async def test_pictures_beside_params_and_serial_messages_of_the_fleet_arrive(tmp_path: Path) -> None:
    async with (
        avaeye_site(tmp_path) as site,
        Fleet(1, rate=0, picture=500, beside=True) as fleet,
        aiohttp.ClientSession() as session,
    ):
        await fleet.reach(site.listener.url)
        camera = fleet.cameras[0]
        camera.see()
        await _until_told(fleet)
        for form in ("text", "hex", "base64"):
            assert await camera.relay(session, site.listener.url, b"12345678", form=form)
        passed, *messages = await site.events()
        assert [entry["state"] for entry in passed["data"]["media"]] == ["stored", "stored"]
        assert [event["data"]["payload"]["text"] for event in messages] == ["12345678"] * 3
