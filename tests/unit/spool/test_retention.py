"""What the spool keeps and for how long: cursors, retention, the size limit, keys that outlive events."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pump.core.errors import Unavailable
from pump.core.record import Record
from pump.spool import Cursor, Receipt, Spool, schema, statements
from pump.spool.damage.checks import with_checksum
from pump.spool.reader import RecentRecords
from pump.spool.statements import Group
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from tests.unit.spool.conftest import Opener, number, rows

DAY = 86400


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)  # the condition is another connection's view of the file


async def _kept(spool: Spool, clock: ManualClock, condition: Callable[[], bool]) -> None:
    """Let the upkeep work until it gets there: it looks after a commit, once a second of its clock."""
    async with asyncio.timeout(30):
        while not condition():
            await _look(spool, clock)


async def _settled(spool: Spool, clock: ManualClock) -> None:
    """Let the upkeep look a few times more."""
    for _ in range(5):
        await _look(spool, clock)


async def _look(spool: Spool, clock: ManualClock) -> None:
    clock.advance(61)
    spool.remember("test", "turn", clock.now_ms())
    await spool.flush()
    await spool.flush()  # the second commit comes after the look that followed the first


def _stored_cursor(folder: Path, sink: str) -> tuple[int, str | None] | None:
    with closing(sqlite3.connect(f"{(folder / 'spool.db').as_uri()}?mode=ro", uri=True)) as db:
        found: tuple[int, str | None] | None = db.execute(
            "SELECT seq, state FROM cursors WHERE sink = ?", (sink,)
        ).fetchone()
        return found


async def test_a_cursor_rides_on_the_next_commit(opened: Opener, tmp_path: Path, metrics: Metrics) -> None:
    async with opened() as spool:
        await spool.append(rows(1, 5), source="teams")
        before = metrics.registry.get_sample_value("pump_commits_total") or 0
        spool.set_cursor("out", 3, {"offset": 7})
        spool.set_cursor("hook", 2, None)
        await spool.append(rows(6, 1), source="teams")
        assert (metrics.registry.get_sample_value("pump_commits_total") or 0) - before == 1
        assert _stored_cursor(tmp_path / "spool", "out") == (3, '{"offset":7}')
        assert _stored_cursor(tmp_path / "spool", "hook") == (2, None)


async def test_a_cursor_without_a_commit_to_ride_on_makes_its_own(opened: Opener, tmp_path: Path) -> None:
    async with opened() as spool:
        await spool.append(rows(1, 5), source="teams")
        spool.set_cursor("out", 5, None)
        assert spool.cursor("out") == Cursor(5, None)
        await _until(lambda: _stored_cursor(tmp_path / "spool", "out") == (5, None))
    async with opened() as spool:
        assert spool.cursor("out") == Cursor(5, None)
        assert spool.cursor("other") is None


async def test_closing_stores_the_cursors_that_wait(opened: Opener) -> None:
    async with opened() as spool:
        await spool.append(rows(1, 5), source="teams")
        spool.set_cursor("out", 4, {"a": 1})
    async with opened() as spool:
        assert spool.cursor("out") == Cursor(4, {"a": 1})


async def test_a_flush_is_not_refused_for_what_comes_while_it_is_under_way(opened: Opener) -> None:
    async with opened() as spool:
        for seq in range(1, 200):
            spool.set_cursor("out", seq, None)
            flushing = asyncio.create_task(spool.flush())
            for turn in range(seq % 5):
                await asyncio.sleep(0)
                spool.set_cursor("out", seq, {"turn": turn})
                spool.remember("pump", "key", turn)
            await flushing


async def test_retention_never_removes_what_a_holding_sink_has_not_had(opened: Opener) -> None:
    clock = ManualClock()
    async with opened(clock, retention="1d") as spool:
        spool.set_holders({"out": True, "hook": False})
        old = clock.now_ms()
        for n in range(10):
            await spool.append(rows(n * 100, 100, recorded=old), source="teams")
        spool.set_cursor("out", 450, None)  # "hook" has had nothing, but does not hold
        await spool.flush()
        clock.advance(2 * DAY)
        await _kept(spool, clock, lambda: spool.floor > 0)
        await _settled(spool, clock)
        # Whole blocks of 64 go: those that end at or before 450.
        assert 450 - 64 <= spool.floor <= 450
        first = (await spool.read(0))[0]
        assert first.seq == spool.floor + 1
        spool.set_cursor("out", 1000, None)
        await spool.flush()
        await _kept(spool, clock, lambda: spool.floor == 1000)
        assert await spool.read(0) == []


async def test_what_is_younger_than_the_retention_stays(opened: Opener) -> None:
    clock = ManualClock()
    async with opened(clock, retention="1d") as spool:
        await spool.append(rows(0, 64, recorded=clock.now_ms()), source="teams")
        clock.advance(0.9 * DAY)
        await spool.append(rows(64, 64, recorded=clock.now_ms()), source="teams")
        clock.advance(0.2 * DAY)
        await _kept(spool, clock, lambda: spool.floor == 64)
        await _settled(spool, clock)
        assert spool.floor == 64


async def test_numbers_are_never_used_again_when_all_is_pruned(opened: Opener) -> None:
    clock = ManualClock()
    async with opened(clock, retention="1h") as spool:
        await spool.append(rows(0, 10, recorded=clock.now_ms()), source="teams")
        clock.advance(DAY)
        await _kept(spool, clock, lambda: spool.floor == 10)
    async with opened(clock, retention="1h") as spool:
        assert (spool.head, spool.floor) == (10, 10)
        await spool.append(rows(10, 1, recorded=clock.now_ms()), source="teams")
        assert spool.head == 11


@pytest.mark.parametrize("older", [False, True])
async def test_numbers_go_on_where_all_is_pruned_and_the_note_beside_the_file_is_lost(
    opened: Opener, tmp_path: Path, older: bool
) -> None:
    clock = ManualClock()
    async with opened(clock, retention="1h") as spool:
        await spool.append(rows(0, 10, recorded=clock.now_ms()), source="teams")
        clock.advance(DAY)
        await _kept(spool, clock, lambda: spool.floor == 10)
    if older:  # an older pump had SQLite count
        with closing(sqlite3.connect(tmp_path / "spool" / "spool.db", isolation_level=None)) as db:
            db.execute("DELETE FROM state WHERE key = 'newest'")
            db.execute("UPDATE sqlite_sequence SET seq = 10 WHERE name = 'blocks'")
    for _ in range(2):
        (tmp_path / "spool" / "spool.high").unlink()
        async with opened(clock, retention="1h") as spool:
            assert (spool.head, spool.floor, spool.repaired) == (10, 10, None)
            assert "newest" not in spool.state("pump")


def test_numbers_go_on_where_the_newest_events_were_a_strangers_and_evicted() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        schema.create_empty(with_checksum(db))
        statements.load(db, 0)
        statements.commit(db, Group(rows(0, 5)), 1)
        statements.commit(db, Group([replace(row, stranger=True) for row in rows(5, 5)]), 6)
        assert statements.evict(db, holding=1 << 20, most=0, holes=[], passed=0) is not None
        assert db.execute("SELECT max(last) FROM blocks").fetchone() == (5,)
        assert statements.newest(db) == 10
        assert statements.load(db, 0).head == 10


def test_a_commit_writes_a_page_of_each_table_it_touches_and_none_to_count(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as db:
        for pragma in ("page_size=16384", "journal_mode=WAL", "wal_autocheckpoint=0"):
            db.execute(f"PRAGMA {pragma}").fetchall()
        schema.create_empty(with_checksum(db))
        statements.load(db, 0)
        statements.commit(db, Group(rows(0, 1)), 1)
        before = (tmp_path / "spool.db-wal").stat().st_size
        statements.commit(db, Group(rows(1, 1)), 2)
        assert ((tmp_path / "spool.db-wal").stat().st_size - before) // 16384 == 2, "one of blocks, one of keys"


async def test_keys_outlive_their_events(opened: Opener) -> None:
    clock = ManualClock()
    async with opened(clock, retention="1h") as spool:
        await spool.append(rows(0, 10, recorded=clock.now_ms()), source="teams")
        clock.advance(6 * DAY)
        await _kept(spool, clock, lambda: spool.floor == 10)
        assert await spool.append(rows(0, 10, recorded=clock.now_ms()), source="teams") == Receipt(0, 10)


async def test_keys_go_after_seven_days_beyond_the_newest_million(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pump.spool.retention.KEYS_KEPT", 1000)

    def keys() -> int:
        with closing(sqlite3.connect(f"{(tmp_path / 'spool/spool.db').as_uri()}?mode=ro", uri=True)) as db:
            (count,) = db.execute("SELECT count(*) FROM keys").fetchone()
            return int(count)

    clock = ManualClock()
    async with opened(clock) as spool:
        await spool.append(rows(0, 2000, recorded=clock.now_ms()), source="teams")
        clock.advance(DAY / 2)
        await _kept(spool, clock, lambda: len(spool.state("pump", "marks").get("marks", ())) >= 2)
        clock.advance(6 * DAY)
        await spool.append(rows(2000, 1500, recorded=clock.now_ms()), source="teams")
        await _settled(spool, clock)
        assert keys() == 3500  # beyond the newest thousand, but not seven days old
        clock.advance(2 * DAY)
        # The first 2000 are old enough; all of them lie beyond the newest thousand.
        await _kept(spool, clock, lambda: keys() == 1500)
        again = rows(2000, 1500, recorded=clock.now_ms())
        assert await spool.append(again, source="teams") == Receipt(0, 1500)


async def test_after_a_clock_that_ran_ahead_keys_still_go(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else they would fill the spool until that year comes."""
    monkeypatch.setattr("pump.spool.retention.KEYS_KEPT", 1000)

    clock = ManualClock()
    clock.jump(3650 * DAY)
    async with opened(clock) as spool:
        await spool.append(rows(0, 2000, recorded=clock.now_ms()), source="teams")
        await _settled(spool, clock)
        clock.jump(-3650 * DAY)
        await _kept(spool, clock, lambda: spool.state("pump", "marks")["marks"][-1][0] <= clock.now_ms())
        clock.advance(8 * DAY)
        await spool.append(rows(2000, 1500, recorded=clock.now_ms()), source="teams")
        await _kept(spool, clock, lambda: spool.state("pump", "marks")["marks"][-1][0] > clock.now_ms() - DAY)
        with closing(sqlite3.connect(f"{(tmp_path / 'spool/spool.db').as_uri()}?mode=ro", uri=True)) as db:
            await _kept(spool, clock, lambda: db.execute("SELECT count(*) FROM keys").fetchone() == (1500,))


async def test_when_lost_events_arrived_is_known_about(opened: Opener) -> None:
    clock = ManualClock()
    async with opened(clock, retention="1d") as spool:
        spool.set_holders({"out": False})
        await spool.append(rows(0, 10, recorded=clock.now_ms()), source="teams")
        clock.advance(DAY / 2)
        await _settled(spool, clock)  # notes how far the spool had come by now
        noted = clock.now_ms()
        await spool.append(rows(10, 10, recorded=noted + 1000), source="teams")
        clock.advance(2 * DAY)
        await _kept(spool, clock, lambda: spool.floor == 20)
        await spool.append(rows(20, 10, recorded=clock.now_ms()), source="teams")
        begin, end = await spool.span(11, 20)
        assert begin is not None
        assert noted - DAY * 250 <= begin <= noted
        assert end == clock.now_ms()
        assert await spool.span(1, 20) == (None, end)


async def test_what_a_reader_finds_removed_counts_as_removed(opened: Opener) -> None:
    """The writer's thread may have committed a removal that its task does not know of yet: a sink must hear of it."""

    async with opened() as spool:
        for first in range(0, 300, 100):
            await spool.append(rows(first, 100), source="teams")
        spool._reader._recent = RecentRecords(spool.head)
        await spool._writer.run(partial(statements.prune, through=200, before=1 << 62))
        found = await spool.read(0)
        assert found[0].seq == 201
        assert spool.floor == 200


def test_what_memory_was_last_asked_for_is_found_once_and_as_it_is_now() -> None:
    def records(*numbers: int) -> list[Record]:
        return [Record(number, "teams", "vehicle.passed", 0, 0, b"x" * 10) for number in numbers]

    recent = RecentRecords(0, max_bytes=60)
    recent.add(records(1, 2, 3))
    found = recent.read(0, 500, 1000)
    assert found == records(1, 2, 3)
    assert recent.read(0, 500, 1000) is found
    assert recent.read(0, 500, 20) == recent.read(0, 2, 1000) == records(1, 2)
    recent.add(records(4))
    assert recent.read(0, 2, 1000) == records(1, 2)
    assert recent.read(0, 500, 1000) == records(1, 2, 3, 4)
    assert recent.read(1, 500, 1000) == records(2, 3, 4)
    recent.remove(2, 3)
    assert recent.read(1, 500, 1000) == records(4)
    recent.add(records(5, 6, 7, 8, 9))
    assert recent.read(1, 500, 1000) is None, "the oldest have gone"


async def _fill(spool: Spool) -> int:
    """Append events of 100 kB until they are refused; how many were stored."""
    stored = 0
    with contextlib.suppress(Unavailable):
        while stored < 400:
            await spool.append(rows(stored, 4, size=100_000), source="teams")
            stored += 4
    return stored


async def test_at_the_size_limit_the_spool_refuses_names_the_holder_and_goes_on_by_itself(opened: Opener) -> None:
    told: list[str] = []
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"slow": True})
        spool.listen(filling=lambda holder, used, limit: told.append(holder), damaged=print)
        stored = await _fill(spool)
        with pytest.raises(Unavailable, match="max_bytes is reached, held by the sink slow"):
            await spool.append(rows(stored, 4), source="teams")
        assert told == ["slow"]
        assert 100 < stored < 200
        assert spool.head == stored
        assert spool.used < (16 << 20) * 1.2
        spool.set_cursor("slow", spool.head, None)  # taken from the reserve's side: the spool is full, not broken
        await spool.flush()
        await _until(lambda: not spool.refusing)
        await spool.append(rows(1000, 1), source="teams")


async def test_a_spool_that_is_filling_when_it_starts_is_told_with_its_holder(opened: Opener) -> None:
    told: list[str] = []
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"slow": True})
        await _fill(spool)
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"slow": True})
        await spool.append((), source="pump", urgent=True)
        spool.listen(filling=lambda holder, used, limit: told.append(holder), damaged=print)
        await _until(lambda: bool(told))
        assert told == ["slow"]


async def test_when_full_may_drop_the_oldest(opened: Opener, metrics: Metrics, tmp_path: Path) -> None:
    async with opened(max_bytes="16MiB", when_full="drop-oldest") as spool:
        spool.set_holders({"slow": True})
        for n in range(0, 600, 4):
            await spool.append(rows(n, 4, size=100_000), source="teams")
        # What /metrics tells is what the limit is held against: the WAL belongs to it.
        assert metrics.registry.get_sample_value("pump_spool_bytes") == spool.used
        assert spool.used > (tmp_path / "spool" / "spool.db-wal").stat().st_size > 0
        assert spool.floor > 0  # the slow sink finds its cursor below it, and tells the loss
        assert spool.used < (16 << 20) * 1.2
        newest = (await spool.read(spool.head - 1))[0]
        assert number(newest.body) == 599


async def test_without_holding_sinks_the_size_limit_is_kept_by_removing_the_oldest(opened: Opener) -> None:
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"preview": False})
        for n in range(0, 600, 4):
            await spool.append(rows(n, 4, size=100_000), source="teams")
        assert spool.used < 16 << 20
        assert spool.floor > 0


async def test_dead_letters_are_stored_and_counted(opened: Opener) -> None:
    async with opened() as spool:
        await spool.append(rows(0, 3), source="teams")
        await spool.dead_letters.add("hook", (await spool.read(0))[1:], "refused: 400", 1)
        assert spool.dead_letters.counts == {"hook": 2}
    async with opened() as spool:
        assert spool.dead_letters.counts == {"hook": 2}


async def _filled_beyond(opened: Opener, sink: int) -> int:
    """A spool of over 30 MiB, and a sink that has had everything through a number; the head."""
    async with opened() as spool:
        for first in range(0, 3200, 100):
            await spool.append(rows(first, 100, size=10_000), source="teams")
        spool.set_cursor("out", sink, None)
        head: int = spool.head
    return head


async def test_a_lowered_max_bytes_is_reached_while_new_events_are_taken(opened: Opener) -> None:
    head = await _filled_beyond(opened, 3200)
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"out": True})
        most = spool.used + (1 << 20)
        for first in range(head, head + 6000, 100):
            assert not spool.refusing
            await spool.append(rows(first, 100, size=1000), source="teams")
            spool.set_cursor("out", spool.head, None)
            assert spool.used <= most, "it never grows again"
        assert spool.used < 16 << 20
        assert spool.floor > 0


async def test_a_lowered_max_bytes_refuses_where_a_sink_holds_what_is_there(opened: Opener) -> None:
    head = await _filled_beyond(opened, 0)
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"out": True})
        with pytest.raises(Unavailable, match="held by"):
            await spool.append(rows(head, 1), source="teams")
        assert spool.floor == 0


async def test_a_spool_that_shrinks_to_a_lowered_max_bytes_refuses_once_a_sink_holds_the_rest(
    opened: Opener,
) -> None:
    head = await _filled_beyond(opened, 500)
    clock = ManualClock()
    async with opened(clock, max_bytes="16MiB") as spool:
        spool.set_holders({"out": True})
        await _kept(spool, clock, lambda: bool(spool.refusing))
        with pytest.raises(Unavailable, match="held by the sink out"):
            await spool.append(rows(head, 100, size=1000), source="teams")
        assert 0 < spool.floor <= 500


async def test_a_removal_waits_for_no_fsync_and_the_next_commit_has_one(opened: Opener, tmp_path: Path) -> None:
    async with opened() as spool:
        await spool.append(rows(0, 200), source="teams")
    asked: list[str] = []
    with closing(sqlite3.connect(tmp_path / "spool" / "spool.db", isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=FULL")
        db.set_trace_callback(asked.append)
        removed = statements.prune(db, through=200, before=1 << 62)
        assert removed is not None
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    names = [sql.split("(")[0] for sql in asked]
    begun, ended = names.index("BEGIN IMMEDIATE"), names.index("COMMIT")
    assert names[begun - 1] == "PRAGMA synchronous=NORMAL"
    assert names[ended + 1] == "PRAGMA synchronous=FULL"


async def test_what_a_sink_holds_is_known_without_a_look_at_all_of_it(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as spool:
        for first in range(0, 400, 10):
            await spool.append(rows(first, 10, size=500), source="teams")
    with closing(sqlite3.connect(tmp_path / "spool" / "spool.db", isolation_level=None)) as db:
        exact = {above: statements.held_bytes(db, above) for above in (0, 95, 200, 399, 400)}
        (whole,) = db.execute("SELECT sum(length(events) + length(bodies)) FROM blocks").fetchone()
        assert (exact[0], exact[400]) == (whole, 0)
        monkeypatch.setattr(statements, "_WEIGHED", 5)
        for above, weight in exact.items():
            assert statements.held_bytes(db, above) == pytest.approx(weight, rel=0.1)
