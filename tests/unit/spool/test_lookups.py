"""Looking for keys and sightings costs what is looked for, however many lie behind: counted in SQLite's own steps."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest

from pump.core.event import Sighting
from pump.spool import Row, schema, statements
from pump.spool.damage.checks import with_checksum
from pump.spool.gaps import sightings
from pump.spool.statements import Group
from pump.spool.tables import young

BEHIND = (1_000, 20_000)
"""Rows behind: a look through all of them would take as many more steps."""


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        schema.create_empty(with_checksum(made))
        young.load(made)
        yield made


def _a_row(number: int, *, timed: bool = True) -> Row:
    return Row("teams", "vehicle.passed", 0, 0, timed and number // 7 + 1, f"{number:032x}", b"{}")


def _sighting(number: int) -> Sighting:
    return Sighting(number // 7, f"g {number:032x} start", "alarm")


def _stored(number: int) -> sightings.Stored:
    at, key, side = _sighting(number)
    return at, "teams", key, side, f"{number:032x}", "", number


def _steps(db: sqlite3.Connection, work: Callable[[], object]) -> int:
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    db.set_progress_handler(step, 10)
    work()
    db.set_progress_handler(None, 0)
    return count


@pytest.mark.parametrize("timed", [True, False], ids=["timed", "young"])
@pytest.mark.parametrize("wanted", [1, 2, 37, 512])
def test_a_redelivery_is_found_without_a_look_at_all_keys(db: sqlite3.Connection, wanted: int, timed: bool) -> None:
    steps = []
    row = partial(_a_row, timed=timed)
    for first, last in zip((0, *BEHIND), BEHIND, strict=False):
        statements._insert(db, Group([row(n) for n in range(first, last)]), first + 1, [])
        again = [(last + 1 + n, row(last - wanted + n)) for n in range(wanted)]
        steps.append(_steps(db, lambda again=again: statements._survivors(db, again)))  # type: ignore[misc]
        assert statements._survivors(db, again) == []
        kept = [(last - wanted + n + 1, each) for n, (_, each) in enumerate(again)]
        assert statements._survivors(db, [*kept, (1 << 40, row(1 << 40))]) == kept
    assert steps[1] <= 1.5 * steps[0]


@pytest.mark.parametrize("wanted", [1, 2, 37, 512])
def test_a_sighting_is_found_without_a_look_at_all_of_them(db: sqlite3.Connection, wanted: int) -> None:
    steps = []
    for first, last in zip((0, *BEHIND), BEHIND, strict=False):
        sightings.add(db, [_stored(n) for n in range(first, last)])
        asked = {_sighting(n) for n in range(last - wanted, last)}
        steps.append(_steps(db, lambda asked=asked: sightings.seen(db, source="teams", wanted=asked)))  # type: ignore[misc]
        found = sightings.seen(db, source="teams", wanted=[*asked, Sighting(0, "g nobody", "alarm")])
        assert {one.sighting for one in found} == asked
        assert not sightings.seen(db, source="other", wanted=asked)
    assert steps[1] <= 1.5 * steps[0]


@pytest.mark.parametrize("gone", [1, 64])
def test_young_keys_are_forgotten_without_a_look_at_all_of_them(db: sqlite3.Connection, gone: int) -> None:
    steps = []
    for first, last in zip((0, *BEHIND), BEHIND, strict=False):
        statements._insert(db, Group([_a_row(n, timed=False) for n in range(first, last)]), first + 1, [])
        keys = [("teams", f"{n:032x}") for n in range(first, first + gone)]
        steps.append(_steps(db, lambda keys=keys: young.forget(db, keys)))  # type: ignore[misc]
        (left,) = db.execute("SELECT count(*) FROM unmerged WHERE seq > ?", (first,)).fetchone()
        assert left == last - first - gone
    assert steps[1] <= 1.5 * steps[0] + 10
