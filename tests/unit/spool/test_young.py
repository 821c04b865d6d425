"""Keys of rows without a time: appended by each commit, looked for in memory, moved among all others in their order."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pump.core.clock import Clock
from pump.spool import Receipt, Row, RowRefused, Spool, SpoolSettings, offline, retention, schema, statements
from pump.spool.damage.checks import with_checksum
from pump.spool.statements import Group
from pump.spool.tables import young
from pump.spool.tables.fetches import result_id
from pump.spool.types import Link
from pump.telemetry.metrics import Metrics
from pump.testing.clock import ManualClock
from tests.unit.spool.conftest import Opener, rows

MOST = 40


def untimed(
    first: int, count: int, *, stranger: bool = False, source: str = "gate", recorded: int | None = None
) -> list[Row]:
    """Rows whose identity has no time, their ids in no order."""
    return [
        replace(row, dedup_time_ms=0, id=f"{hash_of(n):016x}-{n}", stranger=stranger)
        for n, row in enumerate(rows(first, count, source=source, recorded=recorded), first)
    ]


def hash_of(number: int) -> int:
    """A number far from that of its neighbour."""
    return number * 0x9E3779B97F4A7C15 % (1 << 64)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few keys begin a move."""
    monkeypatch.setattr(young, "MOST", MOST)


def counts(folder: Path) -> tuple[int, int]:
    """The number of keys in `keys`, and in rows of `young`."""
    with closing(sqlite3.connect(f"{(folder / 'spool.db').as_uri()}?mode=ro", uri=True)) as db:
        (merged,) = db.execute("SELECT count(*) FROM keys").fetchone()
        (waiting,) = db.execute("SELECT count(*) FROM young, json_each(CAST(keys AS TEXT))").fetchone()
        return merged, waiting


async def in_memory(spool: Spool) -> int:
    """The number of keys there."""
    (count,) = await spool._writer.run(lambda db: db.execute("SELECT count(*) FROM unmerged").fetchone())
    return int(count)


# --- where a duplicate is found ---------------------------------------------------------------------------------------


async def test_a_redelivery_is_found_wherever_its_key_lies(opened: Opener, tmp_path: Path, few: None) -> None:
    folder, clock = tmp_path / "spool", ManualClock()
    made = partial(untimed, recorded=clock.now_ms())
    async with opened(clock) as spool:
        group = made(0, 10)
        assert await spool.append([*group, *group[3:5]], source="gate") == Receipt(10, 2)
        assert await spool.append(group, source="gate") == Receipt(0, 10)
        assert counts(folder) == (0, 10)
        for first in range(10, 70, 10):  # the move has begun and is under way
            assert await spool.append(made(first, 10), source="gate") == Receipt(10, 0)
        await spool.flush()
        merged, waiting = counts(folder)
        assert 0 < merged < 70
        assert waiting == 70
        assert await spool.append(made(0, 80), source="gate") == Receipt(10, 70)
    async with opened(clock) as spool:  # the half that is moved lies in both places
        assert await spool.append(made(0, 80), source="gate") == Receipt(0, 80)
        for first in range(80, 400, 10):
            assert await spool.append(made(first, 10), source="gate") == Receipt(10, 0)
            assert await spool.append(made(0, first + 10), source="gate") == Receipt(0, first + 10)
            assert await in_memory(spool) <= 2 * MOST
        merged, waiting = counts(folder)
        assert merged > 300
        assert waiting <= 4 * MOST
    assert [row.seq for row in offline.events(folder)] == sorted({row.seq for row in offline.events(folder)})


async def test_a_move_ends_where_nothing_more_comes(opened: Opener, tmp_path: Path, few: None) -> None:
    """Else those of a pump that is started anew each day would grow without end."""
    clock = ManualClock()
    async with opened(clock) as spool:
        await spool.append(untimed(0, MOST, recorded=clock.now_ms()), source="gate")
        async with asyncio.timeout(30):
            while counts(tmp_path / "spool") != (MOST, 0):
                clock.advance(retention.TICK)
                await spool.flush()
        assert await in_memory(spool) == 0


async def test_a_move_for_which_the_disk_has_no_room_keeps_no_event_from_its_end(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What removing old events frees is what the move waits for."""
    clock, count = ManualClock(), 2000
    monkeypatch.setattr(young, "MOST", count)
    monkeypatch.setattr(retention, "MOVES", 1)
    async with opened(clock, retention="1h") as spool:
        await spool.append(untimed(0, count - 1, recorded=clock.now_ms()), source="gate")
        (pages,) = await spool._writer.run(lambda db: db.execute("PRAGMA page_count").fetchone())
        await spool._writer.run(lambda db: db.execute(f"PRAGMA max_page_count={pages + 2}"))  # one event, and no move
        await spool.append(untimed(count - 1, 1, recorded=clock.now_ms()), source="gate")
        clock.advance(7200.0)
        async with asyncio.timeout(30):
            while spool.floor < count:
                clock.advance(retention.TICK)
                await asyncio.sleep(0)
        await spool._writer.run(lambda db: db.execute("PRAGMA max_page_count=1000000"))
        async with asyncio.timeout(30):
            while spool.refusing:
                clock.advance(retention.TICK)
                await asyncio.sleep(0)
        assert await spool.append(untimed(count - 1, 2, recorded=clock.now_ms()), source="gate") == Receipt(1, 1)


async def test_rows_with_and_without_a_time_share_a_commit(opened: Opener, tmp_path: Path) -> None:
    mixed = [row for pair in zip(rows(0, 5, source="gate"), untimed(5, 5), strict=True) for row in pair]
    same = [replace(row, dedup_time_ms=7) for row in untimed(5, 5)]  # the same ids with a time are others
    async with opened() as spool:
        assert await spool.append([*mixed, *mixed], source="gate") == Receipt(10, 10)
        assert await spool.append([*mixed, *same, *mixed], source="gate") == Receipt(5, 20)
        assert [record.body for record in await spool.read(0)] == [row.body for row in (*mixed, *same)]
        assert counts(tmp_path / "spool") == (10, 5)


@pytest.mark.parametrize("first", [True, False], ids=["a stranger first", "known first"])
async def test_a_device_that_changes_sides_is_found_all_the_same(opened: Opener, few: None, first: bool) -> None:
    async with opened() as spool:
        assert await spool.append(untimed(0, 30, stranger=first), source="gate") == Receipt(30, 0)
        assert await spool.append(untimed(0, 30, stranger=not first), source="gate") == Receipt(0, 30)
    async with opened() as spool:
        assert await spool.append(untimed(0, 31, stranger=not first), source="gate") == Receipt(1, 30)
        for number in range(100, 400, 20):
            await spool.append(untimed(number, 20, stranger=number % 40 == 0), source="gate")
        assert await spool.append(untimed(0, 31, stranger=first), source="gate") == Receipt(0, 31)


async def test_strangers_keys_go_with_their_events(opened: Opener, tmp_path: Path, few: None) -> None:
    folder = tmp_path / "spool"
    for merged in (False, True):
        first = 1000 * merged
        async with opened() as spool:
            await spool.append(untimed(first, 30, stranger=True), source="gate")
            for number in range(200 + first, (200 + 400 * merged) + first, 20):
                await spool.append(untimed(number, 20), source="gate")
            assert (counts(folder)[0] > 0) == merged
            await spool._writer.run(lambda db: statements.evict(db, holding=1 << 20, most=0, holes=[], passed=0))
            gone = untimed(first, 15)
            assert await spool.append(gone, source="gate") == Receipt(15, 0)
        async with opened() as spool:  # nor are the others there again
            assert await spool.append(untimed(first, 30), source="gate") == Receipt(15, 15)


async def test_a_row_that_is_refused_leaves_no_key(opened: Opener) -> None:
    async with opened() as spool:
        good = untimed(0, 3)
        bad = replace(untimed(3, 1)[0], type="\ud800")  # its key could be stored
        with pytest.raises(RowRefused):
            await spool.append([*good, bad], source="gate")
        assert await in_memory(spool) == 3
        assert await spool.append(untimed(0, 4), source="gate") == Receipt(1, 3)


async def test_a_link_whose_picture_is_there_is_not_asked_again(opened: Opener, few: None) -> None:
    (row,) = untimed(0, 1)
    row.links = [Link(f"{row.id}/0", "https://a.example/x.jpg", 0)]
    stored = replace(row, id=result_id(f"{row.id}/0", stored=True), links=[], settles=f"{row.id}/0")
    async with opened() as spool:
        await spool.append([row], source="gate")
        await spool.append([stored], source="gate")
        assert await spool.append([row], source="gate") == Receipt(0, 1)
        assert len(spool.fetches) == 0


@pytest.mark.parametrize("moved", [False, True])
async def test_a_medium_is_found_by_its_key(opened: Opener, tmp_path: Path, few: None, moved: bool) -> None:
    (row,) = untimed(0, 1)
    name = f"{row.id}/0"
    row.body = b'{"data":{"media":[{"id":"%s","path":"a/b.jpg"}]}}' % name.encode()
    async with opened() as spool:
        await spool.append([row], source="gate")
        for first in range(100, 200 if moved else 100, 20):
            await spool.append(untimed(first, 20), source="gate")
        found = offline.find_medium(tmp_path / "spool", name)
        assert found is not None
        assert found["path"] == "a/b.jpg"
        assert offline.find_medium(tmp_path / "spool", "nobody/0") is None


# --- by the statements ------------------------------------------------------------------------------------------------


class Copied(sqlite3.Connection):
    """Calls `before` in front of each statement, as a kill at that moment finds the files."""

    before: Callable[[], None] | None = None

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        if self.before is not None:
            self.before()
        return super().execute(sql, values)


def connect(path: Path) -> Copied:
    """As the writer does."""
    db = sqlite3.connect(path, isolation_level=None, factory=Copied)
    for pragma in ("page_size=16384", "journal_mode=WAL", "wal_autocheckpoint=0", "temp_store=MEMORY"):
        db.execute(f"PRAGMA {pragma}").fetchall()
    schema.create(with_checksum(db), known=schema.VERSION)
    statements.load(db, 0)
    return db


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Copied]:
    with closing(connect(tmp_path / "spool.db")) as made:
        yield made


def merge(db: sqlite3.Connection, count: int, through: int) -> int:
    """A whole move; the number of its steps."""
    above: young.Key | int = young.FIRST
    steps = 0
    while not isinstance(above, int):
        above = statements.merge_young(db, above=above, count=count, through=through)
        steps += 1
    assert above == db.execute("SELECT count(*) FROM unmerged").fetchone()[0]
    return steps


def test_killed_anywhere_in_a_move_all_keys_are_known(db: Copied, tmp_path: Path) -> None:
    for first in (0, 10, 20):
        statements.commit(db, Group(untimed(first, 10, stranger=first == 10)), first + 1)
    statements.commit(db, Group(rows(30, 5)), 31)
    copies: list[Path] = []

    def copy() -> None:
        copies.append(tmp_path / f"copy-{len(copies)}")
        copies[-1].mkdir()
        for name in ("spool.db", "spool.db-wal"):
            shutil.copyfile(tmp_path / name, copies[-1] / name)

    db.before = copy
    assert merge(db, 12, 35) == 3
    copy()
    db.before = None
    assert len(copies) > 25
    seen = set()
    for place in copies:
        with closing(connect(place / "spool.db")) as found:
            seen.add((found.execute("SELECT count(*) FROM keys").fetchone(), young.load(found)))
            assert statements.commit(found, Group([*untimed(0, 30), *rows(30, 5)]), 100) == []
            merge(found, 7, 200)
            assert found.execute("SELECT count(*) FROM keys").fetchone() == (35,)
            assert young.load(found) == 0
            assert statements.commit(found, Group([*untimed(0, 30), *rows(30, 5)]), 200) == []
    assert seen == {((5,), 30), ((17,), 30), ((29,), 30), ((35,), 0)}


@pytest.mark.parametrize("failing", range(2, 12))
def test_a_commit_or_a_move_that_fails_leaves_what_was_there(db: Copied, failing: int) -> None:
    statements.commit(db, Group(untimed(0, 20)), 1)
    for work in (
        lambda: statements.commit(db, Group(untimed(10, 20)), 21),
        lambda: statements.merge_young(db, above=young.FIRST, count=8, through=20),
        lambda: statements.merge_young(db, above=young.FIRST, count=99, through=20),
    ):
        left = failing

        def fail() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise sqlite3.OperationalError("database or disk is full")

        db.before = fail
        with suppress(sqlite3.OperationalError):
            work()
        db.before = None
        assert not db.in_transaction
    # Whatever failed: nothing twice, nothing forgotten.
    found = statements.commit(db, Group(untimed(0, 40)), 41)
    assert len(found) in (10, 20)
    merge(db, 5, 200)
    assert db.execute("SELECT count(*) FROM keys").fetchone() == (40,)


def test_a_commit_writes_few_pages_whatever_lies_behind(tmp_path: Path) -> None:
    """With a page for each key it would be some thirty more."""
    with closing(connect(tmp_path / "spool.db")) as db:
        wal = tmp_path / "spool.db-wal"
        for first in range(0, 20_000, 500):
            statements.commit(db, Group(untimed(first, 500)), first + 1)
        merge(db, 500, 20_000)
        assert db.execute("SELECT count(*) FROM keys").fetchone() == (20_000,)
        statements.commit(db, Group(untimed(20_000, 33)), 20_001)
        before = wal.stat().st_size
        statements.commit(db, Group(untimed(20_033, 33)), 20_034)
        assert (wal.stat().st_size - before) // 16384 <= 8, "blocks, young, and of both what is full or was free"
        before = wal.stat().st_size
        merge(db, 99, 20_066)
        assert (wal.stat().st_size - before) // 16384 <= 66 + 4


def test_receipts_are_those_of_one_table(tmp_path: Path) -> None:
    """Random puts, redeliveries, moves and starts, beside a set of all keys."""
    for seed in range(2):
        chance = random.Random(seed)
        path = tmp_path / str(seed) / "spool.db"
        path.parent.mkdir()
        db, known, first = connect(path), set[tuple[int, str, str]](), 1
        above: young.Key | int = young.FIRST
        through = 0
        for _ in range(120):
            group = [
                replace(
                    untimed(number, 1, source=chance.choice(["gate", "yard"]))[0],
                    stranger=strange, dedup_time_ms=chance.choice([0, 0, 0, 5, -1]),
                )
                for strange in (False, True)
                for number in chance.choices(range(300), k=chance.choice([0, 1, 2, 9]))
            ]  # fmt: skip
            records = statements.commit(db, Group(group), first)
            wanted = []
            for seq, row in enumerate(group, first):
                if (key := (row.dedup_time_ms, row.source, row.id)) not in known:
                    known.add(key)
                    wanted.append((seq, row.source, row.body))
            assert [(record.seq, record.source, record.body) for record in records] == wanted
            first += len(group)
            match chance.randrange(10):
                case 0:
                    db.close()
                    db, above = connect(path), young.FIRST
                case 1 | 2 | 3 | 4:
                    place = young.FIRST if isinstance(above, int) else above
                    through = first - 1 if place == young.FIRST else through
                    above = statements.merge_young(db, above=place, count=chance.choice([1, 3, 20]), through=through)
        (count,) = db.execute("SELECT count(*) FROM (SELECT * FROM keys UNION SELECT 0, * FROM unmerged)").fetchone()
        assert count == len(known)
        db.close()


# --- what a start finds -----------------------------------------------------------------------------------------------


async def open_(folder: Path) -> Spool:
    return await Spool.open(folder, SpoolSettings(), clock=Clock(), metrics=Metrics())


async def filled(folder: Path) -> None:
    """A spool with thirty young keys in three rows, ten of them a stranger's too."""
    spool = await open_(folder)
    for first in (0, 10, 20):
        await spool.append(untimed(first, 10), source="gate")
    await spool.append(untimed(30, 10, stranger=True), source="gate")
    await spool.close()


def change(folder: Path, *statements_: str) -> None:
    with closing(sqlite3.connect(folder / "spool.db", isolation_level=None)) as db:
        for statement in statements_:
            db.execute(statement)


@pytest.mark.parametrize(
    "damage",
    [
        "keys = CAST(replace(CAST(keys AS TEXT), 'gate', 'gaTe') AS BLOB)",
        "keys = x'5b5b30'",
        "keys = 7",
        "keys = 'text'",
        "crc = NULL",
        "last = 12",
    ],
)
async def test_a_damaged_row_costs_its_own_keys_and_is_reported(tmp_path: Path, damage: str) -> None:
    await filled(tmp_path)
    change(tmp_path, f"UPDATE young SET {damage} WHERE last = 20")
    spool = await open_(tmp_path)
    assert spool.repaired is not None
    assert "1 of young" in spool.repaired.reason
    assert spool.repaired.lost == 0
    assert await spool.append(untimed(0, 40), source="gate") == Receipt(10, 30)
    await spool.close()


async def test_a_salvage_carries_young_keys_over(tmp_path: Path) -> None:
    await filled(tmp_path)
    (tmp_path / "spool.damaged").touch()
    spool = await open_(tmp_path)
    assert spool.repaired is not None
    assert (spool.repaired.lost, spool.repaired.carried) == (0, 40)
    assert await spool.append(untimed(0, 41), source="gate") == Receipt(1, 40)
    await spool.close()
    assert counts(tmp_path) == (40, 1)


@pytest.mark.parametrize("last", [20, 40], ids=["a known device's", "a stranger's"])
async def test_events_that_a_salvage_lost_are_no_redeliveries(tmp_path: Path, last: int) -> None:
    await filled(tmp_path)
    change(tmp_path, f"DELETE FROM blocks WHERE last = {last}")
    (tmp_path / "spool.damaged").touch()
    spool = await open_(tmp_path)
    assert spool.repaired is not None
    assert (spool.repaired.lost, spool.repaired.carried) == (10, 30)
    assert await spool.append(untimed(0, 40), source="gate") == Receipt(10, 30)
    await spool.close()


async def test_a_damaged_definition_has_the_file_salvaged(tmp_path: Path) -> None:
    await filled(tmp_path)
    change(tmp_path, "ALTER TABLE young RENAME TO yonug")
    spool = await open_(tmp_path)
    assert spool.repaired is not None
    assert "definitions" in spool.repaired.reason
    assert "left out: what could not be read of young" in spool.repaired.reason
    assert spool.repaired.carried == 40
    await spool.close()


async def test_keys_of_version_3_go_on_where_they_lie(tmp_path: Path) -> None:
    """Strangers' too, which have no number there and are not moved again."""
    await filled(tmp_path)
    change(
        tmp_path,
        f"INSERT INTO keys SELECT 0, source, id, seq FROM ({young.KEPT})",
        "UPDATE strangers SET keys = (SELECT CAST(json_group_array(json_array(0, value ->> 1, value ->> 2)) AS BLOB)"
        " FROM json_each(CAST(strangers.keys AS TEXT)))",
        "UPDATE strangers SET crc = NULL",
        "DROP TABLE young",
        "PRAGMA user_version=3",
    )
    with closing(with_checksum(sqlite3.connect(tmp_path / "spool.db", isolation_level=None))) as db:
        db.execute("UPDATE strangers SET crc = row_crc(last, first, events, bytes, CAST(keys AS BLOB))")
    (tmp_path / "spool.schema").unlink()
    assert (
        offline.find_medium(tmp_path, "nobody/0") is None
    )  # as `pump events` is, it is read before the daemon's start
    spool = await open_(tmp_path)
    assert spool.repaired is None
    assert await in_memory(spool) == 0
    assert await spool.append(untimed(0, 41), source="gate") == Receipt(1, 40)
    await spool._writer.run(lambda db: statements.evict(db, holding=1 << 20, most=0, holes=[], passed=0))
    assert await spool.append(untimed(29, 12), source="gate") == Receipt(10, 2)
    await spool.close()
    assert counts(tmp_path) == (30, 11)


async def test_old_keys_are_swept_once_they_have_moved(opened: Opener, tmp_path: Path, few: None) -> None:
    """A key that waits stays longer, and no longer than until others have come."""
    async with opened() as spool:
        for first in range(0, 400, 20):
            await spool.append(untimed(first, 20), source="gate")
        merged, _ = counts(tmp_path / "spool")
        waiting = await in_memory(spool)

        def sweep(db: sqlite3.Connection) -> None:
            statements.prune_keys(db, above=statements.FIRST_KEY, through=200)

        await spool._writer.run(sweep)
        left = counts(tmp_path / "spool")[0]
        assert merged - 200 <= left < merged
        receipt = await spool.append(untimed(200, 200), source="gate")
        assert receipt == Receipt(0, 200)
        assert (await spool.append(untimed(0, 200), source="gate")).stored >= 200 - waiting
