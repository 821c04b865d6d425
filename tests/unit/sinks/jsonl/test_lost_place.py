"""The sink's place is lost: the newest lines that are there show what was written."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from pump.core.record import Record
from pump.sinks.jsonl import recovery
from pump.sinks.jsonl.recovery import Digests, newest_lines, search
from pump.testing.records import ARRIVED, record
from tests.unit.sinks.jsonl.test_sink import batch, end_of, numbers, send, sink


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def sent_again(one: Record, seconds: int, seq: int) -> Record:
    """The event as its vendor sends it again: another row, that arrived later."""
    at = ARRIVED + timedelta(seconds=seconds)
    event = json.loads(one.body) | {"recordedtime": at.isoformat()}
    return one._replace(
        seq=seq, recorded=int(at.timestamp() * 1000), body=json.dumps(event, separators=(",", ":")).encode()
    )


async def test_what_the_file_holds_is_not_written_again(path: Path) -> None:
    await send(path, batch(1, 51))
    async with sink(path) as out:
        assert out.state is None, "a crash now must find the same"
        for begin in range(1, 71, 10):
            state = await out.send(batch(begin, begin + 10))
            assert out.duplicates == (10 if begin < 51 else 0)
    assert numbers(path) == list(range(1, 71))
    assert state == end_of(path), "found again, it is stored"


@pytest.mark.parametrize("tail", [b'{"specver', b"\0" * 3000, record(51).body[:80]])
async def test_an_end_that_is_torn_is_cut_and_its_event_written(path: Path, tail: bytes) -> None:
    await send(path, batch(1, 51))
    with path.open("ab") as file:
        file.write(tail)
    await send(path, batch(1, 61))
    assert numbers(path) == list(range(1, 61))


@pytest.mark.parametrize("name", ["events.jsonl.1", "events.jsonl-20261120", "events.jsonl.2026-11-20_08"])
async def test_lines_in_rotated_files_count(path: Path, name: str) -> None:
    await send(path, batch(1, 21))
    older = path.rename(path.with_name(name))
    await send(path, batch(21, 31))
    await send(path, batch(1, 41))
    assert numbers(older, path) == list(range(1, 41))


async def test_a_file_rotated_away_and_not_followed_yet_is_found(path: Path) -> None:
    await send(path, batch(1, 21))
    older = path.rename(path.with_name("events.jsonl.1"))
    await send(path, batch(1, 31))
    assert numbers(older, path) == list(range(1, 31))


async def test_other_files_beside_it_are_no_witnesses(path: Path) -> None:
    for name in ("events.jsonl.cut", "events.jsonl.bak", "others.jsonl", "events.jsonl.3.gz", "events.jsonlx.1"):
        path.with_name(name).write_bytes(record(1).body + b"\n" if not name.endswith("gz") else b"\x1f\x8b\x08" * 50)
    await send(path, batch(1, 4))
    assert numbers(path) == [1, 2, 3]


async def test_a_file_that_a_person_removed_holds_each_event_once(path: Path) -> None:
    state = await send(path, batch(1, 21))
    path.unlink()
    await send(path, batch(1, 31))
    assert numbers(path) == list(range(1, 31))
    path.unlink()
    await send(path, batch(31, 41), state)
    assert numbers(path) == list(range(31, 41))


async def test_a_file_put_back_from_a_copy_shows_what_it_lacks(path: Path) -> None:
    await send(path, batch(1, 21))
    kept = path.read_bytes()
    state = await send(path, batch(21, 31), {"inode": path.stat().st_ino, "offset": len(kept)})
    path.rename(path.with_name("old"))
    path.write_bytes(kept)  # another file, shorter than the state says
    path.with_name("old").unlink()
    await send(path, batch(11, 41), state)
    assert numbers(path) == list(range(1, 41))


async def test_lines_that_stand_twice_already_neither_harm_nor_hide(path: Path) -> None:
    await send(path, batch(1, 21))
    with path.open("ab") as file:
        file.write(b"".join(one.body + b"\n" for one in batch(3, 6)))  # an operator's replay
    await send(path, batch(1, 31))
    assert numbers(path) == [*range(1, 21), 3, 4, 5, *range(21, 31)]


async def test_an_event_that_its_vendor_sends_again_is_left_out_and_is_no_witness_of_the_place(path: Path) -> None:
    """The spool was lost with its keys: the numbers begin anew, and what was not confirmed comes again."""
    old = batch(1, 21)
    await send(path, old)
    again = [sent_again(one, 60, seq) for seq, one in enumerate(old[15:], 101)]
    fresh = [sent_again(record(number), 61, number + 80) for number in range(21, 31)]
    async with sink(path) as out:
        assert await out.first_held([*again, *fresh]) is None, "what came between would count as delivered"
        await out.send([*again, *fresh])
    assert numbers(path) == list(range(1, 31))


async def test_so_it_is_where_the_place_is_known_and_the_spool_has_lost_its_newest_rows(path: Path) -> None:
    async with sink(path) as out:
        opened = out.state
        await out.send(batch(1, 21))
    again = [sent_again(one, 60, seq) for seq, one in enumerate(batch(15, 21), 15)]
    fresh = [sent_again(record(number), 61, number) for number in range(21, 31)]
    await send(path, [*batch(1, 15), *again, *fresh], opened)
    assert numbers(path) == list(range(1, 31))


async def test_the_first_record_that_is_there_is_the_witness_of_the_place(path: Path) -> None:
    await send(path, batch(11, 31))
    async with sink(path) as out:
        assert await out.first_held(batch(1, 11)) is None
        assert await out.first_held(batch(5, 15)) == 11
    async with sink("-") as out:
        assert await out.first_held(batch(1, 11)) is None


async def test_only_the_newest_lines_up_to_a_bound_are_looked_through(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    for number in range(5):
        await send(path, batch(number * 20, number * 20 + 20))
        size = path.stat().st_size
        files.append(path.rename(path.with_name(f"events.jsonl.{5 - number}")))
        os.utime(files[-1], (number, number))
    await send(path, batch(100, 110))
    monkeypatch.setattr(recovery, "LOOKED", size * 2)
    found = newest_lines(path, size * 2)
    assert [part.path.name for part in found] == ["events.jsonl.2", "events.jsonl.1", "events.jsonl"]
    assert 0 < found[0].start < size, "it begins with a line, within the bound"
    written = search(found, sync=False, lost=True)
    assert 38 <= written.left <= 40
    seen = {number for number in range(110) if written.holds(record(number))}
    assert seen == set(range(110 - written_count(found), 110))


def written_count(found: Sequence[recovery.FilePart]) -> int:
    return sum(part.path.read_bytes()[part.start :].count(b"\n") for part in found)


def test_digests_know_what_was_added_and_count_each_once() -> None:
    digests = Digests()
    for number in range(5000):
        digests.add(b"%d" % (number // 2))
    digests.close()
    assert digests.left == 2500
    assert all(digests.meet(b"%d" % number) for number in range(2500))
    assert digests.meet(b"7")
    assert not digests.meet(b"2500")
    assert digests.left == 0
