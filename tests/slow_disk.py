"""A plug-in of pytest, by hand: every commit of a spool in this process takes a fifth of a second, as on a slow disk.

`python -m pytest -p tests.slow_disk …`. What fails or hangs then judges by the disk's speed, the test or the pump.
Daemons that are processes of their own keep the disk as it is.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import pytest

from pump.spool.connection import Connection

T = TypeVar("T")
R = TypeVar("R")

COMMIT: Final = 0.2
"""Seconds that each piece of work that changed something takes longer, in the connection's thread."""

_run, _run_then = Connection.run, Connection.run_then


def _slow(work: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
    def slow(db: sqlite3.Connection) -> T:
        before = db.total_changes
        result = work(db)
        if db.total_changes != before:
            time.sleep(COMMIT)
        return result

    return slow


async def _slow_run(self: Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    return await _run(self, _slow(work))


async def _slow_run_then(self: Connection, work: Callable[[sqlite3.Connection], T], then: Callable[[T], R]) -> R:
    return await _run_then(self, _slow(work), then)


def pytest_configure() -> None:
    """Have spools commit slowly from now on."""
    owner: Any = Connection
    owner.run, owner.run_then = _slow_run, _slow_run_then


@pytest.hookimpl
def pytest_unconfigure() -> None:
    """Have them commit as the disk does."""
    owner: Any = Connection
    owner.run, owner.run_then = _run, _run_then
