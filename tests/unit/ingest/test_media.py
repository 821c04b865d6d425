"""The media store: each content once, within a size, a sum and an age."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from pump.ingest.media import LARGEST, Media, TooLarge
from pump.testing import ManualClock


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def test_a_content_is_one_file_named_by_its_hash(tmp_path: Path) -> None:
    media = Media(tmp_path / "media")
    first, second = await media.store(b"x" * 1000), await media.store(b"x" * 1000)
    assert first == second
    assert first.sha256 == sha256(b"x" * 1000).hexdigest()
    assert _files(tmp_path) == [tmp_path / "media" / first.path]
    assert len(await media.store_all([b"a", b"b"])) == 2


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
