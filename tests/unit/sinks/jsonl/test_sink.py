from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import stat
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.core.record import Record, State
from pump.sinks.jsonl.file import LinesFile, TakenBack
from pump.sinks.jsonl.recovery import FilePart, parts, search
from pump.sinks.jsonl.sink import JsonlSettings, JsonlSink
from pump.testing import ManualClock
from pump.testing.records import record


def sink(path: Path | str, state: State | None = None, clock: Clock | None = None, **settings: Any) -> JsonlSink:
    table = JsonlSettings(type="jsonl", path=str(path), **{"fsync": "never", **settings})
    return JsonlSink("out", table, state=state, clock=clock or Clock(), site="testing")


def numbers(*paths: Path) -> list[int]:
    """The events in the files, in order; a line that is none fails the test."""
    lines = b"".join(path.read_bytes() for path in paths).split(b"\n")
    assert lines.pop() == b"", "the last line has no end"
    return [json.loads(line)["data"]["raw"]["number"] for line in lines]


async def send(path: Path, batch: Sequence[Record], state: State | None = None, **settings: Any) -> State | None:
    async with sink(path, state, **settings) as out:
        return await out.send(batch)


def end_of(path: Path) -> State:
    """The state of a sink that has just written the file's last line."""
    content = path.read_bytes()
    last = content.splitlines(keepends=True)[-1]
    return {"inode": path.stat().st_ino, "offset": len(content), "line": zlib.crc32(last)}


def batch(begin: int, end: int, size: int = 0) -> list[Record]:
    return [record(seq, size=size) for seq in range(begin, end)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


async def test_lines_are_appended_in_order(path: Path) -> None:
    async with sink(path) as out:
        first = await out.send(batch(1, 6))
        await out.send(batch(6, 11))
    assert first == {
        "inode": path.stat().st_ino,
        "offset": len(b"\n".join(r.body for r in batch(1, 6))) + 1,
        "line": zlib.crc32(record(5).body + b"\n"),
    }
    assert numbers(path) == list(range(1, 11))
    assert stat.S_IMODE(path.stat().st_mode) & ~0o640 == 0


@pytest.mark.parametrize("fsync", ["never", "batch", "interval"])
async def test_what_was_written_before_a_crash_is_not_written_again(path: Path, fsync: str) -> None:
    async with sink(path, fsync=fsync) as out:
        opened = out.state
        await out.send(batch(1, 6))
        await out.send(batch(6, 11))
    async with sink(path, opened, fsync=fsync) as out:
        state = await out.send(batch(1, 8))
        # Lines behind the stored place are still to be met: it must not move, or the next crash would repeat them.
        assert state == opened
        state = await out.send(batch(8, 14))
        assert state == end_of(path)
    assert numbers(path) == list(range(1, 14))
    await send(path, batch(14, 16), state, fsync=fsync)
    assert numbers(path) == list(range(1, 16))


@pytest.mark.parametrize(
    "tail",
    [
        b'{"specver',
        b"\0" * 5000,
        b'{"specversion":"1.0","id":"abc' + b"\0" * 100,
        b"stranger\n",
        b"stranger\nand no end",
    ],
    ids=["torn", "zeros", "torn and zeros", "foreign", "foreign without end"],
)
async def test_an_end_that_is_no_event_is_cut(path: Path, tail: bytes) -> None:
    async with sink(path) as out:
        opened = out.state
        state = await out.send(batch(1, 6))
    whole = path.read_bytes()
    for before in (opened, state):
        path.write_bytes(whole + tail)
        async with sink(path, before):
            assert path.read_bytes() == whole
    await send(path, batch(1, 8), opened)
    assert numbers(path) == list(range(1, 8))
    kept = path.with_name("events.jsonl.cut")
    assert kept.exists() == tail.startswith(b"stranger")


@pytest.mark.parametrize("days", [-20_000, -10, 10, 3650])
async def test_a_clock_that_went_back_between_two_lines_brings_no_line_twice(path: Path, days: int) -> None:
    """What was written is looked for among lines whose times of arrival do not grow."""

    def arrived(seq: int, at: datetime) -> Record:
        event = json.loads(record(seq).body) | {"recordedtime": at.isoformat().replace("+00:00", "Z")}
        return record(seq)._replace(recorded=int(at.timestamp() * 1000), body=json.dumps(event).encode())

    clock = ManualClock()
    right = [arrived(seq, clock.now()) for seq in (1, 2)]
    clock.jump(days * 86400)
    wrong = [arrived(seq, clock.now()) for seq in (3, 4)]
    clock.jump(-days * 86400)
    mended = [arrived(seq, clock.now()) for seq in (5, 6)]
    async with sink(path) as out:
        opened = out.state
        await out.send([*right, *wrong, *mended])
    async with sink(path, opened) as out:
        for one in [*right, *wrong, *mended]:
            await out.send([one])
        await out.send([arrived(7, clock.now())])
    assert numbers(path) == [1, 2, 3, 4, 5, 6, 7]


async def test_whole_events_without_rows_are_never_cut(path: Path) -> None:
    async with sink(path) as out:
        opened = out.state
        await out.send(batch(1, 11))
    await send(path, batch(8, 13), opened)  # the rows 1 to 7 are gone, say after a repair
    assert numbers(path) == list(range(1, 13))


async def test_whole_events_behind_a_strangers_text_come_again_and_are_kept_beside(path: Path) -> None:
    async with sink(path) as out:
        opened = out.state
        await out.send(batch(1, 4))
        with path.open("ab") as stranger:
            stranger.write(b"--- lunch ---\n")
        await out.send(batch(4, 7))
    await send(path, batch(1, 9), opened)
    assert numbers(path) == list(range(1, 9))
    assert b"--- lunch ---\n" in path.with_name("events.jsonl.cut").read_bytes()


@pytest.mark.parametrize("content", [b"notes\n", b"notes"])
async def test_a_file_that_others_began_is_kept_and_ours_begin_on_a_line_of_their_own(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    async with sink(path) as out:
        opened = out.state
        await out.send(batch(1, 4))
    await send(path, batch(1, 6), opened)
    lines = path.read_bytes().split(b"\n")
    assert lines[0] == b"notes"
    assert [json.loads(line)["data"]["raw"]["number"] for line in lines[1:-1]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", ["events.jsonl.1", "events.jsonl-20261120", "old.jsonl"])
async def test_the_lines_behind_the_state_are_found_in_a_renamed_file(path: Path, name: str) -> None:
    async with sink(path) as out:
        opened = out.state
        await out.send(batch(1, 4))
        old = path.rename(path.with_name(name))
        path.touch()  # logrotate's `create`
        await out.send(batch(4, 7))
        path_torn = path.read_bytes() + record(7).body[:50]
    path.write_bytes(path_torn)
    with old.open("ab") as end:
        end.write(b"\0" * 100)
    await send(path, batch(1, 10), opened)
    assert numbers(old) == [1, 2, 3]
    assert numbers(old, path) == list(range(1, 10))


async def test_a_file_moved_away_is_followed_by_a_new_one(path: Path) -> None:
    async with sink(path) as out:
        await out.send(batch(1, 4))
        path.rename(path.with_name("events.jsonl.1"))
        await out.send(batch(4, 7))
        path.unlink()
        state = await out.send(batch(7, 9))
    assert numbers(path.with_name("events.jsonl.1")) == [1, 2, 3]
    assert numbers(path) == [7, 8]
    assert state == end_of(path)


async def test_rotation_by_size_loses_and_repeats_nothing(path: Path) -> None:
    async with sink(path, rotate_bytes="2KiB", rotate_keep=4, fsync="batch") as out:
        opened = out.state
        for begin in range(1, 17, 4):
            await out.send(batch(begin, begin + 4))
    files = [path.with_name(f"events.jsonl.{number}") for number in (4, 3, 2, 1)]
    files = [*(file for file in files if file.exists()), path]
    assert len(files) == 4
    assert numbers(*files) == list(range(1, 17))
    assert all(file.stat().st_size <= 2048 for file in files)
    # Nothing of it was stored: all is found again, over all the files that came since.
    async with sink(path, opened, rotate_bytes="2KiB", rotate_keep=4) as out:
        found = await out.send(batch(1, 17))
        assert found == {"inode": path.stat().st_ino, "offset": path.stat().st_size}
        await out.send(batch(17, 19))
    assert not path.with_name("events.jsonl.5").exists()
    files = [*(f for f in (path.with_name(f"events.jsonl.{n}") for n in (4, 3, 2, 1)) if f.exists()), path]
    assert numbers(*files) == list(range(1, 19))


async def test_the_oldest_file_goes_and_what_is_there_is_not_repeated(path: Path) -> None:
    async with sink(path, rotate_bytes="1KiB", rotate_keep=2) as out:
        first = await out.send(batch(1, 3))
        for begin in range(3, 13, 2):
            await out.send(batch(begin, begin + 2))
    files = [path.with_name("events.jsonl.2"), path.with_name("events.jsonl.1"), path]
    assert numbers(*files) == list(range(7, 13))
    async with sink(path, first) as out:  # the file that the state names is gone
        await out.send(batch(7, 15))
    assert numbers(*files) == list(range(7, 15))


@pytest.mark.parametrize("heir", ["events.jsonl", "events.jsonl.1", "events.jsonl.2"])
async def test_a_later_file_may_have_the_number_of_one_that_is_gone(path: Path, heir: str) -> None:
    async with sink(path, rotate_bytes="1KiB", rotate_keep=2) as out:
        first = await out.send(batch(1, 3))
        for begin in range(3, 13, 2):
            await out.send(batch(begin, begin + 2))
    assert first is not None
    # Lines of two figures are no longer than lines of one: the place fits, the line before it does not.
    state = {**first, "inode": path.with_name(heir).stat().st_ino}
    async with sink(path, state) as out:
        await out.send(batch(7, 15))
    files = [path.with_name("events.jsonl.2"), path.with_name("events.jsonl.1"), path]
    assert numbers(*files) == list(range(7, 15))


async def test_copytruncate_goes_on_at_the_end(path: Path) -> None:
    async with sink(path) as out:
        state = await out.send(batch(1, 4))
        os.truncate(path, 0)
        await out.send(batch(4, 6))
        assert numbers(path) == [4, 5]
    os.truncate(path, 0)
    async with sink(path, state) as out:  # shorter than the state says
        assert out.state == {"inode": path.stat().st_ino, "offset": 0}
        await out.send(batch(5, 7))
    assert numbers(path) == [5, 6]


async def test_another_file_with_the_same_number_is_not_taken_for_ours(path: Path) -> None:
    await send(path, batch(1, 4))
    content = path.read_bytes()
    state = {"inode": path.stat().st_ino, "offset": 100}  # in the middle of a line
    await send(path, batch(4, 5), state)
    assert path.read_bytes().startswith(content)


async def test_a_cancelled_write_ends_before_the_sink_is_left(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread cannot be cancelled: were it not waited for, the next opening would cut its line under its hands."""
    writing, go_on = threading.Event(), threading.Event()
    write = os.write

    def slow(fd: int, data: bytes) -> int:
        done = write(fd, data[: len(data) // 2 + 7])
        writing.set()
        go_on.wait()
        return done

    async with sink(path, fsync="batch") as out:
        opened = out.state
        await out.send(batch(1, 4))
        monkeypatch.setattr(os, "write", slow)
        sending = asyncio.create_task(out.send(batch(4, 8)))
        await asyncio.to_thread(writing.wait)
        torn = path.read_bytes()
        for _ in range(3):  # also when somebody insists
            sending.cancel()
            await asyncio.sleep(0)
        waiting = not sending.done()
        go_on.set()
        assert waiting
        assert not torn.endswith(b"\n")
        with pytest.raises(asyncio.CancelledError):
            await sending
        monkeypatch.setattr(os, "write", write)
        assert numbers(path) == list(range(1, 8))
    await send(path, batch(1, 10), opened)
    assert numbers(path) == list(range(1, 10))


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """The kernel refuses to let any file grow beyond `size`, with short writes on the way, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # half of a module, which then stays
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = writes_bytecode


@pytest.mark.parametrize("fsync", ["never", "batch", "interval"])
async def test_a_full_disk_leaves_whole_lines_and_goes_on_by_itself(path: Path, fsync: str) -> None:
    line = len(record(1).body) + 1
    async with sink(path, fsync=fsync) as out:
        await out.send(batch(1, 4))
        rest = batch(4, 10)
        with file_size_limit(5 * line + line // 2):
            with pytest.raises(Unavailable) as error:
                await out.send(rest)
            assert error.value.done == {4, 5}
            assert numbers(path) == [1, 2, 3, 4, 5]
            with pytest.raises(Unavailable) as error:
                await out.send(rest[2:])
            assert not error.value.done
        await out.send(rest[2:])
        if out.deferring:
            await out.settle()
    assert numbers(path) == list(range(1, 10))


async def test_a_full_disk_after_a_crash_counts_what_the_file_holds_as_sent(path: Path) -> None:
    line = len(record(1).body) + 1
    async with sink(path) as out:
        opened = out.state
        await out.send(batch(1, 4))
    async with sink(path, opened) as out:
        with file_size_limit(4 * line), pytest.raises(Unavailable) as error:
            await out.send(batch(1, 7))
        assert error.value.done == {1, 2, 3, 4}  # three that were there, one for which there was room
    assert numbers(path) == [1, 2, 3, 4]


async def test_fsync_by_interval_settles_when_it_is_due_or_nothing_comes(path: Path) -> None:
    clock = ManualClock()
    async with sink(path, clock=clock, fsync="interval", fsync_interval="1s") as out:
        assert out.deferring
        assert await out.settle() is None
        await out.send(batch(1, 3))
        assert await out.settle() is None  # not yet due, and more may come
        await out.send(batch(3, 5))
        clock.advance(1.0)
        settled = await out.settle()
        assert settled is not None
        assert settled.seq == 4
        assert settled.state == end_of(path)
        assert await out.settle() is None
        await out.send(batch(5, 7))
        assert await out.settle() is None
        settled = await out.settle()  # quiet since the last question
        assert settled is not None
        assert settled.seq == 6


def test_what_fsync_refuses_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LinesFile(path, fsync="interval", rotate_bytes=None, rotate_keep=1)
    file.open(None)
    file.write([record(1).body])
    file.sync()
    safe = path.read_bytes()
    file.write([record(2).body])

    def refuse(fd: int) -> None:
        raise OSError(5, "input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        with pytest.raises(TakenBack):
            file.sync()
    assert path.read_bytes() == safe
    file.close()


@pytest.mark.parametrize("number_", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("moment", ["settling", "rotating"])
async def test_after_a_refused_fsync_no_cursor_passes_what_was_taken_back(
    path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, number_: int
) -> None:
    """Taken back, the lines must come again: by a new opening at the stored cursor, which must not have moved."""

    def refuse(fd: int) -> None:
        raise OSError(number_, os.strerror(number_))

    async def last_settling(out: JsonlSink) -> None:
        for _ in range(2):
            await out.settle()

    async def main() -> None:
        async with sink(path, fsync="interval", rotate_bytes="2KiB") as out:
            opened = out.state
            await out.send(batch(1, 4, size=100))
            with monkeypatch.context() as patch:
                patch.setattr(os, "fdatasync", refuse)
                # Whatever it raises must have Delivery open the sink anew: `Unavailable` would go on behind the hole.
                with pytest.raises(TakenBack):
                    await (last_settling(out) if moment == "settling" else out.send(batch(4, 8, size=500)))
            assert path.read_bytes() == b""
            assert [await out.settle() for _ in range(3)] == [None] * 3
        async with sink(path, opened, fsync="interval") as out:
            await out.send(batch(1, 8, size=100))
        assert numbers(path) == list(range(1, 8))

    await main()


async def test_a_file_that_a_hung_opening_holds_is_asked_for_again_soon(path: Path) -> None:
    """An opening that hangs is left behind with its lock; ten minutes after it let go would be ten too many."""

    async with sink(path):
        with pytest.raises(Misconfigured) as raised:
            async with sink(path):
                pass
        assert raised.value.retry_after is not None
        assert raised.value.retry_after <= 30


async def test_a_second_writer_is_refused(path: Path) -> None:
    async with sink(path):
        with pytest.raises(Misconfigured, match="another process"):
            async with sink(path):
                pass
    async with sink(path):
        pass


def test_what_only_a_person_can_mend_is_said_with_advice(tmp_path: Path) -> None:
    async def opening(path: Path) -> None:
        async with sink(path):
            pass

    os.mkfifo(tmp_path / "pipe")
    for path, advice in (
        (tmp_path / "missing" / "events.jsonl", "does not exist: create it"),
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "no regular file"),
    ):
        with pytest.raises(Misconfigured, match=advice):
            asyncio.run(opening(path))


async def test_the_link_stays_when_its_file_is_rotated(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, target = tmp_path / "events.jsonl", tmp_path / "disk" / "events.jsonl"
    link.symlink_to(target)

    async with sink(link, rotate_bytes="1KiB") as out:
        await out.send(batch(1, 3))
        await out.send(batch(3, 5))
    assert link.is_symlink()
    assert numbers(tmp_path / "disk" / "events.jsonl.1", target) == [1, 2, 3, 4]


def test_settings() -> None:
    with pytest.raises(ValidationError, match="standard output cannot be rotated"):
        JsonlSettings.model_validate({"type": "jsonl", "path": "-", "rotate_bytes": "1MiB"})
    one = JsonlSettings(type="jsonl", path="x.jsonl")
    assert one.fsync == "interval"
    assert one.identity() == JsonlSettings(type="jsonl", path="./x.jsonl").identity()
    assert one.identity() != JsonlSettings(type="jsonl", path="y.jsonl").identity()


def test_a_long_run_of_zeros_costs_no_memory_and_is_cut(path: Path) -> None:
    path.write_bytes(record(1).body + b"\n")
    whole = path.stat().st_size
    os.truncate(path, whole + (64 << 20))
    found = parts(path, path.stat().st_ino, 0)
    assert found == [FilePart(path, 0, True)]
    assert search(found, sync=False).left == 1
    assert path.stat().st_size == whole


_PRINT = """
import asyncio, sys
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.sinks.jsonl.sink import JsonlSettings, JsonlSink
from pump.testing.records import record

def sink():
    return JsonlSink("out", JsonlSettings(type="jsonl", path="-"), state=None, clock=Clock(), site="testing")

async def main():
    async with sink() as out:
        assert out.state is None and not out.deferring
        SCRIPT

asyncio.run(main())
"""


def run_printing(script: str, **pipes: Any) -> subprocess.Popen[bytes]:
    text = _PRINT.replace("SCRIPT", script.replace("\n", "\n        "))
    return subprocess.Popen([sys.executable, "-c", text], **pipes)


@pytest.mark.parametrize("size", [0, 10_000])
def test_standard_output_gets_every_line(tmp_path: Path, size: int) -> None:
    script = f"assert await out.send([record(seq, size={size}) for seq in range(1, 501)]) is None"
    with run_printing(script, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        printed = child.stdout.read()
    assert [json.loads(line)["data"]["raw"]["number"] for line in printed.splitlines()] == list(range(1, 501))
    with (tmp_path / "redirected").open("wb") as file, run_printing(script, stdout=file) as child:
        assert child.wait() == 0
    assert (tmp_path / "redirected").read_bytes() == printed


def test_a_reader_that_does_not_read_can_be_left_and_the_line_it_missed_is_ended() -> None:
    script = """
sending = asyncio.create_task(out.send([record(1), record(2, size=1_000_000)]))
while not sending.done():
    await asyncio.sleep(0.2)
    sending.cancel()
    print("left", file=sys.stderr, flush=True)
    break
await asyncio.wait({sending})
assert sending.cancelled()
print("closed", file=sys.stderr, flush=True)
async with sink() as again:
    await again.send([record(3)])
"""
    with run_printing(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stderr.readline() == b"left\n"
        assert child.stderr.readline() == b"closed\n"
        printed = child.stdout.read().split(b"\n")
        assert child.wait() == 0, child.stderr.read()
    assert [json.loads(printed[place])["data"]["raw"]["number"] for place in (0, 2)] == [1, 3]
    assert printed[1].startswith(b'{"specversion"')
    assert printed[3:] == [b""]


def test_a_reader_that_is_gone_is_waited_for() -> None:
    script = """
sys.stdin.readline()
try:
    await out.send([record(1)])
except Unavailable as error:
    print(error, len(error.done), file=sys.stderr)
"""
    with run_printing(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        child.stdin.write(b"go\n")
        child.stdin.close()
        assert child.stderr.read().startswith(b"its reader is gone (Broken pipe) 0")
        child.wait()
