"""Events as JSON lines, in a file (each exactly once) or on standard output (each at least once).

Exactly once: the state stored beside the cursor names the file's inode, the offset behind the last line that the
cursor has passed, and that line's CRC. When the sink is opened, what the file holds behind that place was written and
not stored: those events come again and are known by their lines. Where the place is lost, or fits no file, the newest
lines that there are, up to a bound, are the witness (`recovery`). The files named `path` and `path.1`, `path.2` … are
the sink's; logrotate may rename them (`create` or nothing; with `copytruncate` what was written last may come twice).
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import structlog
from pydantic import Field, model_validator

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.record import Batch, State
from pump.core.settings import Duration, SinkSettings, Size
from pump.sink import Settled, Sink
from pump.sinks.common.cut_short import CutShort
from pump.sinks.common.stdio import LineStream
from pump.sinks.common.thread import SinkThread
from pump.sinks.jsonl.file import Fsync, LinesFile, outside
from pump.sinks.jsonl.recovery import Written

log = structlog.get_logger()

STANDARD_OUTPUT: Final = "-"
_SLICE: Final = 64
"""Records that are compared between two looks at the event loop."""


class JsonlSettings(SinkSettings):
    """`[sinks.NAME]` with `type = "jsonl"`."""

    path: str = Field(min_length=1, description='the file; "-" is standard output')
    fsync: Fsync = Field(
        default="interval",
        description="when lines are put on disk: after each batch, every fsync_interval, or when the kernel likes "
        "(never: a power cut may cost what was written last; a crash of the program costs nothing either way)",
    )
    fsync_interval: Duration = Field(default=1.0, gt=0, description='with fsync = "interval"')
    rotate_bytes: Size | None = Field(
        default=None, ge=1024, description="rename the file to path.1 and begin a new one before it grows beyond this"
    )
    rotate_keep: int = Field(default=5, ge=1, le=999, description="rotated files that are kept")
    compress: Literal["gzip"] | None = Field(default=None, description="rotated files become path.1.gz and so on")

    @model_validator(mode="after")
    def _rotates_files_only(self) -> Self:
        if self.path == STANDARD_OUTPUT and self.rotate_bytes is not None:
            raise ValueError("standard output cannot be rotated: leave rotate_bytes out, or name a file as path")
        if self.compress is not None and self.rotate_bytes is None:
            raise ValueError("compress is of rotated files: it needs rotate_bytes")
        return self

    def identity(self) -> str | None:
        """The file: two sinks would tear each other's lines."""
        return self.path if self.path == STANDARD_OUTPUT else os.path.realpath(self.path)


class JsonlSink(Sink[JsonlSettings]):
    """One line an event, appended in batches by a thread."""

    Settings = JsonlSettings

    def __init__(self, name: str, settings: JsonlSettings, *, state: State | None, clock: Clock, site: str) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self._worker = SinkThread(f"sink {name}")
        self._stream: LineStream | None = None
        self._file: LinesFile | None = None
        if settings.path == STANDARD_OUTPUT:
            self._stream = LineStream(1)
        else:
            self._file = LinesFile(
                Path(settings.path),
                fsync=settings.fsync,
                rotate_bytes=settings.rotate_bytes,
                rotate_keep=settings.rotate_keep,
                compress=settings.compress is not None,
            )
            self.deferring = settings.fsync == "interval"
        self._written: Written | None = None
        self._accepted = 0
        self._place = state
        """The end of the file when `_accepted` was; a cancelled send's thread may have written beyond it."""
        self._asked = 0
        self._settled = 0
        self._synced = clock.monotonic()

    async def __aenter__(self) -> Self:
        """Open the file, find what it holds behind the state, cut what is torn.

        A new `state` is set where there was none, for the first batch to be found again after a crash. Raises
        Misconfigured, Unavailable.
        """
        file = self._file
        if file is not None:
            before = self.state
            try:
                self.state, self._written = await self._worker.run(lambda: file.open(before))
                self._place = self.state
            except BaseException:
                file.close()  # nobody calls __aexit__ after a failed entry
                self._worker.close()
                raise
            if self._written is not None:
                log.info(
                    "Events that the file already holds will be left out", sink=self.name, lines=self._written.left
                )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; what was settled is on disk, the rest will be found by the next opening."""
        if self._file is not None:
            self._file.close()
        self._worker.close()

    async def first_held(self, batch: Batch) -> int | None:
        """The number of the first record whose line is in the file."""
        written = self._written
        if written is None:
            return None
        for place, record in enumerate(batch):
            if place % _SLICE == 0:
                await asyncio.sleep(0)
            if written.is_row(record):
                return record.seq
        return None

    async def send(self, batch: Batch) -> State | None:
        """Append the lines that are not there yet.

        Raises Unavailable (disk full, reader gone), Misconfigured, TakenBack.
        """
        file = self._file
        if file is None:
            await self._print(batch)
            return None
        places = None
        if self._written is not None:
            self._written.forget_rows()
            places = outside(batch, self._written)
        self.duplicates = 0 if places is None else len(batch) - len(places)
        bodies = [record.body for record in batch] if places is None else [batch[place].body for place in places]
        if bodies:
            try:
                await self._worker.run(lambda: file.write(bodies))
            except CutShort as cut:
                there = cut.lines if places is None else places[cut.lines]  # all before the first missing one
                if there:
                    self._accept(batch[there - 1].seq)
                raise Unavailable(cut.reason, done=(record.seq for record in batch[:there])) from cut
        if self._written is not None and self._written.done(batch[-1]):
            self._written = None
        self._accept(batch[-1].seq)
        return self._state()

    async def settle(self) -> Settled | None:
        """Put on disk what was accepted, every `fsync_interval`, and as soon as no more is coming. Raises TakenBack."""
        file = self._file
        quiet = self._asked == self._accepted
        self._asked = self._accepted
        now = self.clock.monotonic()
        if file is None or file.taken_back or self._settled == self._accepted:
            return None
        if not quiet and now - self._synced < self.settings.fsync_interval:
            return None
        await self._worker.run(file.sync)
        self._synced = now
        self._settled = self._accepted
        return Settled(self._accepted, self._state())

    async def _print(self, batch: Batch) -> None:
        stream = self._stream
        assert stream is not None  # one of the two is there
        bodies = [record.body for record in batch]
        try:
            await self._worker.run(lambda: stream.write(bodies), abort=stream.abort)
        except CutShort as cut:
            raise Unavailable(cut.reason, done=(record.seq for record in batch[: cut.lines])) from cut

    def _accept(self, seq: int) -> None:
        self._accepted = seq
        if self._file is not None:
            self._place = self._file.state()

    def _state(self) -> State | None:
        # While lines behind the stored place are still to be met again, that place must stay.
        return self.state if self._written is not None else self._place


SINK = JsonlSink
