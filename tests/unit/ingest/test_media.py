"""The media store: each content once, within a size, a sum and an age."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pump.core.clock import Clock
from pump.ingest.evictions import Early
from pump.ingest.media import LARGEST, Media, Stored, TooLarge
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.testing.clock import START


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def test_a_content_is_one_file_named_by_its_hash(tmp_path: Path) -> None:
    media = Media(tmp_path / "media")
    first, second = await media.store(b"x" * 1000), await media.store(b"x" * 1000)
    assert first == second
    assert first.sha256 == sha256(b"x" * 1000).hexdigest()
    assert _files(tmp_path) == [tmp_path / "media" / first.path]


def test_many_threads_that_store_the_same_leave_one_whole_file(tmp_path: Path) -> None:
    media = Media(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        stored = set(pool.map(media.keep, [b"y" * 100_000] * 64))
    assert len(stored) == 1
    (file,) = _files(tmp_path)
    assert file.read_bytes() == b"y" * 100_000


@pytest.mark.parametrize("left", [b"", b"z" * 10, bytes(1000), b"z" * 1001], ids=["empty", "short", "zeros", "long"])
def test_what_a_crash_left_under_the_same_name_is_written_anew(tmp_path: Path, left: bytes) -> None:
    media = Media(tmp_path)
    path = tmp_path / media.keep(b"z" * 1000).path
    path.write_bytes(left)
    media.keep(b"z" * 1000)
    assert path.read_bytes() == b"z" * 1000


def test_a_write_that_fails_leaves_what_stands_under_the_name_alone(tmp_path: Path) -> None:
    media = Media(tmp_path)
    path = tmp_path / media.keep(b"z" * 1000).path
    path.write_bytes(b"another")
    path.with_name(f"{path.name}.{threading.get_ident()}.part").mkdir()  # so that nothing can be written
    with pytest.raises(IsADirectoryError):
        media.keep(b"z" * 1000)
    assert path.read_bytes() == b"another"


class _Ahead(Clock):
    """The system's clock, so many seconds ahead."""

    by = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.by)


def test_a_file_has_the_pump_s_time_whenever_the_wall_time_jumps(tmp_path: Path) -> None:
    clock = _Ahead()
    media = Media(tmp_path, clock=clock)
    for number, by in enumerate((0, 0, 0, 5000, 5000, -5000, 0, 0)):
        clock.by = by
        before = clock.now().timestamp()
        when = (tmp_path / media.keep(bytes([number])).path).stat().st_mtime
        assert before - 1 <= when <= clock.now().timestamp() + 1


def test_a_file_has_a_largest_size(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        Media(tmp_path).keep(bytes(LARGEST + 1))
    assert _files(tmp_path) == []


def test_what_is_too_old_goes_and_what_was_stored_again_stays(tmp_path: Path) -> None:
    clock = ManualClock()
    media = Media(tmp_path, clock=clock, retention=100.0)
    for content in (b"old", b"again"):
        path = tmp_path / media.keep(content).path
        os.utime(path, (clock.now().timestamp(),) * 2)
    clock.advance(90)
    again = media.keep(b"again")
    clock.advance(20)
    assert media.prune() == 1
    assert _files(tmp_path) == [tmp_path / again.path]


def test_the_oldest_go_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    clock = ManualClock()
    media = Media(tmp_path, clock=clock, max_bytes=10_000)
    media.prune()
    paths = []
    for number in range(10):
        paths.append(tmp_path / media.keep(bytes([number]) * 1000).path)
        os.utime(paths[-1], (clock.now().timestamp() + number,) * 2)
    assert all(path.exists() for path in paths)
    clock.advance(20)
    media.keep(b"z" * 1000)
    assert not paths[0].exists()
    assert paths[-1].exists()
    assert media.used <= 10_000


def test_what_a_crash_left_half_written_goes(tmp_path: Path) -> None:
    clock = ManualClock()
    media = Media(tmp_path, clock=clock, retention=100.0)
    whole = tmp_path / media.keep(b"a").path
    os.utime(whole, (clock.now().timestamp(),) * 2)  # the system stamped it by a clock of its own
    part = tmp_path / "ab" / "abcd.1.part"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"half")
    os.utime(part, (1, 1))
    assert media.prune() == 1
    assert _files(tmp_path) == [whole]


# --- strangers ------------------------------------------------------------------------------------------------------


def _flood(media: Media, count: int, size: int = 5000) -> list[Stored]:
    """As many of a stranger's files, no two alike."""
    return [media.keep(number.to_bytes(4, "big") * (size // 4), stranger=True) for number in range(count)]


def _counted(media: Media) -> Media:
    media.prune()
    return media


def test_strangers_never_take_the_room_of_a_known_device_s_files(tmp_path: Path) -> None:
    media = _counted(Media(tmp_path, clock=ManualClock(), max_bytes=400_000))
    real = [media.keep(bytes([number]) * 39_000) for number in range(10)]
    _flood(media, 60)
    assert all((tmp_path / one.path).exists() for one in real)
    figures = media.figures()
    assert figures["strangers"]["bytes"] <= figures["strangers"]["max_bytes"] == 50_000
    assert figures["bytes"] == media.used <= 400_000
    assert figures["files"] == len(_files(tmp_path))
    assert figures["evicted"] == {"strangers": 60 - figures["strangers"]["files"]}


def test_strangers_keep_their_newest(tmp_path: Path) -> None:
    clock = ManualClock()
    media = _counted(Media(tmp_path, clock=clock, max_bytes=400_000))
    sent = []
    for number in range(30):
        clock.advance(1)
        sent.append(media.keep(bytes([number]) * 5000, stranger=True))
    left = [(tmp_path / one.path).exists() for one in sent]
    assert left == sorted(left)
    assert left[-5:] == [True] * 5


def test_known_files_push_strangers_out_before_each_other(tmp_path: Path) -> None:
    clock = ManualClock()
    media = _counted(Media(tmp_path, clock=clock, max_bytes=400_000))
    _flood(media, 9)
    real = []
    for number in range(10):
        clock.advance(1)
        real.append(tmp_path / media.keep(bytes([number]) * 39_000).path)
    assert all(path.exists() for path in real)
    assert media.used <= 400_000
    clock.advance(1)
    media.keep(b"z" * 39_000)
    assert not real[0].exists(), "what known devices have too many of is their own oldest"


@pytest.mark.parametrize("killed", [False, True])
def test_who_sent_a_file_is_known_after_a_restart(tmp_path: Path, killed: bool) -> None:
    first = _counted(Media(tmp_path, max_bytes=400_000))
    real = [first.keep(bytes([number]) * 30_000) for number in range(10)]
    _flood(first, 5)
    if killed:  # in the middle of a write, and of a removal
        (tmp_path / "ab" / "abcd.1.part").write_bytes(b"half")
        (tmp_path / "strangers" / "ab" / ("ab" * 32)).mkdir(parents=True)
    second = _counted(Media(tmp_path, max_bytes=400_000))
    assert second.figures()["strangers"]["files"] == 5
    assert len([*(tmp_path / "strangers").rglob("[0-9a-f]" * 64)]) == 5
    _flood(second, 30)
    assert all((tmp_path / one.path).exists() for one in real)
    assert second.figures()["strangers"]["bytes"] <= 50_000


def test_a_content_that_a_known_device_sends_too_is_known(tmp_path: Path) -> None:
    media = _counted(Media(tmp_path, max_bytes=400_000))
    strange = media.keep(b"x" * 1000, stranger=True)
    assert media.figures()["strangers"]["files"] == 1
    assert media.keep(b"x" * 1000) == strange, "an event names it by its path"
    assert media.keep(b"x" * 1000, stranger=True) == strange, "and a stranger's next one changes nothing"
    assert media.figures()["strangers"] == {"bytes": 0, "max_bytes": 50_000, "files": 0}
    assert media.used == 1000
    _flood(media, 30)
    assert (tmp_path / strange.path).exists()


def test_a_known_device_and_strangers_that_send_the_same_at_once_leave_a_known_file(tmp_path: Path) -> None:
    media = _counted(Media(tmp_path, max_bytes=4_000_000))
    for number in range(8):
        content = bytes([number]) * 1000
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(media.keep, content, stranger=place != 3) for place in range(8)]
            assert len({one.result() for one in sent}) == 1
    media.prune()
    assert media.figures()["files"] == 8
    assert media.figures()["strangers"]["files"] == 0


def test_strangers_that_send_the_same_at_once_leave_one_file_that_is_counted_once(tmp_path: Path) -> None:
    media = _counted(Media(tmp_path, max_bytes=4_000_000))
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda content: media.keep(content, stranger=True), [b"y" * 5000] * 32))) == 1
    assert media.figures()["strangers"] == {"bytes": 5000, "max_bytes": 500_000, "files": 1}


def test_one_that_cannot_write_a_content_leaves_it_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media = Media(tmp_path)
    media.keep(b"x", stranger=True)  # makes all folders
    synced, fails = os.fsync, [1, 1]

    def fsync(file: Any) -> None:
        if fails and stat.S_ISREG(os.fstat(file if isinstance(file, int) else file.fileno()).st_mode):
            fails.pop()
            raise OSError(errno.EIO, "no disk")
        synced(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(media.keep, b"y" * 5000, stranger=True) for _ in range(4)]
        errors = [one.exception() for one in sent]
    assert sum(isinstance(error, OSError) for error in errors) == 2
    assert errors.count(None) == 2


def test_a_stranger_s_file_costs_three_fsyncs_and_the_first_one_all_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = Media(tmp_path)
    media.keep(b"first", stranger=True)
    calls: list[str] = []
    for name in ("fsync", "mkdir"):
        monkeypatch.setattr(os, name, partial(_called, calls, name, getattr(os, name)))
    stored = [media.keep(bytes([number]), stranger=True).sha256[:2] for number in range(3)]
    assert len({*stored, sha256(b"first").hexdigest()[:2]}) == 4
    assert calls == ["mkdir", "fsync", "fsync", "fsync"] * 3, "the mark, its folder, the file, its folder"


def _called(calls: list[str], name: str, real: Callable[..., None], *args: Any) -> None:
    calls.append(name)
    real(*args)


def test_a_stranger_does_not_keep_a_known_device_s_file_young(tmp_path: Path) -> None:
    clock = ManualClock()
    media = Media(tmp_path, clock=clock, retention=100.0)
    path = tmp_path / media.keep(b"x").path
    clock.advance(90)
    media.keep(b"x", stranger=True)
    clock.advance(20)
    assert media.prune() == 1
    assert not path.exists()


def test_small_files_of_strangers_count_what_they_take_on_the_disk(tmp_path: Path) -> None:
    media = _counted(Media(tmp_path, max_bytes=400_000))
    _flood(media, 30, size=4)
    assert media.figures()["strangers"]["files"] <= 50_000 // 4096


# --- what is told ---------------------------------------------------------------------------------------------------


def test_what_goes_before_its_time_is_reported_with_the_youngest_s_age_once_an_hour(tmp_path: Path) -> None:
    clock, metrics = ManualClock(), Metrics()
    media = _counted(Media(tmp_path, clock=clock, max_bytes=10_000, retention=1000.0, metrics=metrics))
    for number in range(11):
        clock.advance(10)
        media.keep(bytes([number]) * 1000)
    assert media.evictions.take() == Early(2, 2000, 0, 90.0)
    _flood(media, 3)
    assert media.evictions.take() is None
    clock.advance(3600)
    media.prune()
    early = media.evictions.take()
    assert early is not None
    assert early.count == early.strangers == 3 - media.figures()["strangers"]["files"]
    assert media.evictions.take() is None
    counts = media.figures()["evicted"]
    assert counts["size"] == 2
    assert counts["age"] == 9
    assert metrics.registry.get_sample_value("pump_media_evicted_total", {"reason": "age"}) == 9
    assert metrics.registry.get_sample_value("pump_media_bytes", {"share": "known"}) == media.used


async def test_the_store_s_task_reports_it(tmp_path: Path) -> None:
    clock = ManualClock()
    media = _counted(Media(tmp_path, clock=clock, max_bytes=10_000))
    for number in range(11):
        clock.advance(10)
        media.keep(bytes([number]) * 1000)
    reported: list[Early] = []
    running = asyncio.create_task(media.run(reported.append))
    await clock.sleeping()
    running.cancel()
    await asyncio.wait({running})
    assert [one.count for one in reported] == [2]


# --- clocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [10, -10, 3650])
def test_a_store_without_a_note_of_the_last_run_believes_no_clock_at_once(tmp_path: Path, days: int) -> None:
    """Its files are of a right clock, its first start is not: a new spool beside the pictures of an old one."""
    kept = [Media(tmp_path, clock=ManualClock()).keep(bytes([number])) for number in range(20)]
    clock = ManualClock(START + timedelta(days=days))
    media = Media(tmp_path, clock=clock)
    media.begin()
    for _ in range(13):
        clock.advance(5)
        media.prune()
    clock.jump(-days * 86400.0)
    media.prune()
    assert media.figures()["files"] == len(kept) == 20
    clock.advance(8 * 86400.0)
    assert media.prune() == 20, "and they go after their days"


def test_a_store_without_a_note_believes_a_clock_that_ran_an_hour(tmp_path: Path) -> None:
    Media(tmp_path, clock=ManualClock()).keep(b"x")
    clock = ManualClock(START + timedelta(days=10))
    media = Media(tmp_path, clock=clock)
    media.begin()
    clock.advance(3500)
    assert media.prune() == 0
    clock.advance(200)
    assert media.prune() == 1


def test_a_file_whose_time_cannot_be_set_leaves_no_descriptor_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's, or on what was mounted anew for reading alone."""
    media = Media(tmp_path)
    media.keep(b"x" * 1000)

    def refused(*given: object) -> None:
        raise PermissionError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "utime", refused)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(PermissionError):
        media.keep(b"x" * 1000)
    assert len(os.listdir("/proc/self/fd")) == before
