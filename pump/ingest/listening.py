"""The time that sources have spent listening, over all runs: what silence means is counted in it.

All sources of a pump count by one `Beat`: with a timer and a file of their own four times a second, two thousand of
them took an eighth of a core while nothing came.
"""

from __future__ import annotations

import asyncio
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pump.core.clock import Clock

TICK: Final = 0.25
"""Seconds between two looks."""
STANDSTILL: Final = 1.0
"""Of a longer time between two looks only this much was spent listening: the process stood still, seconds."""
_BEAT: Final = struct.Struct("<8sd")
"""A run, and its time."""
_STOPPED: Final = struct.Struct("<d")
"""A source's time while nobody listens."""
_GOING: Final = struct.Struct("<d8sd")
"""A source's time when it began to listen, the run, and the run's time then."""


class Beat:
    """The time of a run in which anybody listens: one timer, and one small file that outlives a kill.

    An fsync four times a second it is not worth: after a power cut it may be old, and what was noted elsewhere says
    how far the time had come. The daemon's sources share one.
    """

    def __init__(self, clock: Clock, folder: Path) -> None:
        self.run = os.urandom(8)
        """No other run is called that."""
        self.looked = 0.0
        """As the last look found it, seconds."""
        self._clock = clock
        self.folder = folder
        self._path = folder / "listened"
        self._before = _BEAT.unpack(_read(self._path, _BEAT) or _BEAT.pack(b"", 0.0))
        self._at = 0.0
        """The monotonic time of the last look."""
        self._file: int | None = None
        self._going: dict[Listening, None] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def now(self) -> float:
        """Seconds; while anybody listens."""
        return self.looked + min(self._clock.monotonic() - self._at, STANDSTILL)

    @property
    def goes(self) -> bool:
        """False where nobody listens, or a bug has ended it."""
        return self._task is not None

    def end_of(self, run: bytes) -> float | None:
        """How far the time of this run, or of the one before it, came, seconds; None for any other."""
        if run == self.run:  # a reload gives pushes to the new source before the old one has ended
            return self.looked
        return self._before[1] if run == self._before[0] else None

    def begin(self, listening: Listening) -> None:
        """It goes from now on, and is woken where something is due for it."""
        if self._task is None:
            self._at = self._clock.monotonic()
            self._task = asyncio.create_task(self._tick(), name="sources: listening time")
            self._task.add_done_callback(self._failed)
        self.look()
        self._going[listening] = None

    def end(self, listening: Listening) -> None:
        """It goes no more."""
        self.look()
        del self._going[listening]
        if self._going:
            return
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def look(self) -> None:
        """Count the time since the last look."""
        self.looked, self._at = self.now, self._clock.monotonic()
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._file, _checked(_BEAT.pack(self.run, self.looked)), 0)
        except OSError:
            pass  # then what was noted elsewhere serves

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(TICK)
            self.look()
            time = self.looked + TICK  # a look early, for sums of real numbers are not exact
            for each in self._going:
                if each.due + each.behind <= time:
                    each.wake()

    def _failed(self, task: asyncio.Task[None]) -> None:
        """Who listens fails with it, and is begun anew."""
        if task is self._task and not task.cancelled() and (error := task.exception()) is not None:
            self._task = None
            for each in self._going:
                each.wake(error)


class Listening:
    """A source's own time, which goes while it listens. A small file of its own says how far it had come."""

    def __init__(self, beat: Beat, name: str) -> None:
        self.due = 0.0
        """When it is to be woken, in its own time; set by who was woken."""
        self.behind = 0.0
        """The beat's time less its own, while it goes."""
        self._beat = beat
        self._path = beat.folder / f"listened-{name}"
        self._stopped: float | None = self._kept()
        """Its time while it does not go."""
        self._waiting: asyncio.Future[None] | None = None

    @property
    def looked(self) -> float:
        """As the last look found it, seconds."""
        return self._beat.looked - self.behind if self._stopped is None else self._stopped

    @property
    def now(self) -> float:
        """Seconds."""
        return self._beat.now - self.behind if self._stopped is None else self._stopped

    def reached(self, moment: float) -> None:
        """It has surely come so far; before it goes."""
        self._stopped = max(self.looked, moment)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """It goes inside."""
        begun = self.looked
        self._beat.begin(self)
        self.behind, self._stopped = self._beat.looked - begun, None
        self._keep(_GOING.pack(begun, self._beat.run, self._beat.looked))
        try:
            yield
        finally:
            self._beat.end(self)
            self._stopped = self.looked
            self._keep(_STOPPED.pack(self._stopped))

    def expect(self, moment: float) -> None:
        """Something is due at this moment of its own time, which nothing said before."""
        if moment < self.due:
            self.due = moment

    @property
    def waits(self) -> bool:
        """True while somebody waits to be woken."""
        return self._waiting is not None and not self._waiting.done()

    async def until_due(self) -> None:
        """Wait for the look at which something may be due, the next one at the earliest; raises what ends the beat."""
        if not self._beat.goes:
            raise RuntimeError("nobody counts the time that is spent listening")
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def wake(self, error: BaseException | None = None) -> None:
        """End the wait, if it waits."""
        if self._waiting is not None and not self._waiting.done():
            if error is None:
                self._waiting.set_result(None)
            else:
                self._waiting.set_exception(error)

    def _kept(self) -> float:
        """As it stood at the end of the run before; less where that is not known."""
        if (going := _read(self._path, _GOING)) is not None:
            value, run, begun = _GOING.unpack(going)
            end = self._beat.end_of(run)
            value += 0.0 if end is None else max(0.0, end - begun)
        else:
            (value,) = _STOPPED.unpack(_read(self._path, _STOPPED) or bytes(_STOPPED.size))
        return value if 0.0 <= value < 1e12 else 0.0

    def _keep(self, value: bytes) -> None:
        try:
            place = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(place, "wb") as file:
                file.write(_checked(value))
        except OSError:
            pass  # as in `Beat.look`


def _checked(value: bytes) -> bytes:
    return value + struct.pack("<I", zlib.crc32(value))


def _read(path: Path, form: struct.Struct) -> bytes | None:
    """What lies there in this form; None where it is not whole, or of another form."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if form is _STOPPED and len(data) == form.size:
        return data  # an old version's, which had no checksum
    value = data[: form.size]
    return value if data == _checked(value) else None
