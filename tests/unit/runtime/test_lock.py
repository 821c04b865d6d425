"""One daemon a state directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pump.runtime.lock import FolderLock, Locked


def test_a_second_one_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    with FolderLock(tmp_path):
        with pytest.raises(Locked, match=f"in use by process {os.getpid()};") as caught:
            FolderLock(tmp_path).acquire()
        assert caught.value.pid == os.getpid()
    with FolderLock(tmp_path):
        pass


def test_the_end_of_the_process_releases_it(tmp_path: Path) -> None:
    lock = f"from pump.runtime.lock import FolderLock; FolderLock(Path({str(tmp_path)!r})).acquire()"
    body = f"from pathlib import Path; {lock}"
    subprocess.run([sys.executable, "-c", body + "; import os; os._exit(9)"], check=False, timeout=60)
    with FolderLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_longer_number_of_the_former_holder_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("99999999999999\n")
    with FolderLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_file_without_a_number(tmp_path: Path) -> None:
    with FolderLock(tmp_path):
        (tmp_path / "lock").write_text("")
        with pytest.raises(Locked, match="in use by another process"):
            FolderLock(tmp_path).acquire()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FolderLock(tmp_path / "none").acquire()
