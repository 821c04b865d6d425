"""The ledger by itself: windows side by side, catching up, forgetting."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from pump.sinks.tuya import ledger as module
from pump.sinks.tuya.ledger import Ledger
from pump.sinks.tuya.windows import Kind, Window
from pump.testing import ManualClock
from tests.unit.sinks.tuya.lot import HOUR

DAY = 24 * HOUR


class Desk:
    """A ledger, opened again as often as a test likes."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.begin = self.clock.now_ms()
        self.memory: dict[str, Any] = {}
        self.seq = 0
        self.open()

    def open(self, window_ms: int = HOUR, named: tuple[Kind, ...] = ("in",)) -> None:
        self.ledger = Ledger(self.memory, window_ms=window_ms, lag_ms=300_000, named=named, clock=self.clock)

    def count(self, at: int, kind: Kind = "in", arrived: int | None = None) -> str:
        self.seq += 1
        return self.ledger.count(kind, at, self.seq, self.clock.now_ms() if arrived is None else arrived)

    def report(self) -> list[tuple[int, int, dict[Kind, int]]]:
        """Everything that is due is accepted: hours from the beginning, and what was in it."""
        found = []
        while (report := self.ledger.next()) is not None:
            window = report.window
            found.append(((window.start - self.begin) // HOUR, (window.end - window.start) // HOUR, report.counts))
            self.ledger.accepted(report, str(len(found)))
        return found

    def windows(self) -> list[tuple[int, int]]:
        """All that are stored, in hours from the beginning."""
        kept = dict(module.read(self.memory))
        return [((start - self.begin) // HOUR, (kept[start].end - self.begin) // HOUR) for start in sorted(kept)]


def test_windows_that_were_missed_are_due_in_order_with_the_empty_ones_between() -> None:
    desk = Desk()
    desk.count(desk.begin + 5)
    desk.count(desk.begin + 3 * HOUR)
    desk.open()
    desk.clock.advance(5 * 3600 + 300)
    assert desk.report() == [
        (0, 1, {"in": 1}), (1, 1, {"in": 0}), (2, 1, {"in": 0}), (3, 1, {"in": 1}), (4, 1, {"in": 0}),
    ]  # fmt: skip
    assert desk.report() == []
    desk.open()
    assert desk.report() == []


def test_a_bound_belongs_to_the_window_that_begins_there() -> None:
    desk = Desk()
    desk.count(desk.begin + HOUR - 1)
    desk.count(desk.begin + HOUR)
    assert desk.windows() == [(0, 1), (1, 2)]


@pytest.mark.parametrize("hours", [2, 5, 24])
def test_another_length_of_windows_leaves_those_that_are_there_and_none_overlaps(hours: int) -> None:
    desk = Desk()
    desk.count(desk.begin + 1)
    desk.count(desk.begin + 3 * HOUR)
    desk.open(hours * HOUR)
    desk.count(desk.begin + 2)
    desk.count(desk.begin + 2 * HOUR)
    desk.count(desk.begin + 30 * HOUR)
    kept = desk.windows()
    assert {(0, 1), (3, 4)} < set(kept)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(kept))
    desk.clock.advance(80 * 3600)
    reports = desk.report()
    assert sum(counts["in"] for _, _, counts in reports) == 5
    ends = [(start, start + length) for start, length, _ in reports]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(ends)), "without a hole"
    assert max(length for _, length, _ in reports) <= 24


def test_an_event_counts_into_the_window_as_it_was_when_the_report_was_made_and_once_more_after() -> None:
    desk = Desk()
    desk.count(desk.begin)
    desk.clock.advance(3600 + 300)
    report = desk.ledger.next()
    assert report is not None
    desk.count(desk.begin + 1)
    desk.ledger.accepted(report, "1")
    assert desk.ledger.next() is None, "it is not quiet yet"
    assert desk.ledger.wait() <= 30.0
    desk.clock.advance(301)
    assert desk.report() == [(0, 1, {"in": 2})]


def test_an_event_in_a_window_that_is_being_reported_as_empty_is_not_lost() -> None:
    desk = Desk()
    desk.count(desk.begin)
    desk.clock.advance(2 * 3600 + 300)
    first = desk.ledger.next()
    assert first is not None
    desk.ledger.accepted(first, "1")
    empty = desk.ledger.next()
    assert empty is not None
    assert empty.counts == {"in": 0}
    desk.count(desk.begin + HOUR + 7)
    desk.ledger.accepted(empty, "2")
    desk.clock.advance(301)
    assert desk.report() == [(1, 1, {"in": 1})]


def test_a_direction_that_the_table_gets_later_is_reported_from_the_next_window_on() -> None:
    desk = Desk()
    desk.count(desk.begin)
    desk.clock.advance(3600 + 300)
    desk.report()
    desk.open(named=("in", "out"))
    desk.clock.advance(2 * 3600)
    assert desk.report() == [(1, 1, {"in": 0}), (2, 1, {"in": 0, "out": 0})]
    desk.count(desk.begin + 9, "out")
    desk.clock.advance(301)
    assert desk.report() == [(0, 1, {"in": 1, "out": 1})]
    desk.open(named=("in",))
    desk.clock.advance(3600)
    assert desk.report() == [(3, 1, {"in": 0})], "and no more once it has lost it"
    desk.open(named=("in", "out"))
    assert desk.report() == []


def test_a_late_bill_has_no_month_of_zeros_reported() -> None:
    desk = Desk()
    desk.count(desk.begin)
    desk.clock.advance(10 * 3600)
    desk.count(desk.clock.now_ms(), "bill")
    desk.report()
    desk.count(desk.begin + 2 * HOUR, "bill")
    desk.open()
    desk.clock.advance(301)
    assert desk.report() == [(2, 1, {"bill": 1}), (9, 1, {"in": 0})]


def test_accepted_windows_are_kept_for_31_days_and_what_comes_later_is_not_counted() -> None:
    desk = Desk()
    desk.count(desk.begin)
    for _ in range(33 * 2):
        desk.clock.advance(12 * 3600)
        desk.report()
    kept = desk.windows()
    assert len(kept) == pytest.approx(31 * 24, abs=2)
    assert kept[0][0] == pytest.approx(2 * 24, abs=2)
    assert desk.count(desk.begin + 5) == "too late"
    assert desk.count(desk.clock.now_ms() - 30 * DAY) == ""
    desk.open()
    assert desk.count(desk.begin + 5) == "too late"


def test_a_window_that_was_never_accepted_is_not_forgotten() -> None:
    desk = Desk()
    desk.count(desk.begin)
    desk.clock.advance(40 * 86400)
    desk.count(desk.clock.now_ms() - 2 * HOUR)
    assert (0, 1) in desk.windows()
    reports = desk.report()
    assert reports[0] == (0, 1, {"in": 1})
    # of the days without a pump those are caught up with that a lot may still know of
    assert reports[1][0] == pytest.approx(9 * 24, abs=2)
    assert len(reports) == pytest.approx(31 * 24, abs=3)


def test_no_more_windows_are_kept_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 20)
    desk = Desk()
    desk.count(desk.begin)
    for _ in range(50):
        desk.clock.advance(3600)
        desk.report()
    assert len(desk.windows()) == 20
    desk.clock.advance(100 * 3600)
    assert len(desk.report()) == 10, "half as many are caught up with"


def test_a_stored_window_that_cannot_be_read_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    memory = {"window/x": {}, "window/5": 7, "window/10": {"end": 20, "counts": {"in": 1}, "seq": 1, "changed": 15}}
    assert dict(module.read(memory)) == {10: Window(10, 20, {"in": 1}, seq=1, changed=15)}


def test_a_window_is_stored_and_read_alike() -> None:
    window = Window(10, 20, {"in": 2, "bill": 1}, {"in": 2}, {0: "135"}, 7, 15, "code 1109")
    assert Window.of(10, window.json()) == window
