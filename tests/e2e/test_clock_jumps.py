"""A host without a battery clock: 1970 or years ahead at boot, mended minutes later. Each part by name.

The clock is injected; whoever is started again gets a new one, as a new process does. docs/clocks.md has the table.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pump.core.event import Event, encode
from pump.core.record import Record
from pump.core.settings import SinkSettings
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.ingest.intake import Intake
from pump.ingest.media import Media
from pump.ingest.stream.gap import OutageTracker
from pump.ingest.stream.lockout import LEAST, LoginLockout
from pump.runtime.announcer import Announcer
from pump.sinks.sqlite.sink import SqliteSettings, SqliteSink
from pump.sinks.webhook.expiry import ExpiryPolicy
from pump.spool import Receipt, Spool, SpoolSettings
from pump.telemetry.health import Component, Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.testing.sinks import HangingSinks
from tests.unit.spool.conftest import rows

DAY = 86400.0
WEEK = 7 * DAY
NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
BOOT = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
JUMPS = {
    "ten days ahead": 10 * DAY,
    "ten years ahead": 3650 * DAY,
    "ten days behind": -10 * DAY,
    "1970": -56.8 * 365 * DAY,
}


@asynccontextmanager
async def opened(folder: Path, clock: ManualClock, **settings: Any) -> AsyncIterator[Spool]:
    found = SpoolSettings.model_validate(settings)
    spool = await Spool.open(folder / "spool", found, clock=clock, metrics=Metrics())
    spool.set_holders({"out": False})
    try:
        yield spool
    finally:
        await spool.close()


async def look(spool: Spool, clock: ManualClock, seconds: float = 1.0) -> None:
    """Let that time pass and the upkeep look; the second commit comes after the look that follows the first."""
    clock.advance(seconds)
    spool.remember("test", "turn", clock.monotonic())
    await spool.flush()
    await spool.flush()


async def put(spool: Spool, clock: ManualClock, first: int, count: int = 64) -> None:
    await spool.append(rows(first, count, recorded=clock.now_ms()), source="teams")


async def days(spool: Spool, clock: ManualClock, count: int) -> None:
    for _ in range(count * 4):
        await look(spool, clock, DAY / 4)


def announcer_of(spool: Spool, clock: ManualClock) -> Announcer:
    return Announcer(intake_of(spool, clock, "pump"), spool, clock=clock, metrics=Metrics())


def intake_of(spool: Spool, clock: ManualClock, name: str) -> Intake:
    return Intake(name, spool=spool, site="garage", clock=clock, metrics=Metrics(), health=Health(clock))


async def stored(spool: Spool, type_: str) -> list[dict[str, Any]]:
    found = [json.loads(one.body) for one in await spool.read(0, limit=1000) if one.type == type_]
    return [one["data"] for one in found]


def forget_the_stop(folder: Path, note: Any) -> None:
    """A kill notes nothing: the note of before stands."""
    with closing(sqlite3.connect(folder / "spool" / "spool.db")) as db, db:
        db.execute("UPDATE state SET value = ? WHERE key = 'time'", (json.dumps(note),))


@pytest.fixture(params=JUMPS)
def jump(request: pytest.FixtureRequest) -> float:
    return JUMPS[request.param]


# --- the spool's events ---------------------------------------------------------------------------------------------


async def test_a_clock_that_is_wrong_for_65_seconds_removes_no_event(tmp_path: Path, jump: float) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as spool:
        await put(spool, clock, 0)
        await days(spool, clock, 1)
        clock.jump(jump)
        for second in range(65):
            await look(spool, clock)
            if second == 30:
                await put(spool, clock, 64)
        clock.jump(-jump)
        await look(spool, clock)
        await put(spool, clock, 128)
        await days(spool, clock, 5)
        assert spool.floor == 0
        await days(spool, clock, 3)
        assert spool.floor >= 128, "what was stored while the clock was wrong is kept no longer than the rest"
        await days(spool, clock, 1)
        assert spool.floor == 192


async def test_events_of_1970_are_kept_their_days_after_the_clock_is_mended(tmp_path: Path) -> None:
    clock = ManualClock(BOOT)
    async with opened(tmp_path, clock) as spool:
        await put(spool, clock, 0)
        await look(spool, clock, 300)
        clock.jump((NOW - BOOT).total_seconds())
        await look(spool, clock)
        await put(spool, clock, 64)
        await days(spool, clock, 6)
        assert spool.floor == 0
        await days(spool, clock, 2)
        assert spool.floor == 128


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
async def test_a_start_in_1970_with_events_of_2026_removes_none_before_its_time(tmp_path: Path, killed: bool) -> None:
    clock = ManualClock(NOW)
    async with opened(tmp_path, clock) as spool:
        await put(spool, clock, 0)
        await look(spool, clock)
        note = spool.state("pump", "time")
        await look(spool, clock, 300)
        await put(spool, clock, 64)
    if killed:
        forget_the_stop(tmp_path, note["time"])
    clock = ManualClock(BOOT)
    async with opened(tmp_path, clock) as spool:
        await put(spool, clock, 128)
        for _ in range(5):
            await look(spool, clock, 60)
        clock.jump((NOW - BOOT).total_seconds() + 3600)
        await look(spool, clock)
        await put(spool, clock, 192)
        await days(spool, clock, 6)
        assert spool.floor == 0
        await days(spool, clock, 2)
        assert spool.floor == 256


async def test_three_weeks_without_the_pump_count_once_the_clock_has_run_an_hour(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    async with opened(tmp_path, clock) as spool:
        await put(spool, clock, 0)
    clock = ManualClock(NOW + timedelta(weeks=3))
    async with opened(tmp_path, clock) as spool:
        await put(spool, clock, 64)
        await look(spool, clock, 3000)
        assert spool.floor == 0
        await look(spool, clock, 601)
        await look(spool, clock)
        assert spool.floor == 64


async def test_a_start_ten_days_ahead_that_is_mended_within_the_hour_removes_nothing(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    async with opened(tmp_path, clock) as spool:
        await put(spool, clock, 0)
    clock = ManualClock(NOW + timedelta(days=10))
    async with opened(tmp_path, clock) as spool:
        await put(spool, clock, 64)
        for _ in range(5):
            await look(spool, clock, 60)
        clock.jump(-10 * DAY)
        await days(spool, clock, 6)
        assert spool.floor == 0
    clock = ManualClock(NOW + timedelta(days=6))
    async with opened(tmp_path, clock) as spool:
        await days(spool, clock, 2)
        assert spool.floor == 128


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_a_jump_removes_no_key_before_seven_days_have_passed(
    tmp_path: Path, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pump.spool.retention.KEYS_KEPT", 100)

    clock = ManualClock()
    async with opened(tmp_path, clock) as spool:
        await put(spool, clock, 0, 200)
        await days(spool, clock, 1)
        clock.jump(jump)
        await put(spool, clock, 200, 200)
        for _ in range(3):
            await look(spool, clock, 61)
        assert await spool.append(rows(0, 200), source="teams") == Receipt(0, 200)
        await days(spool, clock, 4)
        assert await spool.append(rows(0, 400), source="teams") == Receipt(0, 400)
        await days(spool, clock, 4)
        await put(spool, clock, 400, 200)
        for _ in range(10):
            await look(spool, clock, 61)
        assert await spool.append(rows(0, 100), source="teams") == Receipt(100, 0), "and they go after them"


# --- pictures and the archive ---------------------------------------------------------------------------------------


def keep(media: Media, clock: ManualClock, content: bytes) -> Path:
    path = media.folder / media.keep(content).path
    os.utime(path, (clock.now().timestamp(),) * 2)  # as the system does by the same clock
    return path


def test_a_jump_removes_no_picture(tmp_path: Path, jump: float) -> None:
    clock = ManualClock()
    media = Media(tmp_path, clock=clock)
    before = keep(media, clock, b"before")
    clock.advance(DAY)
    media.prune()
    clock.jump(jump)
    during = keep(media, clock, b"during")
    clock.advance(65)
    assert media.prune() == 0
    clock.jump(-jump)
    clock.advance(5 * DAY)
    assert media.prune() == 0
    clock.advance(DAY)
    assert media.prune() == 1
    assert not before.exists()
    clock.advance(DAY)
    assert media.prune() == 1
    assert not during.exists()


def test_where_room_is_wanted_the_oldest_picture_goes_and_not_that_of_1970(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    media = Media(tmp_path, clock=clock, max_bytes=2500)
    oldest = keep(media, clock, b"a" * 1000)
    clock.advance(60)
    media.prune()
    clock.jump(-(NOW - BOOT).total_seconds())
    newer = keep(media, clock, b"b" * 1000)
    clock.advance(60)
    keep(media, clock, b"c" * 1000)
    media.prune()
    assert not oldest.exists()
    assert newer.exists()


def archived(seq: int, clock: ManualClock) -> Record:
    body = encode(Event("vehicle.passed", f"e{seq}", {"severity": "info"}, clock.now()), "/s/gate", clock.now())
    return Record(seq, "gate", "vehicle.passed", 0, clock.now_ms(), body)


async def test_a_jump_removes_nothing_from_the_archive(tmp_path: Path, jump: float) -> None:
    path = tmp_path / "archive.db"

    def left() -> list[int]:
        with closing(sqlite3.connect(path)) as db:
            return [int(name[1:]) for (name,) in db.execute("SELECT id FROM events ORDER BY number")]

    clock = ManualClock()
    settings = SqliteSettings.model_validate({"type": "sqlite", "path": str(path), "keep": "7d"})
    async with SqliteSink("archive", settings, state=None, clock=clock, site="s") as out:
        await out.send([archived(1, clock)])
        clock.advance(DAY)
        clock.ages.look()
        clock.jump(jump)
        await out.send([archived(2, clock)])
        clock.advance(65)
        await out.send([archived(3, clock)])
        clock.jump(-jump)
        clock.advance(5 * DAY)
        await out.send([archived(4, clock)])
        assert left() == [1, 2, 3, 4]
        clock.advance(DAY + 61)
        await out.send([archived(5, clock)])
        assert left() == [2, 3, 4, 5]
        clock.advance(DAY)
        await out.send([archived(6, clock)])
        assert left() == [4, 5, 6]


# --- the event ------------------------------------------------------------------------------------------------------


async def test_a_jump_in_either_direction_is_one_event_with_both_times(tmp_path: Path, jump: float) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as spool:
        announcer = announcer_of(spool, clock)
        await announcer.flush()
        await look(spool, clock, 5)
        before = clock.now()
        clock.jump(jump)
        for _ in range(3):
            await look(spool, clock)
            await announcer.flush()
        [event] = await stored(spool, "pump.clock.jumped")
        # the spool's upkeep may have seen it a second before
        assert datetime.fromisoformat(event["before"]) - before <= timedelta(seconds=1)
        assert event["by_s"] == pytest.approx(jump, abs=0.01)
        after = datetime.fromisoformat(event["after"]) - datetime.fromisoformat(event["before"])
        assert after.total_seconds() == pytest.approx(jump, abs=0.01)


async def test_a_clock_that_is_mended_by_a_minute_is_no_event(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as spool:
        announcer = announcer_of(spool, clock)
        for seconds in (59, -59):
            await announcer.flush()
            clock.jump(seconds)
        await announcer.flush()
        assert await stored(spool, "pump.clock.jumped") == []


async def test_a_machine_that_slept_is_one_jump(tmp_path: Path) -> None:
    """Monotonic time stands still meanwhile, as Linux's does."""

    clock = ManualClock()
    async with opened(tmp_path, clock) as spool:
        await put(spool, clock, 0)
        announcer = announcer_of(spool, clock)
        await announcer.flush()
        clock.jump(8 * 3600)
        for _ in range(3):
            await announcer.flush()
            await look(spool, clock)
        [event] = await stored(spool, "pump.clock.jumped")
        assert event["by_s"] == 8 * 3600


async def test_a_clock_that_went_back_while_the_pump_was_down_is_one_event_over_restarts(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    async with opened(tmp_path, clock) as spool:
        await put(spool, clock, 0)
    for minutes in (1, 2, 3):
        clock = ManualClock(BOOT + timedelta(minutes=minutes))
        async with opened(tmp_path, clock) as spool:
            await announcer_of(spool, clock).flush()
            [event] = await stored(spool, "pump.clock.jumped")
            assert event["before"] == "2026-11-20T08:00:00Z"
            assert event["after"] == "1970-01-01T00:02:00Z"


async def test_a_jump_that_another_command_found_is_told_by_the_daemon(tmp_path: Path) -> None:
    """`pump dead` opens the spool too, and announces nothing."""

    clock = ManualClock(NOW)
    async with opened(tmp_path, clock) as spool:
        await put(spool, clock, 0)
    async with opened(tmp_path, ManualClock(BOOT)):
        pass
    clock = ManualClock(BOOT + timedelta(minutes=2))
    async with opened(tmp_path, clock) as spool:
        await announcer_of(spool, clock).flush()
        assert len(await stored(spool, "pump.clock.jumped")) == 1


# --- gaps -----------------------------------------------------------------------------------------------------------


async def test_a_gap_that_began_in_1970_is_told_by_the_mended_clock(tmp_path: Path) -> None:
    clock = ManualClock(BOOT)
    async with opened(tmp_path, clock) as spool:
        intake, lapse = intake_of(spool, clock, "gate"), OutageTracker(clock)
        lapse.heard(1.0)
        await look(spool, clock, 300)
        clock.jump((NOW - clock.now()).total_seconds())
        await look(spool, clock, 60)
        gap = lapse.over()
        assert gap is not None
        await intake.gap(*gap)
        [event] = await stored(spool, "pump.gap")
        assert (event["from"], event["to"]) == ("2026-11-20T07:55:00.000Z", "2026-11-20T08:01:00.000Z")


async def test_a_gap_ends_no_earlier_than_it_begins_whatever_the_clock_did(tmp_path: Path, jump: float) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as spool:
        gate, lapse = intake_of(spool, clock, "gate"), OutageTracker(clock)
        lapse.heard(1.0)
        gate.activity()
        await look(spool, clock, 30)
    clock = ManualClock(clock.now() + timedelta(seconds=jump))  # and our own downtime
    async with opened(tmp_path, clock) as spool:
        gate = intake_of(spool, clock, "gate")
        assert gate.last_activity is not None
        await gate.gap(gate.last_activity, clock.now(), "the pump was not running")
        announcer_of(spool, clock).gap(gate.last_activity, "the spool was damaged", 1)
        clock.jump(-jump)
        again = gate.last_activity
        await gate.gap(again, clock.now(), "the link was cut")
        for event in await stored(spool, "pump.gap"):
            assert event["from"] <= event["to"]


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
async def test_a_gap_over_a_boot_in_1970_begins_with_the_last_sign_of_life(tmp_path: Path, killed: bool) -> None:
    clock = ManualClock(NOW)
    async with opened(tmp_path, clock) as spool:
        gate = intake_of(spool, clock, "gate")
        await look(spool, clock)
        note = spool.state("pump", "time")["time"]
        await look(spool, clock, 300)
        gate.activity()
        alive = clock.now()
    if killed:
        forget_the_stop(tmp_path, note)
    clock = ManualClock(BOOT)
    async with opened(tmp_path, clock) as spool:
        gate = intake_of(spool, clock, "gate")
        assert gate.last_activity == alive
        await look(spool, clock, 300)
        clock.jump((NOW - BOOT).total_seconds() + 3600)
        await look(spool, clock)
        await gate.gap(alive, clock.now(), "the pump was not running")
        [event] = await stored(spool, "pump.gap")
        assert datetime.fromisoformat(event["from"]) == alive
        assert datetime.fromisoformat(event["to"]) == clock.now()


async def test_when_removed_events_arrived_is_told_by_the_clock_of_now(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock, retention="1d") as spool:
        await put(spool, clock, 0)
        await look(spool, clock, 61)
        await put(spool, clock, 64)
        await look(spool, clock, 61)
        clock.jump(-10 * DAY)
        await days(spool, clock, 2)
        assert spool.floor == 128
        begin, end = await spool.span(65, 128)
        assert begin is None or begin <= end
        assert end == clock.now_ms()


# --- logins, give-ups, silence --------------------------------------------------------------------------------------


async def test_a_rejected_password_is_tried_no_sooner_for_a_clock_that_is_ahead(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    async with opened(tmp_path, clock) as spool:
        state = LoginLockout(clock, ("u", "p")).note("rejected", 1800.0)
        await spool.append((), source="gate", state=state)
    for at in (NOW + timedelta(days=3650), BOOT):
        clock = ManualClock(at)
        async with opened(tmp_path, clock) as spool:
            after = LoginLockout(clock, ("u", "p"))
            after.load(spool.state("gate"))
            assert 1800.0 - LEAST < after.left <= 1800.0
    clock = ManualClock()
    clock.ages.look()
    one = LoginLockout(clock, ("u", "p"))
    state = one.note("rejected", 1800.0)
    clock.advance(100)
    clock.jump(-DAY)
    other = LoginLockout(clock, ("u", "p"))
    other.load(state)
    assert one.left == pytest.approx(1700.0)
    assert other.left == pytest.approx(1700.0, abs=0.01)


async def test_a_webhook_gives_up_nothing_early_for_a_clock_that_jumps_or_starts_ahead(
    tmp_path: Path, jump: float
) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as spool:
        one = Record(1, "gate", "vehicle.passed", 0, clock.now_ms(), b"{}")
        patience = ExpiryPolicy(3600.0, 1, clock=clock, state=None)
        patience.failed([one], suspects_body=False)
        await look(spool, clock, 60)
        clock.jump(jump)
        assert patience.expired([one]) == []
        clock.jump(-jump)
        clock.advance(1)
        state = patience.memory()
    clock = ManualClock(NOW + timedelta(seconds=jump))
    async with opened(tmp_path, clock):
        patience = ExpiryPolicy(3600.0, 1, clock=clock, state=state)
        clock.advance(120)
        patience.failed([one], suspects_body=False)
        assert patience.expired([one]) == []
        clock.advance(3600)
        assert patience.expired([one]) == [one]


async def test_a_sink_s_delay_is_the_time_that_passed(tmp_path: Path, jump: float) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as spool:

        async def lost(*_: object) -> None:
            raise AssertionError

        sinks = HangingSinks()
        around = Surroundings(spool, clock, Metrics(), "s", lost)
        delivery = Delivery(around, sinks, "out", SinkSettings(type="test"), Component("sink out", clock))
        await spool.append(rows(1, 1, recorded=clock.now_ms()), source="teams")
        spool.set_cursor("out", 0, None)
        running = asyncio.create_task(delivery.run(), name="delivery")
        await sinks.called(1)
        clock.advance(7)
        clock.jump(jump)
        assert delivery.delay_s == pytest.approx(7, abs=0.01)
        running.cancel()
        await asyncio.wait({running})
