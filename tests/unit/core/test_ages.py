"""How long ago a stamp was given, by a clock that jumps: 1970 and back, years ahead, over restarts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from pump.core.ages import MOST, STEADY, Ages, Jump
from pump.testing import ManualClock

DAY = 86400.0
WEEK = 7 * DAY
_NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
_1970 = (datetime(1970, 1, 1, tzinfo=UTC) - _NOW).total_seconds()


def ms(clock: ManualClock, ago: float = 0.0) -> int:
    return clock.now_ms() - int(ago * 1000)


def is_old(ages: Ages, stamp: int, seconds: float = WEEK) -> bool:
    return any(begin <= stamp < end for begin, end in ages.old(seconds))


def restarted(ages: Ages, *, at: datetime, newest: tuple[int, int] | None = None, head: int = 10) -> ManualClock:
    """The next process, which finds what the one before noted as it closed."""
    note = ages.note(head, now=True)
    return started(note, at=at, newest=newest)


def started(note: Any, *, at: datetime, newest: tuple[int, int] | None = None) -> ManualClock:
    clock = ManualClock(at)
    clock.ages.load(orjson.loads(orjson.dumps(note)), newest)
    return clock


def test_a_clock_that_never_jumps_gives_the_age_by_the_stamp() -> None:
    clock = ManualClock()
    stamp = ms(clock, ago=100)
    assert clock.ages.age(stamp) == 100
    clock.advance(WEEK)
    assert clock.ages.age(stamp) == WEEK + 100
    assert clock.ages.old(WEEK) == [(-(1 << 62), ms(clock, ago=WEEK))]
    assert clock.ages.present(stamp) == stamp
    assert clock.ages.jumps() == []


def test_a_stamp_of_an_unknown_future_has_no_age() -> None:
    clock = ManualClock()
    assert clock.ages.age(ms(clock, ago=-DAY)) is None
    assert not is_old(clock.ages, ms(clock, ago=-DAY))


@pytest.mark.parametrize("jump", [10 * DAY, -10 * DAY, _1970, 3650 * DAY, 61.0, -61.0])
def test_a_jump_ages_nothing_and_makes_nothing_young(jump: float) -> None:
    clock = ManualClock()
    clock.ages.look()
    before = ms(clock)
    clock.advance(DAY)
    clock.ages.look()
    clock.jump(jump)
    after = ms(clock)
    assert clock.ages.age(before) == pytest.approx(DAY, abs=1)
    clock.advance(DAY)
    assert clock.ages.age(after) == pytest.approx(DAY, abs=1)
    clock.advance(WEEK - DAY - 60)
    assert is_old(clock.ages, before)
    assert not is_old(clock.ages, after)
    clock.advance(120)
    assert is_old(clock.ages, after)


@pytest.mark.parametrize("jump", [10 * DAY, 3650 * DAY, -10 * DAY, _1970])
def test_a_clock_that_is_wrong_for_65_seconds_makes_nothing_old(jump: float) -> None:
    clock = ManualClock()
    clock.ages.look()
    stamps = [ms(clock)]
    clock.advance(2 * STEADY)
    stamps.append(ms(clock))
    clock.ages.look()
    clock.jump(jump)
    for _ in range(65):
        stamps.append(ms(clock))
        clock.advance(1)
        assert not any(is_old(clock.ages, stamp) for stamp in stamps)
    clock.jump(-jump)
    stamps.append(ms(clock))
    for _ in range(6):
        clock.advance(DAY)
        assert not any(is_old(clock.ages, stamp) for stamp in stamps)
    clock.advance(DAY + 2 * STEADY)
    assert all(is_old(clock.ages, stamp) for stamp in stamps)


def test_stamps_given_between_a_jump_and_its_discovery_count_from_then() -> None:
    clock = ManualClock()
    clock.advance(2 * STEADY)
    clock.ages.look()
    old = ms(clock)
    clock.jump(-10 * DAY)
    new = ms(clock)
    clock.advance(30)  # nobody looks meanwhile
    for stamp in (old, new):
        age = clock.ages.age(stamp)
        assert age is not None
        assert age <= 31
        assert not is_old(clock.ages, stamp)


def test_each_jump_is_given_once_with_both_times() -> None:
    clock = ManualClock()
    clock.ages.look()
    clock.advance(5)
    expected = ms(clock)
    clock.jump(10 * DAY)
    assert clock.ages.jumps() == [Jump(expected, ms(clock))]
    clock.advance(65)
    assert clock.ages.jumps() == []
    expected = ms(clock)
    clock.jump(-10 * DAY)
    clock.ages.look()
    clock.advance(5)
    assert clock.ages.jumps() == [Jump(expected, expected - int(10 * DAY * 1000))]
    assert clock.ages.jumps() == []


def test_a_minute_is_no_jump_and_many_small_steps_falsify_no_age() -> None:
    clock = ManualClock()
    clock.ages.look()
    stamp = ms(clock)
    for _ in range(100):
        clock.advance(10)
        clock.jump(59)
        clock.ages.look()
    assert clock.ages.jumps() == []
    assert clock.ages.age(stamp) == pytest.approx(1000, abs=3)


@pytest.mark.parametrize(
    "steps", [[1.9], [0.4, 0.4, 0.4], [-1.9], [1.9, -1.9, 1.9], [10, 1.9], [-10, 1.9], [3600, 1.9]]
)
def test_nothing_is_old_that_came_after_a_step_too_small_to_be_noted(steps: list[float]) -> None:
    clock = ManualClock()
    clock.ages.look()
    stamps = [ms(clock)]
    for step in steps:
        clock.jump(step)
        stamps.append(ms(clock))
        clock.ages.look()
        stamps.append(ms(clock))
        clock.advance(0.7)
        stamps.append(ms(clock))
        assert not [stamp for stamp in stamps if is_old(clock.ages, stamp, DAY)]
    clock.advance(DAY - 60)
    assert not [stamp for stamp in stamps if is_old(clock.ages, stamp, DAY)]
    clock.advance(120)
    assert [is_old(clock.ages, stamp, DAY) for stamp in stamps] == [True] * len(stamps)


def test_stamps_of_this_run_are_told_by_the_clock_of_now() -> None:
    clock = ManualClock(datetime(1970, 1, 1, 0, 5, tzinfo=UTC))
    clock.ages.look()
    stamp = ms(clock)
    clock.advance(300)
    clock.jump(-_1970)
    clock.advance(300)
    assert clock.ages.present(stamp) == ms(clock, ago=600)
    assert clock.ages.present(ms(clock, ago=10)) == ms(clock, ago=10)


def test_time_without_the_pump_counts_after_an_hour_without_a_jump() -> None:
    clock = ManualClock()
    stamp = ms(clock)
    later = restarted(clock.ages, at=_NOW + timedelta(weeks=3))
    assert not is_old(later.ages, stamp)
    assert later.ages.age(stamp) == 0
    assert later.ages.age(stamp, down=True) == 3 * WEEK
    own = ms(later)
    later.advance(STEADY - 1)
    assert not is_old(later.ages, stamp)
    assert later.ages.age(own) == later.ages.age(stamp) == STEADY - 1
    later.advance(1)
    assert is_old(later.ages, stamp)
    assert later.ages.age(stamp) == 3 * WEEK + STEADY
    assert later.ages.jumps() == []


def test_a_start_with_a_clock_that_is_ahead_and_mended_within_the_hour_makes_nothing_old() -> None:
    clock = ManualClock()
    before = ms(clock)
    later = restarted(clock.ages, at=_NOW + timedelta(days=10))
    later.advance(300)
    ahead = ms(later)
    later.jump(-10 * DAY)
    later.advance(2 * STEADY)
    assert not is_old(later.ages, before)
    assert not is_old(later.ages, ahead)
    assert later.ages.age(ahead) == pytest.approx(2 * STEADY, abs=1)
    later.advance(WEEK)
    assert is_old(later.ages, before)
    assert is_old(later.ages, ahead)


def test_several_starts_within_the_hour_are_in_doubt_together() -> None:
    clock = ManualClock()
    before = ms(clock)
    first = restarted(clock.ages, at=_NOW + timedelta(days=10))
    first.advance(300)
    ahead = ms(first)
    second = restarted(first.ages, at=first.now() + timedelta(seconds=10), head=11)
    assert second.ages.age(before) == pytest.approx(300, abs=1)
    second.advance(300)
    second.ages.look()
    second.jump(-10 * DAY)
    second.advance(2 * STEADY)
    for stamp in (before, ahead):
        assert not is_old(second.ages, stamp)
        assert second.ages.age(stamp) == pytest.approx(2 * STEADY + 300, abs=301)
    second.advance(WEEK)
    assert is_old(second.ages, before)
    assert is_old(second.ages, ahead)


def test_several_starts_within_the_hour_with_a_right_clock_count_after_it() -> None:
    clock = ManualClock()
    stamp = ms(clock)
    first = restarted(clock.ages, at=_NOW + timedelta(weeks=3))
    first.advance(300)
    second = restarted(first.ages, at=first.now() + timedelta(seconds=10), head=11)
    assert not is_old(second.ages, stamp)
    second.advance(STEADY)
    assert second.ages.age(stamp) == pytest.approx(3 * WEEK + 310 + STEADY, abs=1)


class _Host:
    """A machine with a true time, a clock that is off by `error`, and a pump that is stopped, killed and started."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.true = self.error = 0.0
        self.clock = started(None, at=_NOW)
        self.stamps: list[tuple[float, int]] = []
        self.stored = 0
        self.kept: Any = None
        self.note()

    def note(self, *, now: bool = False) -> None:
        note = self.clock.ages.note(self.stored, now=now)
        self.kept = self.kept if note is None else note

    def run(self, seconds: float) -> None:
        for _ in range(parts := min(40, int(seconds / 600) + 1)):
            self.clock.advance(seconds / parts)
            self.true += seconds / parts
            self.note()

    def put(self) -> None:
        self.stored += 1
        self.stamps.append((self.true, ms(self.clock)))

    def set_clock(self, error: float) -> None:
        self.clock.ages.look()
        self.clock.jump(error - self.error)
        self.error = error
        self.put()
        self.run(1)
        self.put()

    def restart(self) -> None:
        self.set_clock(0.0)
        if self.random.random() < 0.5:
            self.note(now=True)
        self.true += self.random.choice([1, 60, 3600, DAY, 3 * DAY, 3 * WEEK])
        self.error = self.random.choice([0, 0, -20_000 * DAY, 3650 * DAY, 10 * DAY, -40 * DAY])
        at = _NOW + timedelta(seconds=self.true + self.error)
        self.clock = started(self.kept, at=at, newest=(self.stored, self.stamps[-1][1]))
        self.note()
        self.put()
        if self.error:  # NTP mends it within the hour
            self.run(self.random.choice([30, 600, 3000]))
            self.set_clock(0.0)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_clock_does_nothing_is_old_before_its_time(seed: int) -> None:
    host = _Host(seed)
    errors = [0, 10 * DAY, 3650 * DAY, -10 * DAY, -20_000 * DAY, 70, -70, 7200, -7200, 1.9, -1.9]
    for _ in range(40):
        host.random.choice(
            [
                lambda: host.run(host.random.choice([5, 300, 4000, DAY / 2, 2 * DAY])),
                host.put,
                lambda: host.set_clock(host.random.choice(errors)),
                host.restart,
            ]
        )()
        for arrived, stamp in host.stamps:
            age = host.clock.ages.age(stamp)
            assert age is not None
            assert age <= host.true - arrived + 5
            assert not is_old(host.clock.ages, stamp) or host.true - arrived >= WEEK - 5


@pytest.mark.parametrize("away", [_1970, -DAY, 3650 * DAY], ids=["1970", "a day behind", "ten years ahead"])
def test_a_start_with_a_clock_that_is_known_to_be_wrong_counts_no_time_without_the_pump(away: float) -> None:
    clock = ManualClock()
    before = ms(clock)
    later = restarted(clock.ages, at=_NOW + timedelta(seconds=away))
    wrong = ms(later)
    later.advance(300)
    later.ages.look()
    later.jump(-away + 3600)  # the truth: it was off for an hour
    later.advance(2 * STEADY)
    for stamp in (before, wrong):
        assert not is_old(later.ages, stamp)
    later.advance(WEEK)
    for stamp in (before, wrong):
        assert is_old(later.ages, stamp)


def test_a_start_before_the_newest_stored_event_is_a_jump_once_over_restarts() -> None:
    clock = ManualClock()
    note = clock.ages.note(10, now=True)
    newest = ms(clock, ago=-120)  # stored behind the note
    at = _NOW - timedelta(days=3)
    back = started(note, at=at, newest=(12, newest))
    assert back.ages.jumps() == [Jump(newest, ms(back))]
    again = restarted(back.ages, at=at + timedelta(minutes=1), newest=(12, newest), head=12)
    assert again.ages.jumps() == []


def test_a_jump_that_nobody_asked_for_waits_for_the_next_start() -> None:
    clock = ManualClock()
    clock.ages.look()
    clock.jump(DAY)
    clock.ages.look()
    later = restarted(clock.ages, at=_NOW + timedelta(days=1))
    assert len(later.ages.jumps()) == 1
    assert later.ages.jumps() == []


def test_a_spool_without_notes_is_believed_unless_its_newest_event_lies_in_the_future() -> None:
    newest = int(_NOW.timestamp() * 1000)
    clock = started(None, at=_NOW + timedelta(days=1), newest=(10, newest))
    clock.advance(STEADY)
    assert clock.ages.age(newest) == DAY + STEADY
    assert is_old(clock.ages, newest - int(WEEK * 1000))
    clock = started(None, at=datetime(1970, 1, 1, tzinfo=UTC), newest=(10, newest))
    clock.advance(DAY)
    assert clock.ages.age(newest) == DAY
    assert clock.ages.jumps() == [Jump(newest, 0)]


def test_a_first_start_in_1970_does_not_make_what_lies_there_from_before_old() -> None:
    """The spool is new, the archive and the pictures are not."""
    clock = ManualClock(datetime(1970, 1, 1, 0, 1, tzinfo=UTC))
    clock.ages.load(None, None)
    clock.advance(300)
    clock.ages.look()
    clock.jump(-_1970)
    assert not is_old(clock.ages, ms(clock, ago=6 * DAY))
    assert is_old(clock.ages, ms(clock, ago=8 * DAY))


def test_a_kill_between_two_notes_costs_nothing() -> None:
    clock = ManualClock()
    clock.ages.load(None, None)
    note = clock.ages.note(0)
    assert note is not None
    clock.advance(300)
    stamp = ms(clock)
    assert clock.ages.note(5) is None
    later = started(note, at=_NOW + timedelta(seconds=310), newest=(5, stamp))
    later.advance(STEADY)
    assert later.ages.age(stamp) == STEADY + 10


def test_a_clock_that_jumps_without_end_is_remembered_within_bounds() -> None:
    clock = ManualClock()
    clock.ages.look()
    for turn in range(3 * MOST):
        clock.advance(10)
        clock.jump(DAY if turn % 2 else -DAY)
        clock.ages.look()
    stamp = ms(clock)
    note = clock.ages.note(1, now=True)
    assert note is not None
    assert len(note["spans"]) <= MOST
    clock.advance(100)
    assert clock.ages.age(stamp) == 100


def test_a_note_that_cannot_be_read_is_none() -> None:
    notes: list[Any] = [{}, [], 7, {"seen": 1, "wall": "x", "head": 0, "spans": [], "untold": []}]
    for note in notes:
        clock = started(note, at=_NOW, newest=(3, int(_NOW.timestamp() * 1000)))
        assert clock.ages.age(ms(clock, ago=WEEK)) == WEEK
