"""Each event as one line for people, on standard error: for the journal, or somebody who watches.

Under systemd each line begins with the priority that the journal takes from it ("<4>" for a warning).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Final

import orjson

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.record import Batch, State
from pump.core.settings import SinkSettings
from pump.core.text import line
from pump.sink import Sink
from pump.sinks.common.cut_short import CutShort
from pump.sinks.common.stdio import LineStream
from pump.sinks.common.thread import SinkThread

_PRIORITIES: Final = (b"<6>", b"<5>", b"<4>", b"<2>")
"""By severity; sd-daemon(3)."""
_SLICE: Final = 50
"""Events decoded at a time; between slices the loop serves others."""


class LogSettings(SinkSettings):
    """`[sinks.NAME]` with `type = "log"`."""


class LogSink(Sink[LogSettings]):
    """Lines to standard error, at least once."""

    Settings = LogSettings

    def __init__(self, name: str, settings: LogSettings, *, state: State | None, clock: Clock, site: str) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self._worker = SinkThread(f"sink {name}")
        self._stream = LineStream(2)
        self._journal = in_journal(2, os.environ)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the thread end; standard error stays open."""
        self._worker.close()

    async def send(self, batch: Batch) -> None:
        """Write one line an event. Raises Unavailable: the reader is gone."""
        lines: list[bytes] = []
        for record in batch:
            if lines and len(lines) % _SLICE == 0:
                await asyncio.sleep(0)
            text = line(orjson.loads(record.body), colour=False).encode("utf-8", "replace")
            lines.append(_PRIORITIES[record.severity] + text if self._journal else text)
        try:
            await self._worker.run(lambda: self._stream.write(lines), abort=self._stream.abort)
        except CutShort as cut:
            raise Unavailable(cut.reason, done=(record.seq for record in batch[: cut.lines])) from cut


def in_journal(fd: int, environ: Mapping[str, str]) -> bool:
    """True where the descriptor is the journal's: $JOURNAL_STREAM names its device and inode (systemd.exec(5))."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


SINK = LogSink
