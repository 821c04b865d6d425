"""Words for a spool that does not open."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from pump.spool import not_opened


def test_a_full_disk_asks_for_as_much_room_again(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "small.db")
    try:
        db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.Error) as full:
            db.execute("CREATE TABLE one(two)")
    finally:
        db.close()
    for error in (full.value, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))):
        assert not_opened(error).startswith(f"{error}; make room")


def test_what_says_itself_what_to_do_stands_as_it_is() -> None:
    assert not_opened(ValueError("written by a newer pump: install it again")) == (
        "written by a newer pump: install it again"
    )
