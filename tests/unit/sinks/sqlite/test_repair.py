"""A damaged archive is made anew of what can be read, kept aside, and reported; the sink goes on."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pump.core.clock import Clock
from pump.core.errors import Misconfigured
from pump.core.record import State
from pump.sink import Damage
from pump.sinks.sqlite import repair
from pump.sinks.sqlite.sink import ArchiveDamaged, SqliteSettings, SqliteSink
from pump.testing.records import record
from tests.unit.sinks.sqlite.test_sink import select

EVENTS = 300


def sink(path: Path, state: State | None) -> SqliteSink:
    settings = SqliteSettings.model_validate({"type": "sqlite", "path": str(path)})
    return SqliteSink("archive", settings, state=state, clock=Clock(), site="testing")


async def stored(path: Path, first: int, last: int, state: State | None = None) -> tuple[State | None, Damage | None]:
    async with sink(path, state) as out:
        return await out.send([record(seq) for seq in range(first, last + 1)]), out.damage


def numbers(path: Path) -> set[int]:
    return {int(plate[1:]) for (plate,) in select(path, "SELECT plate FROM events WHERE plate IS NOT NULL")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


async def test_a_damaged_page_costs_what_lies_on_it(path: Path) -> None:
    state, _ = await stored(path, 1, EVENTS)
    data = path.read_bytes()
    place = data.index(record(100).body[:60]) // 4096 * 4096
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xa5" * 4096)
    damaged = path.read_bytes()
    state, damage = await stored(path, EVENTS + 1, EVENTS + 5, state)
    assert damage is not None
    assert damage.carried == EVENTS - damage_of(path)
    assert 0 < damage_of(path) < 20
    assert (path.parent / damage.aside).read_bytes() == damaged, "it is kept as it was found"
    assert set(range(EVENTS + 1, EVENTS + 6)) <= numbers(path)
    _, damage = await stored(path, EVENTS + 6, EVENTS + 6, state)
    assert damage is None


def damage_of(path: Path) -> int:
    return EVENTS - len(numbers(path) & set(range(1, EVENTS + 1)))


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"no database at all" * 1000])
async def test_rubbish_under_our_own_inode_is_set_aside(path: Path, content: bytes) -> None:
    state, _ = await stored(path, 1, 10)
    with path.open("r+b") as file:
        file.truncate()
        file.write(content)
    _, damage = await stored(path, 11, 12, state)
    assert damage is not None
    assert (damage.carried, damage.lost) == (0, 10)
    assert (path.parent / damage.aside).read_bytes() == content
    assert numbers(path) == {11, 12}


async def test_a_file_of_somebody_else_is_left_alone_though_we_had_another_there(path: Path) -> None:
    state, _ = await stored(path, 1, 10)
    path.rename(path.with_name("ours"))
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(Misconfigured):
        await stored(path, 11, 12, state)
    assert path.read_bytes().startswith(b"no database")


async def test_damage_met_in_use_is_repaired_at_the_next_opening(path: Path) -> None:
    async with sink(path, None) as out:
        state = await out.send([record(seq) for seq in range(1, EVENTS)])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'by_type'").fetchone()
    async with sink(path, state) as out:
        with path.open("r+b") as file:
            file.seek((root - 1) * 4096)
            file.write(b"\xff" * 4096)
        with pytest.raises(ArchiveDamaged):
            await out.send([record(EVENTS)])
    _, damage = await stored(path, EVENTS, EVENTS + 1, state)
    assert damage is not None
    assert damage.carried == EVENTS - 1
    assert numbers(path) == set(range(1, EVENTS + 2))


async def test_a_wal_that_has_lost_its_end_is_reported(path: Path, tmp_path: Path) -> None:
    async with sink(path, None) as out:
        await out.send([record(seq) for seq in range(1, 50)])
        state = await out.send([record(seq) for seq in range(50, 100)])
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", tmp_path / f"copy.db{end}")
    copy = tmp_path / "copy.db"
    wal = Path(f"{copy}-wal")
    wal.write_bytes(wal.read_bytes()[:-100])
    assert state is not None
    state |= {"inode": copy.stat().st_ino}
    _, damage = await stored(copy, 100, 101, state)
    assert damage is not None
    assert damage.lost == 2, "the last statement's"


@pytest.mark.parametrize("seed", range(4))
async def test_one_flipped_byte_or_page_never_stops_it_and_no_missing_event_is_silent(path: Path, seed: int) -> None:
    rng = random.Random(seed)
    await stored(path, 1, 120)
    whole = path.read_bytes()
    for turn in range(10):
        path.write_bytes(whole)
        repair.mark(path) if turn % 5 == 4 else None
        state = repair.remember(path, 120)
        place = rng.choice((rng.randrange(100), rng.randrange(len(whole)), rng.randrange(len(whole))))
        piece = bytes([whole[place] ^ rng.randrange(1, 256)]) if turn % 3 else rng.randbytes(4096)
        with path.open("r+b") as file:
            file.seek(place if turn % 3 else place // 4096 * 4096)
            file.write(piece)
        what = f"seed {seed}, turn {turn}: {len(piece)} at {place}"
        reported = False
        for _ in range(3):  # what is met in use is repaired by the next opening
            try:
                last, damage = await stored(path, 121, 130, state)
                reported = reported or damage is not None
                break
            except ArchiveDamaged:
                continue
            except Exception as error:
                raise AssertionError(what) from error
        else:
            raise AssertionError(f"{what}: it never goes on")
        [(count,)] = select(path, "SELECT count(*) FROM events NOT INDEXED")
        assert count == 130 or reported, what
        assert last is not None
        _, damage = await stored(path, 131, 131, last)
        assert damage is None or not reported, what
