"""A damaged block gives up its damaged events alone, and names as many numbers as are missing."""

from __future__ import annotations

import random
import zlib

import pytest

from pump.core.record import Record
from pump.spool.blocks import header, pack, unpack
from pump.spool.types import checksum

FIRST, LAST = 101, 164


def block() -> list[Record]:
    return [
        Record(seq, "gate", "vehicle.passed", seq % 4, 1_795_000_000_000 + seq, f"body {seq} ".encode() * (seq % 9 + 1))
        for seq in range(FIRST, LAST + 1)
    ]


def flipped(data: bytes, place: int, mask: int) -> bytes:
    return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]


def test_a_whole_block_comes_back_and_its_header_is_that_of_its_index() -> None:
    index, bodies = pack(block())
    found = unpack(FIRST, LAST, index, bodies)
    assert (found.records, found.damaged) == (block(), [])
    assert header(index) == (LAST, FIRST, 1_795_000_000_000 + LAST)


@pytest.mark.parametrize("column", ["index", "bodies"])
def test_one_flipped_byte_anywhere_costs_the_events_that_it_lies_in_and_no_other(column: str) -> None:
    index, bodies = pack(block())
    rng = random.Random(column)
    for place in range(0, len(index if column == "index" else bodies), 3):
        mask = rng.randrange(1, 256)
        damaged = (flipped(index, place, mask), bodies) if column == "index" else (index, flipped(bodies, place, mask))
        found = unpack(FIRST, LAST, *damaged)
        whole = set(block())
        assert set(found.records) <= whole, place
        lost = len(whole) - len(found.records)
        assert lost <= 2, f"{place}: {lost} lost"  # two where the comma between two entries was hit
        assert len(found.damaged) == lost, place
        assert all(FIRST <= seq <= LAST for seq in found.damaged), place
        assert [record.seq for record in found.records] == sorted(record.seq for record in found.records)


def test_two_damaged_sizes_cost_no_event_outside_of_them() -> None:
    index, bodies = pack(block())
    lines = index.split(b"],[")
    for place in (7, 20):
        seq, rest = lines[place].split(b",", 1)
        lines[place] = seq + b"," + rest.replace(b",", b",1", 5)
    found = unpack(FIRST, LAST, b"],[".join(lines), bodies)
    lost = set(range(FIRST, LAST + 1)) - {record.seq for record in found.records}
    assert {FIRST + 7, FIRST + 20} <= lost
    assert lost <= set(range(FIRST + 7, FIRST + 21)), (
        "those before, between whose sizes are right, and behind are there"
    )
    assert sorted(lost) == found.damaged


@pytest.mark.parametrize("index", [None, 7, 1.5, b"", "text", b"[]", b"7", b"[7]", b"\xff" * 40])
@pytest.mark.parametrize("bodies", [None, 7, b"", b"\0" * 100])
def test_columns_that_are_something_else_are_all_damaged(index: object, bodies: object) -> None:
    found = unpack(FIRST, FIRST + 2, index, bodies)
    assert found.records == []
    assert found.damaged
    assert set(found.damaged) <= {FIRST, FIRST + 1, FIRST + 2}


@pytest.mark.parametrize("size", [0, 1, 15, 64, 1200, 70_000])
def test_the_checksum_is_the_same_whoever_makes_it(size: int) -> None:
    """With the extra "fast" isal does, and a spool is read by either."""
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    seed = zlib.crc32(b"teams vehicle.passed 2") ^ ((7 ^ 1_795_000_000_123) & 0xFFFFFFFF)
    assert checksum(7, "teams", "vehicle.passed", 2, 1_795_000_000_123, body) == zlib.crc32(body, seed)
