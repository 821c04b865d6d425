"""A spool on a bad disk: full, flipped, cut. The daemon must start, keep what can be read, and tell the loss."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.spool import Cursor, Receipt, Spool, SpoolSettings
from pump.spool.blocks import unpack
from pump.spool.connection import PAGE_SIZE
from pump.spool.damage import repair
from pump.spool.damage.sidecar import HighWater
from pump.telemetry.metrics import Metrics
from tests.unit.spool.conftest import Opener, number, rows

_COUNT = 2000


async def _open(folder: Path) -> Spool:
    return await Spool.open(folder, SpoolSettings(), clock=Clock(), metrics=Metrics())


async def _fill(folder: Path, count: int = _COUNT) -> None:
    spool = await _open(folder)
    for first in range(0, count, 100):
        await spool.append(rows(first, 100), source="teams", state={"last": first})
    spool.set_cursor("out", 700, {"offset": 12})
    await spool.close()


async def _read(spool: Spool) -> list[int]:
    found: list[int] = []
    after = 0
    while batch := await spool.read(after):
        found += [number(record.body) for record in batch]
        after = batch[-1].seq
    return found


def _flip(path: Path, *places: int) -> None:
    with path.open("r+b") as file:
        for place in places:
            file.seek(place)
            old = file.read(1)
            file.seek(place)
            file.write(bytes([old[0] ^ 0x55]))


async def test_a_flipped_bit_in_a_body_costs_that_event_alone_and_is_told_once(tmp_path: Path) -> None:
    await _fill(tmp_path)
    data = (tmp_path / "spool.db").read_bytes()
    _flip(tmp_path / "spool.db", data.index(b"1234" + b"." * 100) + 50)
    spool = await _open(tmp_path)
    told: list[int] = []
    spool.listen(filling=print, damaged=told.extend)
    assert await _read(spool) == [n for n in range(_COUNT) if n != 1234]
    await _read(spool)
    assert told == [1235]  # numbers begin at 1
    await spool.close()


async def test_a_lost_first_page_is_replaced_and_everything_is_carried_over(tmp_path: Path) -> None:
    await _fill(tmp_path)
    with (tmp_path / "spool.db").open("r+b") as file:
        file.write(bytes(PAGE_SIZE))
    spool = await _open(tmp_path)
    assert spool.repaired is not None
    assert (spool.repaired.lost, spool.repaired.carried) == (0, _COUNT)
    assert spool.repaired.aside is not None
    assert (tmp_path / spool.repaired.aside).exists()
    assert await _read(spool) == list(range(_COUNT))
    assert spool.cursor("out") == Cursor(700, {"offset": 12})
    assert spool.state("teams") == {"last": _COUNT - 100}
    assert await spool.append(rows(_COUNT - 1, 2), source="teams") == Receipt(1, 1)
    spool.repair_told()
    await spool.close()
    spool = await _open(tmp_path)
    assert spool.repaired is None  # told once
    await spool.close()


@pytest.mark.parametrize("seed", range(12))
async def test_damaged_pages_cost_what_lies_on_them_and_the_loss_is_told(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)

    await _fill(tmp_path)
    path = tmp_path / "spool.db"
    with path.open("r+b") as file:
        for _ in range(2):
            file.seek(chance.randrange(path.stat().st_size // PAGE_SIZE) * PAGE_SIZE)
            file.write(chance.randbytes(PAGE_SIZE))
    spool = await _open(tmp_path)
    damaged: list[int] = []
    spool.listen(filling=print, damaged=damaged.extend)
    found = await _read(spool)
    assert found == sorted(set(found))
    assert set(found) <= set(range(_COUNT))
    lost = _COUNT - len(found)
    told = len(damaged) + (spool.repaired.lost if spool.repaired else 0)
    # Damage in a free page or a slack space costs nothing; any loss is told, to the number.
    assert told == lost
    # Storing goes on, above every number ever given.
    await spool.append(rows(5000, 1), source="teams")
    assert spool.head == _COUNT + 1
    await spool.close()


async def test_a_file_of_rubbish_is_set_aside_and_numbering_goes_on(tmp_path: Path) -> None:
    await _fill(tmp_path)
    (tmp_path / "spool.db").write_bytes(os.urandom(100_000))
    spool = await _open(tmp_path)
    assert spool.repaired is not None
    assert spool.repaired.lost == _COUNT
    assert spool.repaired.carried == 0
    await spool.append(rows(5000, 1), source="teams")
    assert spool.head == _COUNT + 1
    await spool.close()


_WRITE_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from pump.core.clock import Clock
from pump.telemetry.metrics import Metrics
from pump.spool import Spool, SpoolSettings
from tests.unit.spool.conftest import rows

async def main():
    spool = await Spool.open(Path(sys.argv[1]), SpoolSettings(), clock=Clock(), metrics=Metrics())
    for first in range(0, 1000, 10):
        await spool.append(rows(first, 10), source="teams")
    print("written", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("salvaged", [False, True], ids=["the file is kept", "the file is damaged too"])
async def test_a_flipped_bit_in_the_wal_is_told_by_the_high_water_mark(tmp_path: Path, salvaged: bool) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _WRITE_UNTIL_KILLED, str(tmp_path)], stdout=subprocess.PIPE, cwd=os.getcwd()
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"written\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    wal = tmp_path / "spool.db-wal"
    _flip(wal, wal.stat().st_size // 2)
    if salvaged:  # what the WAL had is in neither table, so that there is no key to count a lost event by
        (tmp_path / "spool.damaged").touch()

    spool = await _open(tmp_path)
    found = await _read(spool)
    assert found == list(range(len(found)))  # SQLite cut the WAL there, without a word
    assert 0 < len(found) < 1000
    assert spool.repaired is not None
    assert spool.repaired.lost == 1000 - len(found)
    await spool.append(rows(5000, 1), source="teams")
    assert spool.head == 1001  # no number is used twice
    spool.repair_told()
    await spool.close()
    spool = await _open(tmp_path)
    assert spool.repaired is None  # told once
    await spool.close()


def _killed(folder: Path, place: Path) -> Path:
    """A copy of what a kill at this moment leaves."""
    return shutil.copytree(folder, place, ignore=shutil.ignore_patterns("*-shm", "spool.reserve"))


async def _cut(tmp_path: Path) -> Path:
    """A spool that was killed after 200 events, and its WAL cut then."""
    spool = await _open(tmp_path / "spool")
    for first in range(0, 200, 10):
        await spool.append(rows(first, 10), source="teams", state={"last": first})
    cut = _killed(tmp_path / "spool", tmp_path / "cut")
    await spool.close()
    wal = cut / "spool.db-wal"
    _flip(wal, wal.stat().st_size // 2)
    return cut


async def test_killed_at_any_commit_of_a_start_that_finds_the_wal_cut_the_next_one_reports_as_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = await _cut(tmp_path)
    left: list[Path] = []

    class Watched(sqlite3.Connection):
        stored = 0

        def execute(self, *args: Any) -> sqlite3.Cursor:
            found = super().execute(*args)
            if not self.in_transaction and self.total_changes > self.stored:
                self.stored = self.total_changes
                left.append(_killed(cut, tmp_path / str(len(left))))
            return found

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Watched))
        spool = await _open(cut)
    known = spool.repaired
    await spool.close()
    assert left
    for folder in left:
        spool = await _open(folder)
        found = await _read(spool)
        assert 0 < len(found) < 200
        assert spool.repaired == known
        assert spool.repaired is not None
        assert spool.repaired.lost == 200 - len(found)
        assert spool.head == 200
        await spool.close()
        assert len(list(folder.glob("spool.damaged-*"))) == 1


async def test_a_cut_whose_witness_is_half_damaged_takes_no_number_of_commits_back(tmp_path: Path) -> None:
    cut = await _cut(tmp_path)
    _flip(cut / "spool.high", 30)  # of two numbers the second
    spool = await _open(cut)
    found = await _read(spool)
    assert spool.repaired is not None
    assert spool.repaired.lost == 200 - len(found)
    with contextlib.closing(HighWater(cut / "spool.high")) as high:
        assert high.read() == (200, len(found) // 10)
    await spool.close()


async def test_a_loss_that_waits_to_be_reported_is_added_to_by_one_of_its_like(tmp_path: Path) -> None:
    cut = await _cut(tmp_path)
    spool = await _open(cut)
    for first in range(200, 250, 10):
        await spool.append(rows(first, 10), source="teams")
    again = _killed(cut, tmp_path / "again")
    await spool.close()
    wal = again / "spool.db-wal"
    _flip(wal, wal.read_bytes().index(b"230" + b"." * 100))
    spool = await _open(again)
    found = await _read(spool)
    assert max(found) == 229
    assert spool.repaired is not None
    assert spool.repaired.lost == 250 - len(found)
    await spool.close()


def test_a_copy_of_the_wal_for_which_there_is_no_room_is_none(tmp_path: Path) -> None:
    (tmp_path / "spool.db-wal").write_bytes(bytes(1 << 20))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, hard))
    try:
        kept = repair.keep_wal(tmp_path / "spool.db", "stamp")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert kept is None
    assert [path.name for path in tmp_path.iterdir()] == ["spool.db-wal"]


_SALVAGE_AND_DIE = """
import asyncio, os, sys
from pathlib import Path
from pump.core.clock import Clock
from pump.telemetry.metrics import Metrics
from pump.spool import Spool, SpoolSettings

left = int(sys.argv[2])
for name in ("rename", "fsync", "unlink"):
    def dying(*args, do=getattr(os, name), **more):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        return do(*args, **more)
    setattr(os, name, dying)

async def main():
    spool = await Spool.open(Path(sys.argv[1]), SpoolSettings(), clock=Clock(), metrics=Metrics())
    os._exit(0)  # before anybody could tell of the repair

asyncio.run(main())
"""


def test_killed_at_any_step_of_a_salvage_nothing_readable_is_lost_and_the_loss_is_told(tmp_path: Path) -> None:
    """A process that dies before each rename, fsync and unlink in turn, until it lives; then one that looks."""
    healthy = tmp_path / "healthy"
    child = subprocess.Popen([sys.executable, "-c", _WRITE_UNTIL_KILLED, str(healthy)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"written\n"
    child.kill()  # so that the newest events lie in the WAL
    child.wait()
    child.stdout.close()

    async def look(folder: Path) -> None:
        spool = await _open(folder)
        try:
            assert await _read(spool) == list(range(1000))
            assert spool.repaired is not None
            assert spool.repaired.aside is not None
            assert (folder / spool.repaired.aside).exists()
            spool.repair_told()
        finally:
            await spool.close()
        spool = await _open(folder)
        assert spool.repaired is None
        assert await spool.append(rows(999, 2), source="teams") == Receipt(1, 1)
        await spool.close()
        assert not list(folder.glob("spool.salvage*"))

    step, code = 0, 9
    while code == 9:
        folder = tmp_path / str(step)
        shutil.copytree(healthy, folder)
        (folder / "spool.damaged").touch()  # the daemon met damage, and ended
        code = subprocess.run([sys.executable, "-c", _SALVAGE_AND_DIE, str(folder), str(step)], check=False).returncode
        asyncio.run(look(folder))
        step += 1
    assert code == 0
    assert step > 5


async def test_the_vendors_redelivery_of_a_lost_event_is_no_duplicate(tmp_path: Path) -> None:
    await _fill(tmp_path)
    path = tmp_path / "spool.db"
    data = path.read_bytes()
    page = data.index(b"1234" + b"." * 100) // PAGE_SIZE
    with path.open("r+b") as file:
        file.seek(page * PAGE_SIZE)
        file.write(b"\xa5" * PAGE_SIZE)
    (tmp_path / "spool.damaged").touch()
    spool = await _open(tmp_path)
    assert spool.repaired is not None
    lost = sorted(set(range(_COUNT)) - set(await _read(spool)))
    assert len(lost) == spool.repaired.lost > 0
    # Not completed at the vendor, they come again; what was kept does not.
    assert await spool.append(rows(0, _COUNT), source="teams") == Receipt(len(lost), _COUNT - len(lost))
    await spool.close()


async def test_numbers_that_duplicates_took_are_no_loss(tmp_path: Path) -> None:
    spool = await _open(tmp_path)
    await spool.append(rows(0, 100), source="teams")
    await spool.append(rows(50, 100), source="teams")
    await spool.append(rows(150, 100), source="teams")
    await spool.close()
    (tmp_path / "spool.damaged").touch()
    spool = await _open(tmp_path)
    assert spool.repaired is not None
    assert (spool.repaired.lost, spool.repaired.carried) == (0, 250)
    await spool.close()


async def test_what_lies_behind_a_damaged_page_of_keys_is_carried_too(tmp_path: Path) -> None:
    await _fill(tmp_path, 20_000)
    path = tmp_path / "spool.db"
    data = path.read_bytes()
    page = data.index(b"id-10000") // PAGE_SIZE
    with path.open("r+b") as file:
        file.seek(page * PAGE_SIZE)
        file.write(bytes(PAGE_SIZE))
    spool = await _open(tmp_path)
    assert spool.repaired is not None
    first, newest = (
        await spool.append(rows(0, 100), source="teams"),
        await spool.append(rows(19_900, 100), source="teams"),
    )
    assert (first, newest) == (Receipt(0, 100), Receipt(0, 100))
    await spool.close()


async def test_a_folder_that_was_killed_while_the_spool_was_made_is_used(tmp_path: Path) -> None:
    (tmp_path / "spool.db").touch()
    spool = await _open(tmp_path)
    assert spool.repaired is None
    assert await spool.append(rows(1, 1), source="teams") == Receipt(1, 0)
    await spool.close()


async def test_a_file_that_is_checked_whole_is_read_in_its_own_order_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _fill(tmp_path)
    path = tmp_path / "spool.db"
    size = path.stat().st_size
    before = _bytes_read()
    assert repair.examine(path) is None
    whole = _bytes_read() - before
    monkeypatch.setattr(repair, "CHECKED", size - 1)
    assert repair.examine(path) is None
    little = _bytes_read() - before - whole
    assert whole > 1.8 * size, "read once ahead and once by the check"
    assert little < size / 2
    (tmp_path / "spool.damaged").touch()
    assert "damage was met" in str(repair.examine(path))
    assert _bytes_read() - before - whole - little < 1.2 * size, "what memory may not hold is read by the check alone"


def _bytes_read() -> int:
    return int(Path("/proc/thread-self/io").read_text().partition("rchar: ")[2].split()[0])


def test_a_newer_spool_is_refused_and_left_alone(tmp_path: Path) -> None:
    asyncio.run(_fill(tmp_path, 100))
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as db:
        db.execute("PRAGMA user_version=99")
    (tmp_path / "spool.schema").unlink()  # whose copy says it was ours at the last start: then it is a flipped byte
    with pytest.raises(ValueError, match="newer pump"):
        asyncio.run(_open(tmp_path))


_FULL = """
import asyncio, json, os, sys
from pathlib import Path
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.telemetry.metrics import Metrics
from pump.spool import Spool, SpoolSettings
from tests.unit.spool.conftest import number, rows

async def main():
    folder = Path(sys.argv[1])
    told = {}
    spool = await Spool.open(folder / "spool", SpoolSettings(), clock=Clock(), metrics=Metrics())
    ballast = folder / "ballast"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with ballast.open("wb") as file:
        file.write(bytes(free - (6 << 20)))
    stored = []
    n = 0
    while len(stored) < 5000:
        try:
            await spool.append(rows(n, 10, size=20_000), source="teams")
        except Unavailable as error:
            told["refused"] = error.reason
            break
        stored += range(n, n + 10)
        n += 10
    told["stored"] = len(stored)
    # Cursors and the daemon's own events still find room, from the reserve.
    spool.set_cursor("out", spool.head, None)
    await spool.flush()
    own = await spool.append(rows(900_000, 1, source="pump"), source="pump", urgent=True)
    told["own"] = own.stored
    for _ in range(3):
        try:
            await spool.append(rows(n, 10, size=20_000), source="teams")
            told["accepted while full"] = True
        except Unavailable:
            pass
    ballast.unlink()
    async with asyncio.timeout(30):
        while spool.refusing:
            await asyncio.sleep(0.05)
    receipt = await spool.append(rows(n, 10, size=20_000), source="teams")
    told["after"] = [receipt.stored, receipt.duplicates]
    stored += range(n, n + 10)
    found, after = [], 0
    while batch := await spool.read(after):
        found += [number(record.body) for record in batch]
        after = batch[-1].seq
    told["as stored"] = [n for n in found if n != 900_000] == stored
    await spool.close()
    # A start on a full disk: nothing is wrong with the file.
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    spool = await Spool.open(folder / "spool", SpoolSettings(), clock=Clock(), metrics=Metrics())
    told["started full"] = [spool.refusing, spool.repaired is None, len(await spool.read(0, limit=1))]
    spool.set_cursor("out", spool.head, {"n": 1})
    await spool.flush()
    ballast.unlink()
    await spool.close()
    print(json.dumps(told))

asyncio.run(main())
"""


def test_a_full_disk_is_survived_and_left_without_help(tmp_path: Path) -> None:
    # A disk of its own, in a namespace of its own: full means full here.
    script = 'mount -t tmpfs -o size=48m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "-U", "-r", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, _FULL],
        capture_output=True, text=True, timeout=100, cwd=os.getcwd(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.pop("refused") == "the spool refuses: the disk is full"
    assert 0 < told.pop("stored") < 5000
    assert told.pop("started full") == ["the disk is full", True, 1]
    assert told == {"own": 1, "after": [10, 0], "as stored": True}


async def test_where_sqlite_finds_no_room_nothing_is_acknowledged(opened: Opener) -> None:
    async with opened() as spool:
        await spool.append(rows(0, 10), source="teams")
        await spool._writer.run(lambda db: db.execute("PRAGMA max_page_count=12").fetchone())
        stored, refused = 10, ""
        while not refused and stored < 10_000:
            try:
                await spool.append(rows(stored, 10, size=2000), source="teams")
                stored += 10
            except Unavailable as error:
                refused = error.reason
        assert refused == "the spool refuses: the disk is full"
        assert await _read(spool) == list(range(stored))
        await spool._writer.run(lambda db: db.execute("PRAGMA max_page_count=1000000").fetchone())
        async with asyncio.timeout(30):
            while spool.refusing:
                await asyncio.sleep(0.05)  # it resumes by itself, and tells nobody
        assert await spool.append(rows(stored, 10, size=2000), source="teams") == Receipt(10, 0)


async def test_an_unreadable_piece_of_state_stops_no_start(opened: Opener) -> None:
    async with opened() as spool:
        await spool.append(rows(0, 10), source="teams", state={"good": 1, "bad": 2})
        spool.set_cursor("out", 5, {"offset": 12})
        await spool.flush()
        await spool._writer.run(lambda db: db.execute("UPDATE state SET value = '2}' WHERE key = 'bad'").fetchone())
        await spool._writer.run(lambda db: db.execute("UPDATE cursors SET state = '{'").fetchone())
    async with opened() as spool:
        assert spool.state("teams") == {"good": 1}
        assert spool.cursor("out") == Cursor(5, {"offset": 12}), "its copy"


@pytest.mark.parametrize("first", [None, "x", -(1 << 60)])
def test_a_block_with_nothing_right_in_it_costs_neither_memory_nor_the_sink(first: Any) -> None:
    assert unpack(first, 70, b"[[1,", b"").damaged == [70]
