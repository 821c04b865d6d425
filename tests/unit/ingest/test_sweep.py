"""A sweep of a large store: right over several looks, and small in memory however many files there are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from pump.ingest import sweep
from pump.ingest.evictions import SIZE, Evictions
from pump.ingest.files import PART
from pump.ingest.sweep import Sweep
from pump.testing import ManualClock


class Store:
    """Files that are only names: (time, bytes) by path."""

    def __init__(self, clock: ManualClock, count: int, size: int = 100) -> None:
        now = clock.now().timestamp()
        # their names say nothing of their age
        self.files = {f"{number * 7919 % count:06}": (now - count + number, size) for number in range(count)}
        self.gone: list[float] = []
        self.looks = 0
        self.stuck = False

    def look(self) -> Iterator[tuple[float, int, str]]:
        self.looks += 1
        yield from [(when, size, path) for path, (when, size) in sorted(self.files.items())]

    def remove(self, path: Path, when: float) -> bool:
        if self.stuck:
            return False
        self.gone.append(self.files.pop(str(path))[0])
        return True


def test_the_oldest_go_in_order_over_as_many_looks_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "OLDEST", 7)
    clock = ManualClock()
    store, book = Store(clock, 60), Evictions(clock)
    times = sorted(when for when, _ in store.files.values())
    swept = Sweep(clock, 1e6, store.remove, book).run(store.look, lambda used: used // 2, SIZE)
    assert store.gone == times[:30]
    assert (swept.files, swept.bytes, swept.removed) == (30, 3000, 30)
    assert book.counts == {"size": 30}
    assert store.looks == 5


def test_what_is_too_old_goes_whatever_else_there_is_and_what_is_being_written_stays() -> None:
    clock = ManualClock()
    store, book = Store(clock, 50), Evictions(clock)
    now = clock.now().timestamp()
    store.files |= {f"young{PART}": (now - 1, 40), f"old{PART}": (now - 999, 40)}
    swept = Sweep(clock, 20.0, store.remove, book).run(store.look, lambda used: 0, SIZE)
    assert set(store.files) == {f"young{PART}"}
    assert (swept.files, swept.bytes, swept.removed) == (1, 40, 51)
    assert book.counts["unfinished"] == 1
    assert book.counts["age"] + book.counts["size"] == 50
    early = book.take()
    assert early is not None
    assert early.count == book.counts["size"]


def test_files_that_cannot_be_removed_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "OLDEST", 7)
    clock = ManualClock()
    store = Store(clock, 60)
    store.stuck = True
    swept = Sweep(clock, 20.0, store.remove, Evictions(clock)).run(store.look, lambda used: 0, SIZE)
    assert (swept.files, swept.bytes, swept.removed, store.looks) == (60, 6000, 0, 1)


def test_it_remembers_few_of_many_files() -> None:
    clock = ManualClock()
    now = clock.now().timestamp()
    count = 30_000

    def look() -> Iterator[tuple[float, int, str]]:
        for number in range(count):
            yield now - number % 1000, 100, f"/var/lib/pump/media/{number % 256:02x}/{number:064x}"

    made = Sweep(clock, 1e6, lambda path, when: False, Evictions(clock))
    tracemalloc.start()
    try:
        swept = made.run(look, lambda used: used, SIZE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert swept.files == count
    assert peak < 2 << 20, "all of them would be 12 MiB"
