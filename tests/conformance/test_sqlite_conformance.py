"""The conformance suite of sinks, on the SQLite archive."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pump.core.clock import Clock
from pump.core.record import State
from pump.sink import Sink
from pump.sinks.sqlite.sink import SqliteSettings, SqliteSink
from pump.testing.sink_conformance import CHECKS, Peer, applies


class ArchivePeer(Peer):
    """The file, and another program that locks it."""

    can = frozenset({"stop"})
    exactly_once = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._path = folder / "data" / "archive.db"

    async def start(self) -> None:
        self._path.parent.mkdir(exist_ok=True)
        away = self._path.parent.with_name("away")
        if away.exists():
            self._path.parent.rmdir()
            away.rename(self._path.parent)

    async def stop(self) -> None:
        """The disk that it lies on is taken out."""
        self._path.parent.rename(self._path.parent.with_name("away"))

    def settings(self) -> SqliteSettings:
        return SqliteSettings(type="sqlite", path=str(self._path))

    def make(self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str) -> Sink[Any]:
        return SqliteSink(name, settings, state=state, clock=clock, site=site)

    async def received(self) -> list[int]:
        if not self._path.exists():
            return []
        with closing(sqlite3.connect(self._path)) as db:
            rows = db.execute("SELECT json FROM events ORDER BY number").fetchall()
        return [json.loads(body)["data"]["raw"]["number"] for (body,) in rows]


# A file refuses nothing and does not stall; and moved away, it stays open and goes on working.
@pytest.mark.parametrize(
    "check", [check for check in CHECKS if applies(check, ArchivePeer) and check != "peer_that_comes_and_goes"]
)
async def test_the_archive_keeps_the_contract(tmp_path: Path, check: str) -> None:
    peer = ArchivePeer(tmp_path)
    await peer.start()
    await CHECKS[check](peer)
