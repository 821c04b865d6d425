"""Statements of many rows: of few sizes, and none keeps more than its share of what it was given."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from pump.core.event import Sighting
from pump.spool import schema
from pump.spool.damage.checks import with_checksum
from pump.spool.gaps import sightings
from pump.spool.rows import BYTES, LARGEST, bounded_parts, filled_parts, parts
from pump.spool.statements import Group, commit, store_state
from pump.spool.tables import dead_letters, young
from pump.spool.types import Cursor
from pump.testing.records import record
from tests.unit.spool.conftest import rows


class Watched(sqlite3.Connection):
    """Notes the text of each statement, and the bytes that it was given at the most."""

    texts: dict[str, int]

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        given = sum(len(value) for value in values if isinstance(value, str | bytes))
        self.texts[sql] = max(self.texts.get(sql, 0), given)
        return super().execute(sql, values)


@pytest.fixture
def db() -> Iterator[Watched]:
    with closing(sqlite3.connect(":memory:", isolation_level=None, factory=Watched)) as db:
        db.texts = {}
        schema.create_empty(with_checksum(db))
        young.load(db)
        db.texts = {}
        yield db


@pytest.mark.parametrize("size", [0, 1, 2, 3, 15, 16, 30, 33, 100, 448, 500, 512, 513, 1012, 2048])
def test_filled_parts_hold_every_row_and_few_twice(size: int) -> None:
    found = list(filled_parts(list(range(size))))
    assert list(dict.fromkeys(row for part in found for row in part)) == list(range(size))
    assert all(len(part) & (len(part) - 1) == 0 and len(part) <= LARGEST for part in found)
    assert sum(map(len, found)) <= size + size // 8
    assert len(found) <= len(list(parts(range(size))))


@pytest.mark.parametrize(("size", "most"), [(1, 1), (30, 1), (500, 1), (1000, 2)])
def test_a_commit_finds_redeliveries_by_few_statements(db: Watched, size: int, most: int) -> None:
    given: list[str] = []
    db.set_trace_callback(lambda sql: given.append(sql[:26]))
    assert len(commit(db, Group(rows(1, size)), 1)) == size
    assert given.count("INSERT OR IGNORE INTO keys") == most
    assert db.execute("SELECT count(*), max(seq) FROM keys").fetchone() == (size, size)


@pytest.mark.parametrize(("size", "most"), [(1, 1), (60, 4), (1000, 6)])
def test_pieces_of_state_are_removed_by_few_statements(db: Watched, size: int, most: int) -> None:
    keys = [(source, f"key{n}") for source in ("teams", "gate") for n in range(size + 1)]
    store_state(db, dict.fromkeys(keys, 1))
    given: list[str] = []
    db.set_trace_callback(lambda sql: given.append(sql[:6]))
    store_state(db, {key: None for key in keys if key[1] != f"key{size}"} | {("other", "key0"): None, keys[-1]: 2})
    assert given.count("DELETE") <= 2 * most + 1
    kept = [(source, f"key{size}", value) for source, value in (("gate", "2"), ("teams", "1"))]
    assert db.execute("SELECT source, key, value FROM state").fetchall() == kept


def test_batches_of_every_size_are_served_by_statements_of_few(db: Watched) -> None:
    sizes, first = [*range(1, 140), 200, 255, 256, 300, 511, 513, 700], 1
    for size in sizes:
        new = commit(db, Group(rows(first, size)), first)
        assert [each.seq for each in new] == list(range(first, first + size))
        assert commit(db, Group(rows(first, size)), first + size) == []  # all are asked for their survivors
        dead_letters.add(db, sink="hook", records=new, reasons={each.seq: "no" for each in new}, attempts=1, at=5)
        numbers = range(first, first + size)
        sightings.add(db, [(seq, "teams", "k", "log", f"id{seq}", "", seq) for seq in numbers])
        found = sightings.seen(db, source="teams", wanted=[Sighting(seq, "k", "log") for seq in numbers])
        assert sorted(each.id for each in found) == sorted(f"id{seq}" for seq in numbers)
        store_state(db, {("teams", f"key{first + place}"): place for place in range(size)})
        first += size
    powers = LARGEST.bit_length()
    assert len(db.texts) < 8 * powers, len(db.texts)
    assert db.execute("SELECT count(*) FROM dead").fetchone() == (sum(sizes),)
    assert db.execute("SELECT count(*) FROM sightings").fetchone() == (sum(sizes),)


@pytest.mark.parametrize(("size", "most"), [(1, 1), (60, 1), (500, 1), (1000, 3)])
def test_sightings_of_a_commit_are_stored_by_few_statements(db: Watched, size: int, most: int) -> None:
    made = rows(1, size)
    for row in made:
        row.sightings = (Sighting(row.dedup_time_ms, row.id, "alarm"),)
    given: list[str] = []
    db.set_trace_callback(given.append)
    commit(db, Group(made), 1)
    assert 1 <= sum(sql.startswith("INSERT OR IGNORE INTO sightings") for sql in given) <= most
    found = db.execute("SELECT at, source, key, side, id, twin, seq FROM sightings ORDER BY seq").fetchall()
    assert found == [(r.dedup_time_ms, r.source, r.id, "alarm", r.id, "", seq) for seq, r in enumerate(made, 1)]


def test_no_statement_of_many_rows_is_given_more_than_its_share(db: Watched) -> None:
    value = "v" * 4000
    store_state(db, {("gate", f"device/{number}"): value for number in range(1000)})
    commit(db, Group(rows(1, 600, size=3000), {"out": Cursor(1, {"kept": "y" * 200_000})}), 1)
    letters = [record(seq)._replace(body=b"z" * 100_000) for seq in range(1, 20)]
    dead_letters.add(db, sink="hook", records=letters, reasons={each.seq: "no" for each in letters}, attempts=1, at=5)
    many = {sql: given for sql, given in db.texts.items() if "),(" in sql}
    assert many
    assert max(many.values()) <= BYTES
    assert db.execute("SELECT count(*) FROM state").fetchone() == (1000,)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 511, 512, 513, 1029])
def test_parts_are_all_the_rows_in_order(count: int) -> None:
    some = [(number, "a" * (number % 700)) for number in range(count)]
    for cut in (list(parts(some)), list(bounded_parts(some))):
        assert [row for part in cut for row in part] == some
        assert all(len(part) in {1 << power for power in range(10)} for part in cut)
