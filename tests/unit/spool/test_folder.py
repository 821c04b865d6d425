"""Folders are on disk with all that leads to them, also where the process before was killed while it made them."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import pytest

from pump.core.clock import Clock
from pump.ingest.media import Media
from pump.spool.folder import make


class _Killed(BaseException):
    """Nothing catches it."""


class Disk:
    """Folders that were made and fsynced since; a kill comes before the call of that number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        self.loose: set[Path] = set()
        """Folders whose names would be gone after a power cut."""
        self._mkdir, self._fsync = os.mkdir, os.fsync
        monkeypatch.setattr(os, "mkdir", self._make)
        monkeypatch.setattr(os, "fsync", self._sync)

    def _count(self) -> None:
        if self.left == 0:
            raise _Killed
        if self.left is not None:
            self.left -= 1

    def _make(self, path: str | Path, mode: int = 0o777) -> None:
        self._count()
        self._mkdir(path, mode)
        self.loose.add(Path(path))

    def _sync(self, file: FileIO | int) -> None:
        self._count()
        self._fsync(file)
        folder = Path(os.readlink(f"/proc/self/fd/{file if isinstance(file, int) else file.fileno()}"))
        self.loose = {path for path in self.loose if path.parent != folder}


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def _store(folder: Path, *, stranger: bool) -> None:
    Media(folder / "state" / "media", clock=Clock()).keep(b"picture", stranger=stranger)


_MAKERS: dict[str, Callable[[Path], None]] = {
    "state": lambda folder: make(folder / "var" / "lib" / "pump", 0o700),
    "picture": lambda folder: _store(folder, stranger=False),
    "stranger's picture": lambda folder: _store(folder, stranger=True),
}


@pytest.mark.parametrize("what", _MAKERS)
def test_a_kill_at_any_call_leaves_nothing_that_the_next_run_takes_for_stored(
    tmp_path: Path, disk: Disk, what: str
) -> None:
    disk.left = 10_000
    _MAKERS[what](tmp_path / "whole")
    assert disk.loose == set()
    calls = 10_000 - disk.left
    for number in sorted({2, 3, calls // 3, calls - 1}) if calls > 20 else range(calls):
        folder = tmp_path / str(number)
        disk.left = number
        with pytest.raises(_Killed):
            _MAKERS[what](folder)
        disk.left = None
        _MAKERS[what](folder)
        assert disk.loose == set(), f"killed before call {number} of {calls}"


def test_a_folder_above_that_may_not_be_fsynced_keeps_nobody_from_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: int) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "fsync", refuse)
    make(tmp_path / "state", 0o700)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_a_folder_above_that_fails_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        make(tmp_path / "state")
