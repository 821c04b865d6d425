"""Clips asked for by rule: the source against the simulator's video/save and download/url, the clock moved by hand."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs
from yarl import URL

from pump.core.clock import Clock
from pump.ingest.fetch.access import Side
from pump.ingest.fetch.errors import LinkForbidden
from pump.spool import Spool, SpoolSettings, offline
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.vendors.hik_connect.clips import asking
from pump.vendors.hik_connect.simulator import clips as simulated
from pump.vendors.hik_connect.simulator.server import Fault, Simulator
from pump.vendors.hik_connect.source import HikConnect
from tests.unit.vendors.hik_connect.test_source import APP_KEY, SECRET_KEY, Site, settings, simulator, site

SAVE, LINK = "video/save", "download/url"
EXAMPLE = "https://sgp-openteam.s3.ap-southeast-1.amazonaws.com/REC_FILES/a/b/c.mp4?X-Amz-Expires=3600"
"""The host of the document's example."""


def rows(pump: Site) -> list[dict[str, Any]]:
    return list(pump.spool.state("teams", "clip/").values())


async def happens(pump: Site, n: int, kind: Any) -> None:
    await pump.completed()
    pump.vendor.put("combine", *pump.vendor.make("combine", n, kind))
    await pump.completed()


async def settled(pump: Site, count: int = 1) -> None:
    """Until so many clips have their events, and none waits."""
    await pump.until(lambda: len(rows(pump)) >= count and all("done" in row for row in rows(pump)))


async def uploads(pump: Site) -> dict[str, dict[str, Any]]:
    """The clips' events, by the id of the event that each belongs to; each once."""
    found = [event for event in await pump.events() if event["data"].get("raw", {}).get("urls")]
    assert len({event["data"]["updates"] for event in found}) == len(found)
    return {event["data"]["updates"]: event for event in found}


async def lost(pump: Site) -> list[str]:
    return [event["data"]["reason"] for event in await pump.events("media.failed")]


async def alarms(pump: Site) -> dict[str, dict[str, Any]]:
    found = [event for event in await pump.events() if event["data"]["phase"] in ("start", "pulse")]
    return {event["id"]: event for event in found if event["data"]["vendor"] == "hik-connect"}


async def test_a_clip_is_a_second_upload_of_its_event(tmp_path: Path) -> None:
    clock = ManualClock()
    wanted = {"clips": ["*"], "clip_before": "5s", "clip_after": "30s", "time_zone": "Asia/Tbilisi"}
    async with simulator(clock) as hik, site(hik, tmp_path, clock, **wanted) as pump:
        await happens(pump, 3, "camera")
        await settled(pump, 3)
        mine, theirs = await uploads(pump), await alarms(pump)
        assert mine.keys() == theirs.keys()
        asked = {(task.camera, task.begin, task.end) for task in hik.clips.tasks.values()}
        assert len(hik.account.times(SAVE)) == len(hik.clips.tasks) == 3
        for id_, event in mine.items():
            first, data = theirs[id_], event["data"]
            assert (event["type"], event["subject"], event["time"]) == (first["type"], first["subject"], first["time"])
            assert (data["phase"], data["update"], data["updates"]) == ("update", True, id_)
            assert (data["code"], data["severity"], data["device"]) == tuple(
                first["data"][name] for name in ("code", "severity", "device")
            )
            (medium,) = data["media"]
            assert (medium["kind"], medium["state"], medium["mime"]) == ("video", "remote", "video/mp4")
            assert medium["url"].startswith(hik.url)
            assert medium["expires"]
            at = datetime.fromisoformat(first["time"])
            spans = [(at - begin).total_seconds() for camera, begin, _ in asked if camera in first["subject"]]
            assert any(5 <= before < 6 for before in spans)
        await pump.until(lambda: pump.counted("clip") == pump.counted("clip asked") == 3)  # counted behind the put
        assert {task.begin.utcoffset() for task in hik.clips.tasks.values()} == {timedelta(hours=4)}


@pytest.mark.parametrize("spelling", ["taskId", "taskid"])
async def test_only_what_the_rule_names_has_one(tmp_path: Path, spelling: str) -> None:
    clock = ManualClock()
    async with simulator(clock) as hik, site(hik, tmp_path, clock, clips=["vehicle.*"]) as pump:
        hik.clips.task_name = spelling
        await happens(pump, 2, "access")
        await happens(pump, 2, "camera")
        await happens(pump, 1, "anpr")
        await settled(pump)
        clock.advance(600)
        await pump.polls(5)
        assert {event["type"].partition(".")[0] for event in (await uploads(pump)).values()} == {"vehicle"}
        assert len(hik.clips.tasks) == 1


async def test_without_a_rule_nothing_is_asked_for_and_a_door_has_no_camera(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as hik:
        async with site(hik, tmp_path / "none", clock) as pump:
            await happens(pump, 2, "camera")
            assert rows(pump) == []
        async with site(hik, tmp_path / "door", clock, clips=["*"]) as pump:
            await happens(pump, 2, "access")
            await pump.until(lambda: pump.counted("clip without camera") == 2)
            assert rows(pump) == []
        assert hik.account.times(SAVE) == []


async def test_a_message_that_comes_again_asks_for_nothing(tmp_path: Path) -> None:
    """While the clip waits, once it has come, and after a restart."""
    clock = ManualClock()
    async with simulator(clock) as hik:
        for restart in range(2):
            async with site(hik, tmp_path, clock, clips=["*"]) as pump:
                if not restart:
                    await happens(pump, 2, "camera")
                hik.faults.push(Fault("redeliver", path="combine/v1/mq/messages", new_id=True))
                await pump.polls(4)
                await settled(pump, 2)
                hik.faults.push(Fault("redeliver", path="combine/v1/mq/messages", new_id=True))
                await pump.polls(4)
                clock.advance(300)
                await pump.polls(4)
                assert len(await uploads(pump)) == 2
        assert len(hik.account.times(SAVE)) == 2


async def test_a_save_whose_answer_is_lost_is_not_sent_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as hik, site(hik, tmp_path, clock, clips=["*"]) as pump:
        hik.faults.push(Fault("lost_answer", path=SAVE))
        await happens(pump, 2, "camera")
        await settled(pump, 2)
        assert len(hik.clips.tasks) == 2
        (reason,) = await lost(pump)
        assert "did not answer" in reason
        (failed,) = await pump.events("media.failed")
        assert failed["data"]["updates"] in await alarms(pump)
        assert failed["data"]["media"][0]["kind"] == "video"
        await pump.until(lambda: pump.counted("clip lost") == 1)


@pytest.mark.parametrize("fault", [Fault("error", path=SAVE, code="VMS001001"), Fault("status", path=SAVE, status=404)])
async def test_a_save_that_was_refused_is_sent_again(tmp_path: Path, fault: Fault) -> None:
    clock = ManualClock()
    async with simulator(clock) as hik, site(hik, tmp_path, clock, clips=["*"]) as pump:
        hik.faults.push(fault)
        await happens(pump, 1, "camera")
        await settled(pump)
        assert len(await uploads(pump)) == len(hik.clips.tasks) == 1
        assert pump.counted("clip retry") == 1


@pytest.mark.parametrize("kind", ["lost_answer", "garbage", "hang", "error", "expired_token"])
async def test_the_link_is_asked_for_until_it_comes(tmp_path: Path, kind: Any) -> None:
    clock = ManualClock()
    timeout = "1s" if kind == "hang" else "30s"  # of the world's time: every other call must be quicker
    async with simulator(clock) as hik, site(hik, tmp_path, clock, clips=["*"], timeout=timeout) as pump:
        hik.faults.push(Fault(kind, path=LINK))
        await happens(pump, 1, "camera")
        await settled(pump)
        assert len(await uploads(pump)) == len(hik.clips.tasks) == 1


@pytest.mark.parametrize("fate", [2, 3, 4])
async def test_what_the_vendor_has_lost_is_said(tmp_path: Path, fate: int) -> None:
    clock = ManualClock()
    async with simulator(clock) as hik, site(hik, tmp_path, clock, clips=["*"]) as pump:
        hik.clips.fate = fate
        await happens(pump, 1, "camera")
        await settled(pump)
        (reason,) = await lost(pump)
        assert asking._LOST[fate] in reason


async def test_a_camera_that_is_gone_is_given_up_after_some_refusals(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as hik, site(hik, tmp_path, clock, clips=["*"]) as pump:
        hik.faults.push(Fault("error", path=SAVE, code="VMS000003", times=9))
        await happens(pump, 1, "camera")
        await settled(pump)
        assert "VMS000003" in (await lost(pump))[0]
        assert len(hik.account.times(SAVE)) == 3
        assert pump.state == "up"


async def test_without_permission_the_queues_go_on(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as hik, site(hik, tmp_path, clock, clips=["*"]) as pump:
        hik.faults.push(Fault("error", path=SAVE, code="VMS004005"))
        await happens(pump, 2, "camera")
        await pump.until(lambda: pump.counted("clip retry"))
        await pump.polls(40)
        assert pump.state == "up"
        assert len(hik.account.times(SAVE)) == 1
        clock.advance(600)
        await settled(pump, 2)
        assert len(await uploads(pump)) == 2


async def test_so_many_an_hour_and_so_many_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "WAITING", 5)
    clock = ManualClock()
    async with simulator(clock) as hik, site(hik, tmp_path, clock, clips=["*"], clips_per_hour=3) as pump:
        await happens(pump, 9, "camera")
        assert len(rows(pump)) == 5
        assert pump.counted("clip not asked") == 4
        await pump.until(lambda: pump.counted("clip") == 3)
        clock.advance(1800)
        await pump.polls(10)
        assert len(hik.clips.tasks) == 3
        clock.advance(1800)
        await settled(pump, 5)
        assert len(await uploads(pump)) == len(hik.clips.tasks) == 5


async def test_after_a_day_it_is_given_up_and_after_three_forgotten(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as hik:
        async with site(hik, tmp_path, clock, clips=["*"]) as pump:
            await happens(pump, 1, "camera")
        clock.advance(86400 + 60)
        async with site(hik, tmp_path, clock) as pump:  # the rule has gone: what was wanted is seen to all the same
            await settled(pump)
            assert "within a day" in (await lost(pump))[0]
            assert hik.account.times(SAVE) == []
        clock.advance(2 * 86400)
        async with site(hik, tmp_path, clock, clips=["*"]) as pump:
            await pump.polls(4)  # the subscription has died meanwhile
            await happens(pump, 1, "camera")
            await pump.until(lambda: pump.counted("clip"))
            assert len(rows(pump)) == 1


async def test_a_spool_that_refuses_makes_nothing_be_asked_twice(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as hik, site(hik, tmp_path, clock, clips=["*"]) as pump:
        await happens(pump, 1, "camera")
        pump.intake.refusing = True
        await pump.until(lambda: hik.clips.tasks)
        await pump.until(lambda: pump.counted("refused") >= 2)
        pump.intake.refusing = False
        await settled(pump)
        assert len(await uploads(pump)) == len(hik.clips.tasks) == 1


async def test_cancelled_at_many_moments_each_is_asked_once(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as hik:
        async with site(hik, tmp_path, clock, clips=["*"]) as pump:
            await happens(pump, 6, "camera")
        for turn in range(12):
            async with site(hik, tmp_path, clock, clips=["*"]) as pump:
                calls = len(hik.account.calls)
                await pump.until(partial(_went_on, hik, calls))
                clock.advance(5)
                for _ in range(3 * turn):
                    await asyncio.sleep(0)
        async with site(hik, tmp_path, clock, clips=["*"]) as pump:
            await settled(pump, 6)
            came, failed = await uploads(pump), await lost(pump)
            assert len(came) + len(failed) == 6
            times = Counter((task.camera, task.begin, task.end) for task in hik.clips.tasks.values())
            assert len(hik.account.times(SAVE)) <= 6, times


def _went_on(hik: Simulator, calls: int) -> bool:
    return len(hik.account.calls) > calls + 1


_RUNNER = """
import asyncio, sys
from pathlib import Path
from pump.core.clock import Clock
from pump.ingest.intake import Intake
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.vendors.hik_connect import SOURCE
from pump.vendors.hik_connect.clips import asking

asking.LOOK = asking.SETTLE = asking.UPLOAD = 0.01

async def main(folder, server):
    clock, metrics = Clock(), Metrics()
    spool = await Spool.open(Path(folder), SpoolSettings(), clock=clock, metrics=metrics)
    intake = Intake("teams", spool=spool, site="north", clock=clock, metrics=metrics, health=Health(clock))
    settings = {"type": "hik-connect", "server": server, "app_key": "ak-north", "secret_key": "sk-north",
                "clips": ["*"], "clip_before": "1s", "clip_after": "10ms"}
    await SOURCE("teams", SOURCE.Settings.model_validate(settings), clock, paced=False).run(intake)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_killed_for_real_each_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 while saves are answered; each event has its clip or is said to have none, and no save is sent twice."""
    monkeypatch.setattr("pump.vendors.hik_connect.simulator.clips.UPLOAD", 0.05)
    clock, many = Clock(), 8
    async with Simulator(clock=clock, app_key=APP_KEY, secret_key=SECRET_KEY, rate_limit=None) as hik:
        spool = await Spool.open(tmp_path, SpoolSettings(), clock=clock, metrics=Metrics())
        await spool.close()
        for kill in range(3):
            asked = len(hik.account.times(SAVE))
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _RUNNER, str(tmp_path), hik.url, stderr=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:
                async with asyncio.timeout(60.0):
                    if not kill:
                        while not hik.account.queues["combine"].subscribed:
                            await asyncio.sleep(0.005)
                        hik.put("combine", *hik.make("combine", many, "camera"))
                    while kill < 2 and len(hik.account.times(SAVE)) <= asked:
                        await asyncio.sleep(0.001)
                    while kill == 2 and len(_ends(tmp_path)) < many:
                        await asyncio.sleep(0.05)
                    os.kill(child.pid, signal.SIGKILL)
            finally:
                if child.returncode is None and child.pid:
                    child.kill()
                await child.wait()
        assert len(hik.account.times(SAVE)) <= many
        ends = _ends(tmp_path)
        assert set(ends.values()) == {1}
        assert len(ends) == many


def _ends(folder: Path) -> Counter[str]:
    """The events that say what became of a clip, by the event that they belong to."""
    found = [orjson.loads(record.body) for record in offline.events(folder)]
    ended = [one["data"] for one in found if one["type"] == "media.failed" or one["data"].get("raw", {}).get("urls")]
    return Counter(data["updates"] for data in ended)


def test_the_storage_host_is_for_links_that_the_api_gave() -> None:
    source = HikConnect("teams", settings(clips=["security.*"]), ManualClock())
    access = source.pictures()
    with pytest.raises(LinkForbidden):
        access.side(URL(EXAMPLE))
    assert access.vouched.side(URL(EXAMPLE)) is Side.PUBLIC
    for link in (EXAMPLE.replace("https", "http"), "https://amazonaws.com.evil.test/a.mp4", "https://169.254.169.254/"):
        with pytest.raises(LinkForbidden):
            access.vouched.side(URL(link))


def test_a_rule_that_matches_nothing_is_warned_of() -> None:
    (sentence,) = settings(clips=["securty.*"]).warnings()
    assert "securty" in sentence
    assert "security" in sentence
    assert settings(clips=["security.*"]).warnings() == []


async def test_what_a_log_filled_has_its_clip_too_behind_those_of_now(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as hik, site(hik, tmp_path, clock, clips=["*"]) as pump:
        await pump.completed()
        hik.lose_subscription("combine")
        hik.put("combine", *hik.make("combine", 3, "camera"))
        clock.advance(1800)
        await pump.completed()
        await happens(pump, 1, "anpr")
        await pump.until(lambda: any(gap.get("filled") for gap in pump.spool.gaps.counts.values()))
        await settled(pump, 4)
        theirs, mine = await alarms(pump), await uploads(pump)
        late = [id_ for id_, event in theirs.items() if event["data"].get("reconciled")]
        assert len(late) == 3
        assert set(late) < set(mine)
        assert mine.keys() == theirs.keys()


async def test_late_ones_leave_half_of_the_places_to_those_of_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "WAITING", 4)
    monkeypatch.setattr(simulated, "UPLOAD", 1e9)  # none is done
    clock = ManualClock()
    async with simulator(clock) as hik, site(hik, tmp_path, clock, clips=["*"]) as pump:
        await pump.completed()
        hik.lose_subscription("combine")
        hik.put("combine", *hik.make("combine", 6, "camera"))
        clock.advance(1800)
        await pump.until(lambda: any(gap.get("filled") for gap in pump.spool.gaps.counts.values()))
        assert len(rows(pump)) == 2
        await happens(pump, 6, "camera")
        assert len(rows(pump)) == 4


async def test_a_bug_in_the_asking_leaves_the_queues_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_LATE", "no time")
    clock = ManualClock()
    async with simulator(clock) as hik, site(hik, tmp_path, clock, clips=["*"]) as pump:
        with capture_logs() as logs:
            await happens(pump, 3, "camera")
            await pump.until(lambda: any("met a bug" in line["event"] for line in logs))
        more = hik.put("combine", *hik.make("combine", 5, "anpr"))
        await pump.completed()
        assert set(more) <= set(await pump.identities())
        assert not pump.task.done()
