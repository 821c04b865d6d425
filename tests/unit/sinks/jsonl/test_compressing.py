"""Rotated files are compressed beside the writer: nothing is lost or repeated, whenever it is killed."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from pump.sinks.jsonl.compressing import Compressor
from pump.sinks.jsonl.rotation import compressed, inode, length, numbered, opened, rotated, shift
from pump.sinks.jsonl.sink import JsonlSettings
from tests.unit.sinks.jsonl.test_sink import batch, send, sink

ROTATED: dict[str, Any] = {"rotate_bytes": "2KiB", "rotate_keep": 9, "compress": "gzip"}


def compress_all(path: Path) -> None:
    """As the thread does it, to its end."""
    one = Compressor(path)
    while (file := one._next()) is not None:
        assert one._compress(file)


def killed_at(path: Path, left: int) -> bool:
    """Compress all in a process that is gone before the `left`-th thing that it does to one of the files; False where
    it has done all before."""
    if (child := os.fork()) == 0:

        def audit(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in ("open", "os.rename", "os.remove", "os.truncate") and "events.jsonl" in str(arguments[0]):
                left -= 1
                if left < 0:
                    os._exit(9)

        sys.addaudithook(audit)
        try:
            compress_all(path)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def numbers(path: Path) -> list[int]:
    """The events in all the files, the oldest first; of a file in both forms the plain one."""
    lines: list[bytes] = []
    for file in (*(file for _, file in numbered(path)), path):
        with opened(file) as content:
            lines += content.read().splitlines()
    return [json.loads(line)["data"]["raw"]["number"] for line in lines]


async def until_compressed(path: Path, count: int) -> list[Path]:
    async with asyncio.timeout(60.0):
        while True:
            found = [file for _, file in numbered(path)]
            done = len(found) == count and all(file.suffix == ".gz" for file in found)
            if done and not [file for file in path.parent.iterdir() if file.name.endswith(".compressing")]:
                return found
            await asyncio.sleep(0.01)


async def test_rotated_files_become_smaller_and_are_counted_all_the_same(path: Path) -> None:
    async with sink(path, **ROTATED | {"rotate_keep": 3}) as out:
        for begin in range(1, 41, 4):
            await out.send(batch(begin, begin + 4))
        found = await until_compressed(path, 3)
        await out.send(batch(41, 45))  # another rotation, over compressed ones
        found = await until_compressed(path, 3)
    assert [file.name for file in found] == [f"events.jsonl.{number}.gz" for number in (3, 2, 1)]
    kept = numbers(path)
    assert kept == list(range(kept[0], 45))
    assert sorted(file.name for file in path.parent.iterdir()) == sorted(file.name for file in (path, *found))
    for file in found:
        assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(path.stat().st_mode)
        assert gzip.decompress(file.read_bytes()).count(b"\n") == 4
        assert length(file) == len(gzip.decompress(file.read_bytes()))
        assert inode(file) > 0


async def test_the_place_is_found_in_a_compressed_file(path: Path) -> None:
    async with sink(path, **ROTATED) as out:
        opened_at = out.state
        stored = await out.send(batch(1, 3))
        for begin in range(3, 23, 4):
            await out.send(batch(begin, begin + 4))
        await until_compressed(path, 5)
    for state in (stored, opened_at):
        with capture_logs() as logs:
            async with sink(path, state, **ROTATED) as out:
                assert await out.send(batch(1 if state is opened_at else 3, 23)) is not None
                assert out.duplicates == (22 if state is opened_at else 20)
        assert [line for line in logs if line["log_level"] == "warning"] == []
    assert numbers(path) == list(range(1, 23))


@pytest.mark.parametrize("name", ["events.jsonl.1.gz", "events.jsonl-20261120.gz", "events.jsonl.3.gz"])
async def test_lines_in_compressed_files_count_where_the_place_is_lost(path: Path, name: str) -> None:
    await send(path, batch(1, 21))
    older = path.with_name(name)
    older.write_bytes(gzip.compress(path.read_bytes()))
    os.utime(older, (1, 1))
    path.unlink()
    await send(path, batch(21, 31))
    async with sink(path) as out:
        await out.send(batch(1, 41))
        assert out.duplicates == 30


async def test_a_damaged_compressed_file_gives_what_it_holds(path: Path) -> None:
    await send(path, batch(1, 201, 500))
    whole = gzip.compress(path.read_bytes())
    path.with_name("events.jsonl.1.gz").write_bytes(whole[: len(whole) // 2])
    path.unlink()
    with capture_logs() as logs:
        async with sink(path) as out:
            await out.send(batch(1, 201, 500))
            assert 0 < out.duplicates < 200
    assert [line["event"][:28] for line in logs if line["log_level"] == "warning"] == ["A compressed file is damaged"]


def test_killed_at_any_moment_the_lines_are_there_and_it_is_done_again(path: Path) -> None:
    asyncio.run(send(path, batch(1, 9)))
    shift(path, 9)
    asyncio.run(send(path, batch(9, 17)))
    shift(path, 9)
    path.touch()
    first = path.parent
    for left in range(100):
        folder = first / f"killed {left}"
        shutil.copytree(first, folder, ignore=shutil.ignore_patterns("killed*"))
        (folder / "events.jsonl.compressing").write_bytes(b"half of a file")
        there = folder / path.name
        killed = killed_at(there, left)
        assert numbers(there) == list(range(1, 17)), left
        compress_all(there)
        assert [file.name for _, file in numbered(there)] == ["events.jsonl.2.gz", "events.jsonl.1.gz"]
        assert numbers(there) == list(range(1, 17)), left
        if not killed:
            break
    assert left > 6, "it was killed at some moments"


@pytest.mark.parametrize("both", [True, False])
async def test_a_file_in_both_forms_is_read_once_and_moves_in_both(path: Path, both: bool) -> None:
    await send(path, batch(1, 5))
    shift(path, 3)
    if both:
        compressed(rotated(path, 1)).write_bytes(gzip.compress(rotated(path, 1).read_bytes()))
    await send(path, batch(5, 9))
    shift(path, 3)
    path.touch()
    assert rotated(path, 2).exists()
    assert compressed(rotated(path, 2)).exists() is both
    assert numbers(path) == list(range(1, 9))
    async with sink(path, **ROTATED) as out:
        await until_compressed(path, 2)
        await out.send(batch(1, 11))
        assert out.duplicates == 8


async def test_where_it_cannot_be_compressed_the_file_stays_and_the_sink_goes_on(path: Path) -> None:
    path.with_name("events.jsonl.compressing").mkdir()
    with capture_logs() as logs:
        async with sink(path, **ROTATED) as out:
            for begin in range(1, 17, 4):
                await out.send(batch(begin, begin + 4))
            async with asyncio.timeout(60.0):
                while not [line for line in logs if "could not be compressed" in line["event"]]:
                    await asyncio.sleep(0.01)
    assert numbers(path) == list(range(1, 17))


def test_it_is_of_rotated_files() -> None:
    with pytest.raises(ValidationError, match="needs rotate_bytes"):
        JsonlSettings.model_validate({"type": "jsonl", "path": "x", "compress": "gzip"})
