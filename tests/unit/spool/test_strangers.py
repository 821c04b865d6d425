"""The share of strangers: their oldest go first, with their keys, and each sink's loss of them is known."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pump.core.errors import Unavailable
from pump.spool import Receipt, Row, Spool, queue, schema
from pump.spool.damage import repair
from pump.spool.queue import Put, PutQueue
from pump.spool.tables import limited, strangers
from pump.spool.tables.strangers import Hole
from pump.telemetry.metrics import Metrics
from tests.unit.spool.conftest import Opener, number, rows

SHARE = (16 << 20) // strangers.PART


def strange(first: int, count: int, *, size: int = 10_000) -> list[Row]:
    """Rows of a device that nobody knows."""
    return [replace(row, stranger=True) for row in rows(first, count, size=size)]


async def settled(spool: Spool) -> None:
    """Return when what is too much is gone: the upkeep follows each commit."""
    async with asyncio.timeout(30):
        while spool.strangers > SHARE or spool._retention._evicting:
            await spool.flush()


async def flood(spool: Spool, first: int = 10_000, count: int = 600) -> int:
    """Store a stranger's events, by tens; the number behind the last."""
    for begin in range(first, first + count, 10):
        await spool.append(strange(begin, 10), source="teams")
    await settled(spool)
    return first + count


async def stored(spool: Spool) -> list[int]:
    """The numbers of all rows that are stored."""
    found: list[int] = []
    after = spool.floor
    while records := await spool.read(after):
        found += [number(record.body) for record in records]
        after = records[-1].seq
    return found


def keys(folder: Path) -> int:
    with closing(sqlite3.connect(f"{(folder / 'spool' / 'spool.db').as_uri()}?mode=ro", uri=True)) as db:
        (count,) = db.execute("SELECT count(*) FROM keys").fetchone()
        return int(count)


async def test_strangers_have_a_share_of_which_their_oldest_go(opened: Opener, metrics: Metrics) -> None:
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"slow": True})  # retention may remove nothing
        await spool.append(rows(0, 100), source="teams")
        await flood(spool)
        await spool.append(rows(100, 100), source="teams")
        left = await stored(spool)
        assert [one for one in left if one < 10_000] == [*range(200)]
        others = [one for one in left if one >= 10_000]
        assert others == [*range(10_600 - len(others), 10_600)], "the newest"
        assert SHARE / 2 < spool.strangers <= SHARE
        gone = metrics.registry.get_sample_value("pump_pruned_total", {"reason": "strangers"})
        assert gone == 600 - len(others)


async def test_a_full_share_refuses_no_known_device_and_is_free_again_by_itself(opened: Opener) -> None:
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"slow": True})
        known = 0
        for turn in range(40):
            puts = [spool.append(strange(100_000 + turn * 1000 + n * 10, 10), source="teams") for n in range(10)]
            puts += [spool.append(rows(known, 10), source="teams")]
            known += 10
            *_, receipt = await asyncio.gather(*puts)
            assert receipt == Receipt(10, 0)
            assert not spool.refusing
        await settled(spool)
        assert [one for one in await stored(spool) if one < 100_000] == [*range(known)]
        assert spool.used < 8 << 20
        spool.set_cursor("slow", spool.head, None)
        await spool.flush()


async def test_keys_go_with_strangers_events_and_known_devices_keep_theirs(opened: Opener, tmp_path: Path) -> None:
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"slow": True})
        await spool.append(rows(0, 100), source="teams")
        end = await flood(spool)
        left = len(await stored(spool))
        assert keys(tmp_path) == left
        assert await spool.append(strange(end - 10, 10), source="teams") == Receipt(0, 10), "known while they are there"
        assert await spool.append(strange(10_000, 10), source="teams") == Receipt(10, 0)
        assert await spool.append(rows(0, 100), source="teams") == Receipt(0, 100)


async def test_retention_takes_strangers_keys_too(opened: Opener, tmp_path: Path) -> None:
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"quick": False})
        at = 0
        while spool.floor < 300:
            await spool.append(strange(at, 10), source="teams")
            await spool.append(rows(1_000_000 + at, 10, size=100_000), source="teams")
            at += 10
        await settled(spool)
        strangers_left = [one for one in await stored(spool) if one < 1_000_000]
        assert keys(tmp_path) == at + len(strangers_left), "known devices' keys outlive their events"


def counted(folder: Path) -> tuple[dict[str, int], int]:
    """The bytes of what counts against a limit and of what is strangers', as the file has them."""
    with closing(sqlite3.connect(f"{(folder / 'spool' / 'spool.db').as_uri()}?mode=ro", uri=True)) as db:
        return limited.held(db), strangers.held(db)


async def test_what_goes_is_taken_from_the_counts(opened: Opener, tmp_path: Path) -> None:
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"quick": False})
        known = rows(0, 100)
        for row in known[::3]:
            row.quarantined = True
        await spool.append(known, source="teams")
        for begin in range(10_000, 10_600, 10):
            unread = strange(begin, 10)
            unread[0].quarantined = unread[1].quarantined = True
            await spool.append(unread, source="teams")
        await settled(spool)
        evicted = counted(tmp_path)
        assert evicted == ({"teams": spool.quarantined("teams")}, spool.strangers)
        assert spool.quarantined("teams") > 20 * 10_000

        at = 1_000_000
        while spool.floor < 400:
            large = rows(at, 10, size=100_000)
            large[0].quarantined = True
            await spool.append(large, source="teams")
            at += 10
        await settled(spool)
        pruned = counted(tmp_path)
        assert pruned == ({"teams": spool.quarantined("teams")}, spool.strangers)
        assert 0 < pruned[0]["teams"] < (at - 1_000_000) / 10 * 100_000 + evicted[0]["teams"]
        assert pruned[1] < evicted[1]


@pytest.mark.parametrize("again", [False, True], ids=["one run", "restart"])
async def test_the_holes_are_known_until_every_sink_has_passed_them(opened: Opener, again: bool) -> None:
    async with contextlib.AsyncExitStack() as runs:
        spool = await runs.enter_async_context(opened(max_bytes="16MiB"))
        spool.set_holders({"slow": True})
        spool.set_cursor("slow", 0, None)
        await spool.append(rows(0, 100), source="teams")
        await flood(spool)
        await spool.append(rows(100, 100), source="teams")
        if again:
            await runs.aclose()
            spool = await runs.enter_async_context(opened(max_bytes="16MiB"))
            spool.set_holders({"slow": True})
        first, last, count = spool.evicted(0, spool.head) or (0, 0, 0)
        assert (first, count) == (101, 800 - len(await stored(spool)))
        assert spool.evicted(last, spool.head) is None
        assert spool.evicted(0, last - 1) is None, "it is passed at its end"
        spool.set_cursor("slow", spool.head, None)
        await flood(spool, 20_000)
        after = spool.evicted(0, spool.head)
        assert after is not None
        assert after[0] > last, "nobody needs the first one any more"


async def test_nobody_finds_in_memory_what_was_evicted(opened: Opener) -> None:
    async with opened(max_bytes="16MiB") as spool:
        await flood(spool)
        near = await spool.read(spool.head - 5)
        assert [number(one.body) for one in near] == [10_595, 10_596, 10_597, 10_598, 10_599]
        in_memory = spool._reader._recent._records
        assert [one.seq for one in in_memory] == sorted({one.seq for one in in_memory})
        assert in_memory[0].seq > spool.floor
        assert len(in_memory) == len(await stored(spool))


async def test_the_share_is_known_after_a_restart(opened: Opener) -> None:
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"slow": True})
        await flood(spool)
        before = spool.strangers
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"slow": True})
        assert spool.strangers == before
        await flood(spool, 20_000)
        assert spool.strangers <= SHARE


async def test_a_share_that_is_too_large_at_a_start_is_cut(opened: Opener) -> None:
    async with opened(max_bytes="64MiB") as spool:
        spool.set_holders({"slow": True})
        for begin in range(0, 600, 10):
            await spool.append(strange(begin, 10), source="teams")
        assert spool.strangers > SHARE
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"slow": True})
        await settled(spool)
        assert spool.strangers <= SHARE


async def test_a_repair_counts_evicted_events_not_as_lost_and_keeps_the_share(opened: Opener, tmp_path: Path) -> None:
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"slow": True})
        spool.set_cursor("slow", 0, None)
        await spool.append(rows(0, 100), source="teams")
        await flood(spool)
        await spool.append(rows(100, 100), source="teams")
        kept, before = await stored(spool), spool.strangers
    path = tmp_path / "spool" / "spool.db"
    repair.salvage(path, "a test", "now", 0)
    async with opened(max_bytes="16MiB") as spool:
        assert spool.repaired is not None
        assert spool.repaired.lost == 0
        assert await stored(spool) == kept
        assert spool.strangers == before


async def test_a_spool_of_the_former_version_gets_the_share(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    with closing(sqlite3.connect(tmp_path / "spool" / "spool.db", isolation_level=None)) as db:
        for statement in schema.TABLES[: schema.TABLES.index(schema.ONE_LETTER) + 1]:
            db.execute(statement.replace(", crc INTEGER", ""))
        db.execute("PRAGMA user_version=2")
    async with opened() as spool:
        assert spool.repaired is None
        assert await spool.append(strange(200, 10), source="teams") == Receipt(10, 0)
        assert spool.strangers > 0


async def test_a_damaged_row_about_strangers_takes_no_known_device_s_events(opened: Opener, tmp_path: Path) -> None:
    async with opened(max_bytes="64MiB") as spool:
        spool.set_holders({"slow": True})
        await spool.append(rows(0, 100), source="teams")
        for begin in range(10_000, 10_600, 10):
            await spool.append(strange(begin, 10), source="teams")
    with closing(sqlite3.connect(tmp_path / "spool" / "spool.db")) as db, db:
        (last,) = db.execute("SELECT min(last) FROM strangers").fetchone()
        db.execute("UPDATE strangers SET first = 1 WHERE last = ?", (last,))
        db.execute("UPDATE strangers SET keys = 'x' WHERE last = ?", (last + 10,))
        db.execute("UPDATE strangers SET bytes = 'x' WHERE last = ?", (last + 20,))
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"slow": True})
        await settled(spool)
        left = await stored(spool)
        assert left[:130] == [*range(100), *range(10_000, 10_030)]
        assert spool.strangers <= SHARE


def test_holes_are_bounded_and_keep_their_count() -> None:
    many = [Hole(first, first + 3, 4) for first in range(1, 10_001, 10)]
    found = strangers.merged(many)
    assert len(found) == strangers.HOLES
    assert sum(hole.events for hole in found) == 4000
    assert (found[0].first, found[-1].last) == (1, 9994)
    assert strangers.merged([Hole(5, 9, 5), Hole(1, 4, 4)]) == [Hole(1, 9, 9)]
    assert strangers.between([Hole(1, 9, 9), Hole(20, 40, 5)], 4, 40) == (5, 40, 10), "what was passed counts no more"
    assert strangers.between([Hole(1, 9, 9), Hole(20, 40, 5)], 9, 39) is None
    assert strangers.between("damaged", 0, 9) is strangers.between([[1]], 0, 9) is strangers.between(None, 0, 9) is None
    assert strangers.holes_of([list(hole) for hole in found]) == found
    assert strangers.holes_of("damaged") == strangers.holes_of([[1]]) == []


def test_a_batch_looks_at_its_own_holes_alone() -> None:
    looked: list[int] = []

    class Watched(list[int]):
        def __getitem__(self, place: Any) -> Any:
            looked.append(place)
            return super().__getitem__(place)

        def __iter__(self) -> Iterator[int]:
            looked.append(0)
            return super().__iter__()

    kept = [Watched([first, first + 3, 4]) for first in range(1, 100_001, 10)]
    assert strangers.between(kept, 0, 4) == (1, 4, 4)
    assert strangers.between(kept, 500, 520) == (501, 514, 8)
    assert strangers.between(kept, 99_995, 100_001) is None
    assert strangers.between(kept, 4, 13) is None, "it ends at 14"
    assert len(looked) < 200


# --- who waits for a commit -----------------------------------------------------------------------------------------


async def test_strangers_wait_behind_known_devices_and_may_not_fill_the_queue() -> None:
    line = PutQueue(strangers=1000)

    def put(size: int, *, stranger: bool, urgent: bool = False) -> Put:
        return Put((), {}, size, urgent, asyncio.get_running_loop().create_future(), stranger)

    assert not line.full(5000, stranger=True), "one is taken in any case"
    line.add(put(900, stranger=True))
    assert line.full(200, stranger=True)
    assert not line.full(200, stranger=False)
    line.add(put(queue.GROUP_BYTES, stranger=False))
    line.add(put(1, stranger=False))
    line.add(put(50, stranger=True))
    assert [(one.size, one.stranger) for one in line.take()] == [(queue.GROUP_BYTES, False), (900, True)]
    assert [(one.size, one.stranger) for one in line.take()] == [(1, False), (50, True)]
    assert not line
    line.add(put(1, stranger=True))
    line.add(put(2, stranger=False, urgent=True))
    assert [one.size for one in line.take_refused()] == [1]
    assert [one.size for one in line.take_refused(all_=True)] == [2]
    assert not line.full(queue.WAITING + 1, stranger=False)


async def test_known_and_strangers_in_one_commit_lie_in_blocks_of_their_own(opened: Opener, tmp_path: Path) -> None:
    async with opened() as spool:
        puts = [spool.append((strange if n % 2 else rows)(n * 10, 10), source="teams") for n in range(10)]
        assert await asyncio.gather(*puts) == [Receipt(10, 0)] * 10
        found = await stored(spool)
        assert sorted(found) == [*range(100)]
    with closing(sqlite3.connect(tmp_path / "spool" / "spool.db")) as db:
        marked = set(db.execute("SELECT first, last FROM strangers"))
        assert marked <= set(db.execute("SELECT first, last FROM blocks"))
        assert sum(last + 1 - first for first, last in marked) == 50


# --- who holds a spool that is full ---------------------------------------------------------------------------------


async def test_a_sink_that_keeps_up_is_not_blamed_for_what_it_does_not_hold(opened: Opener) -> None:
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"quick": True})
        spool.set_cursor("quick", 0, None)
        turn = 0
        while not spool.refusing and turn < 400:
            spool.remember("gate", f"device/{turn}", "x" * 200_000)  # what no retention removes
            with contextlib.suppress(Unavailable):
                await spool.append(rows(turn, 1), source="teams")
            spool.set_cursor("quick", spool.head - 1, None)
            turn += 1
        assert spool.refusing.startswith("max_bytes is reached, held by nobody: ")
        for each in range(turn):
            spool.remember("gate", f"device/{each}", None)
        async with asyncio.timeout(30):
            while spool.refusing:
                await spool.flush()
                await asyncio.sleep(0.02)  # the upkeep looks once a second


async def test_the_reason_names_the_holder_and_how_much_it_has_not_had(opened: Opener) -> None:
    async with opened(max_bytes="16MiB") as spool:
        spool.set_holders({"quick": True, "slow": True})
        spool.set_cursor("slow", 0, None)
        turn = 0
        while not spool.refusing and turn < 400:
            with contextlib.suppress(Unavailable):
                await spool.append(rows(turn, 1, size=100_000), source="teams")
            spool.set_cursor("quick", spool.head, None)
            turn += 1
        assert spool.refusing == f"max_bytes is reached, held by the sink slow, which has not had {spool.head} events"


async def test_nobody_holds_a_spool_that_is_being_cleared(opened: Opener) -> None:
    """As it is after a lower `max_bytes`: the sinks have had everything. Nor does it refuse meanwhile."""
    async with opened(max_bytes="64MiB") as spool:
        for turn in range(0, 400, 4):
            await spool.append(rows(turn, 4, size=100_000), source="teams")
    async with opened(max_bytes="16MiB") as spool:
        assert spool.used > 16 << 20
        assert spool.refusing == ""
        assert (await spool.append(rows(400, 4), source="teams")).stored == 4
