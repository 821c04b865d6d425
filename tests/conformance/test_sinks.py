from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from pump.core.clock import Clock
from pump.core.record import State
from pump.sink import Sink
from pump.sinks.jsonl.sink import JsonlSettings, JsonlSink
from pump.sinks.log import LogSettings, LogSink
from pump.testing.sink_conformance import CHECKS, Peer, applies


class JsonlPeer(Peer):
    exactly_once = True
    fsync = "never"
    rotate: dict[str, Any] = {}  # noqa: RUF012  # read only

    def settings(self) -> JsonlSettings:
        path = self.folder / "events.jsonl"
        return JsonlSettings.model_validate(
            {"type": "jsonl", "path": str(path), "fsync": self.fsync, "fsync_interval": "10ms", **self.rotate}
        )

    def make(self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str) -> Sink[Any]:
        return JsonlSink(name, settings, state=state, clock=clock, site=site)

    async def received(self) -> list[int]:
        def age(path: Path) -> int:
            return int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0

        found: list[int] = []
        for path in sorted(self.folder.glob("events.jsonl*"), key=age, reverse=True):
            lines = path.read_bytes().split(b"\n")
            assert lines.pop() == b""
            found += [json.loads(line)["data"]["raw"]["number"] for line in lines]
        return found


class JsonlBatchPeer(JsonlPeer):
    fsync = "batch"


class JsonlIntervalPeer(JsonlPeer):
    fsync = "interval"


class JsonlRotatingPeer(JsonlPeer):
    fsync = "interval"
    rotate = {"rotate_bytes": "16KiB", "rotate_keep": 900}  # noqa: RUF012  # read only


class LogPeer(Peer):
    """Standard error is a pipe whose reader can stop reading, or be gone."""

    can = frozenset({"stop", "stall"})

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._text = b""
        self._reading = threading.Event()
        self._reader: threading.Thread | None = None
        self._error = os.dup(2)
        self._asked = 0

    async def start(self) -> None:
        read, write = os.pipe()
        os.dup2(write, 2)
        os.close(write)
        self._reading.set()
        self._reader = threading.Thread(target=self._read, args=(read,))
        self._reader.start()

    async def stop(self) -> None:
        """The pipe's reading end is closed, its writing end stays."""
        os.write(2, b"\n\0")
        await asyncio.to_thread(self._reader.join) if self._reader else None
        self._reader = None

    async def stall(self) -> None:
        self._reading.clear()

    async def resume(self) -> None:
        self._reading.set()

    def end(self) -> None:
        self._reading.set()
        os.dup2(self._error, 2)
        os.close(self._error)
        if self._reader is not None:
            self._reader.join()

    def _read(self, fd: int) -> None:
        while self._reading.wait() and (text := os.read(fd, 65536)) and b"\0" not in text:
            self._text += text
        self._text += text.partition(b"\0")[0]
        os.close(fd)

    def settings(self) -> LogSettings:
        return LogSettings(type="log")

    def make(self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str) -> Sink[Any]:
        return LogSink(name, settings, state=state, clock=clock, site=site)

    async def received(self) -> list[int]:
        self._asked += 1
        mark = b"\nso far %d\n" % self._asked
        os.write(2, mark)
        while mark not in self._text:
            await asyncio.sleep(0.001)
        return [int(number) for number in re.findall(rb" P(\d{6})\n", self._text.partition(mark)[0] + b"\n")]


PEERS: dict[str, type[Peer]] = {
    "jsonl, fsync never": JsonlPeer,
    "jsonl, fsync batch": JsonlBatchPeer,
    "jsonl, fsync interval": JsonlIntervalPeer,
    "jsonl, rotating": JsonlRotatingPeer,
    "log": LogPeer,
}


@pytest.mark.parametrize(
    ("kind", "check"), [(kind, check) for kind, peer in PEERS.items() for check in CHECKS if applies(check, peer)]
)
async def test_sinks(kind: str, check: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    peer = PEERS[kind](tmp_path)
    await peer.start()
    try:
        await CHECKS[check](peer)
    finally:
        if isinstance(peer, LogPeer):
            peer.end()
