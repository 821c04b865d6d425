"""What `append` promises: durable on return, each event once, state with its events, one bad row harms nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.spool import Receipt, RowRefused, Spool, SpoolSettings
from pump.spool.errors import Verdict, verdict
from pump.spool.offline import events
from pump.spool.queue import ENOUGH, PASSES, Put, PutQueue
from pump.telemetry.metrics import Metrics
from tests.unit.spool.conftest import Opener, number, rows


async def _all(spool: Spool, after: int = 0) -> list[int]:
    found: list[int] = []
    while batch := await spool.read(after):
        found += [number(record.body) for record in batch]
        after = batch[-1].seq
    return found


async def test_what_was_appended_is_read_in_order_also_after_a_restart(opened: Opener) -> None:
    async with opened() as spool:
        assert await spool.append(rows(0, 700), source="teams") == Receipt(700, 0)
        assert await _all(spool) == list(range(700))
    async with opened() as spool:
        assert await _all(spool) == list(range(700))
        assert spool.head == 700
        assert spool.repaired is None


@pytest.mark.parametrize("batches", [[(0, 5), (0, 5)], [(0, 5), (3, 5)], [(0, 600), (550, 100)], [(0, 1), (0, 600)]])
async def test_a_redelivery_is_dropped_and_counted(opened: Opener, batches: list[tuple[int, int]]) -> None:
    seen: set[int] = set()
    async with opened() as spool:
        for first, count in batches:
            wanted = set(range(first, first + count))
            receipt = await spool.append(rows(first, count), source="teams")
            assert receipt == Receipt(len(wanted - seen), len(wanted & seen))
            seen |= wanted
        assert await _all(spool) == sorted(seen)


async def test_an_event_twice_in_one_put_is_stored_once(opened: Opener) -> None:
    async with opened() as spool:
        assert await spool.append(rows(1, 3) + rows(1, 3), source="teams") == Receipt(3, 3)
        assert await _all(spool) == [1, 2, 3]


async def test_the_same_id_of_two_sources_is_two_events(opened: Opener) -> None:
    async with opened() as spool:
        both = rows(1, 1) + rows(1, 1, source="door")
        assert await spool.append(both, source="teams") == Receipt(2, 0)


async def test_puts_that_wait_together_share_one_fsync(opened: Opener, metrics: Metrics) -> None:
    async with opened() as spool:
        before = _commits(metrics)
        receipts = await asyncio.gather(*(spool.append(rows(n, 1), source="teams") for n in range(200)))
        assert all(receipt == Receipt(1, 0) for receipt in receipts)
        # The first goes alone; all others wait for its commit and share the next.
        assert _commits(metrics) - before <= 3
        assert await _all(spool) == list(range(200))


async def test_where_several_wait_a_commit_takes_what_the_loop_has_in_hand_already(
    opened: Opener, tmp_path: Path
) -> None:
    async def in_hand(number: int) -> None:
        for _ in range(3):  # passes of the loop from a request's socket to its put
            await asyncio.sleep(0)
        await spool.append(rows(number, 1), source="gate")

    async with opened() as spool:
        at_once = [spool.append(rows(number, 1), source="gate") for number in range(2)]
        await asyncio.gather(*at_once, *map(in_hand, range(2, 12)))
    with closing(sqlite3.connect(tmp_path / "spool" / "spool.db")) as db:
        assert db.execute("SELECT first, last FROM blocks").fetchall() == [(1, 12)], "a commit makes a block"


async def test_a_put_that_waits_alone_waits_for_nobody() -> None:
    queue = PutQueue()

    def passes() -> int:
        return len(list(queue.let_come().__await__()))

    assert passes() == 0
    for size, most in ((1, 0), (1, PASSES), (ENOUGH - 3, PASSES), (1, 0)):
        queue.add(Put((), {}, size, urgent=False, done=asyncio.get_running_loop().create_future()))
        assert passes() == most, len(queue)


def _commits(metrics: Metrics) -> float:
    value = metrics.registry.get_sample_value("pump_commits_total")
    assert value is not None
    return value


async def test_state_is_stored_with_its_events_and_removed_by_none(opened: Opener) -> None:
    async with opened() as spool:
        await spool.append(rows(1, 1), source="teams", state={"queue/alarm": {"at": 5}, "token": "t"})
        await spool.append((), source="teams", state={"token": None})
        await spool.append((), source="door", state={"token": "other"})
        assert spool.state("teams") == {"queue/alarm": {"at": 5}}
    async with opened() as spool:
        assert spool.state("teams", "queue/") == {"queue/alarm": {"at": 5}}
        assert spool.state("door") == {"token": "other"}


async def test_a_cancelled_put_may_have_committed_and_a_second_put_is_harmless(opened: Opener) -> None:
    async with opened() as spool:
        put = asyncio.create_task(spool.append(rows(1, 3), source="teams", state={"batch": "7"}))
        await asyncio.sleep(0)  # it waits for the commit now
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        await spool.flush()
        # The rows were handed over before the cancellation, so they and their state are there ...
        assert await _all(spool) == [1, 2, 3]
        assert spool.state("teams") == {"batch": "7"}
        # ... and what the source would send again is known.
        assert await spool.append(rows(1, 3), source="teams") == Receipt(0, 3)


async def test_a_row_that_cannot_be_stored_harms_no_other(opened: Opener) -> None:
    async with opened() as spool:
        bad = rows(10, 3)
        bad[1].id = "\ud800"  # a lone surrogate has no UTF-8
        results = await asyncio.gather(
            spool.append(rows(0, 2), source="teams"),
            spool.append(bad, source="teams", state={"kept": 1}),
            spool.append(rows(20, 2), source="teams"),
            return_exceptions=True,
        )
        assert results[0] == results[2] == Receipt(2, 0)
        assert isinstance(results[1], RowRefused)
        assert results[1].rows == [1]
        assert sorted(await _all(spool)) == [0, 1, 10, 12, 20, 21]


async def test_too_much_waiting_for_the_disk_is_refused_at_once(opened: Opener) -> None:
    async with opened() as spool:
        large = [rows(n * 100, 16, size=1 << 20) for n in range(6)]  # 16 MiB each; 64 MiB may wait
        results = await asyncio.gather(
            *(spool.append(batch, source="teams") for batch in large), return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, Unavailable)]
        assert len(refused) == 2
        assert "too much waits" in refused[0].reason
        assert len(await _all(spool)) == 4 * 16


def test_everything_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from pump.core.clock import Clock
from pump.telemetry.metrics import Metrics
from pump.spool import Spool, SpoolSettings
from tests.unit.spool.conftest import rows

async def main():
    spool = await Spool.open(Path(sys.argv[1]), SpoolSettings(), clock=Clock(), metrics=Metrics())
    n = spool.head * 10
    while True:
        await spool.append(rows(n, 7), source="teams")
        print(n, flush=True)
        n += 7

asyncio.run(main())
"""
    acknowledged: list[int] = []
    for lines in (1, 40, 90):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
        )
        assert child.stdout is not None
        for _ in range(lines):
            acknowledged.append(int(child.stdout.readline()))
        child.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in child.stdout.read().split()]
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
    stored = [number(record.body) for record in events(tmp_path)]
    assert len(stored) == len(set(stored))
    assert {n + i for n in acknowledged for i in range(7)} <= set(stored)


class _NoFsync(sqlite3.Connection):
    """SQLite as it answers when the kernel says that an fsync failed."""

    broken = False

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        if self.broken and sql == "COMMIT":
            super().execute("ROLLBACK")
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            error.sqlite_errorcode = 1034
            raise error
        return super().execute(sql, parameters)  # type: ignore[arg-type]  # handed on as it came


async def test_a_failed_fsync_ends_the_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    made: list[_NoFsync] = []

    def connecting(*args: object, **options: object) -> sqlite3.Connection:
        db = connect(*args, **options, factory=_NoFsync)  # type: ignore[call-overload]
        made.append(db)
        return db  # type: ignore[no-any-return]

    async def main() -> None:
        monkeypatch.setattr("pump.spool.connection.sqlite3.connect", connecting)
        spool = await Spool.open(tmp_path, SpoolSettings(), clock=Clock(), metrics=Metrics())
        await spool.append(rows(1, 1), source="teams")
        for db in made:
            db.broken = True
        with pytest.raises(Unavailable, match="fsync"):
            await spool.append(rows(2, 1), source="teams")
        assert spool.failed.is_set()
        assert "fsync" in str(spool.fatal)
        with pytest.raises(Unavailable):
            await spool.append(rows(3, 1), source="teams")
        for db in made:
            db.broken = False  # the kernel says yes to the next one, as it does
        spool.set_cursor("out", 1, None)
        await spool.close()

    await main()
    assert [number(record.body) for record in events(tmp_path)] == [1]
    with closing(connect(tmp_path / "spool.db")) as db:
        assert db.execute("SELECT count(*) FROM cursors").fetchone() == (0,)


async def test_a_failed_fsync_of_dead_letters_ends_the_spool_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    made: list[_NoFsync] = []

    def connecting(*args: object, **options: object) -> sqlite3.Connection:
        made.append(connect(*args, **options, factory=_NoFsync))  # type: ignore[call-overload]
        return made[-1]

    monkeypatch.setattr("pump.spool.connection.sqlite3.connect", connecting)
    spool = await Spool.open(tmp_path, SpoolSettings(), clock=Clock(), metrics=Metrics())
    await spool.append(rows(1, 1), source="teams")
    for db in made:
        db.broken = True
    with pytest.raises(Unavailable, match="fsync"):
        await spool.dead_letters.add("out", await spool.read(0), "refused", 1)
    assert spool.failed.is_set()
    await spool.close()


async def test_a_put_larger_than_all_that_may_wait_is_stored_when_nothing_else_waits(opened: Opener) -> None:
    async with opened() as spool:
        large = rows(0, 300, size=256 << 10)
        assert sum(len(row.body) for row in large) > 64 << 20
        assert await spool.append(large, source="teams") == Receipt(300, 0)


async def test_whatever_ends_the_writer_no_put_waits_for_ever(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as spool:

        def broken(*args: object) -> None:
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr("pump.spool.statements.commit", broken)
            async with asyncio.timeout(30):
                with pytest.raises(Unavailable):
                    await spool.append(rows(1, 1), source="teams")
        assert spool.failed.is_set()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("SQLITE_FULL", Verdict.FULL),
        ("SQLITE_IOERR_FSYNC", Verdict.FATAL),
        ("SQLITE_IOERR_DIR_FSYNC", Verdict.FATAL),
        ("SQLITE_IOERR_WRITE", Verdict.TROUBLE),
        ("SQLITE_BUSY", Verdict.TROUBLE),
        ("SQLITE_CORRUPT_INDEX", Verdict.DAMAGED),
        ("SQLITE_NOTADB", Verdict.DAMAGED),
        ("SQLITE_TOOBIG", Verdict.ROW),
    ],
)
def test_each_error_has_its_verdict(name: str, wanted: Verdict) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorname = name
    assert verdict(error) is wanted


async def test_a_close_that_is_cut_short_closes_no_file_under_the_thread_that_hangs(tmp_path: Path) -> None:
    """Its descriptors would be given to other files, and the thread would write its numbers into those."""
    hanging = threading.Event()

    spool = await Spool.open(tmp_path, SpoolSettings(), clock=Clock(), metrics=Metrics())
    await spool.append(rows(1, 5), source="teams")
    hung = asyncio.create_task(spool._writer.run(lambda db: hanging.wait()))
    await asyncio.sleep(0)
    spool.set_cursor("out", 5, None)
    with anyio.move_on_after(0.05, shield=True) as scope:
        await spool.close()
    assert scope.cancelled_caught
    assert spool._writer._beside.high.read()[0] == 5
    hanging.set()
    await hung
    await spool._files.aclose()
