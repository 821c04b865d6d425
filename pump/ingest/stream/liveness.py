"""Silence and deadlines of a stream: the read watchdog, one due timer, and what a broken body leaves to be read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import StreamReader

from pump.core.clock import Clock
from pump.core.tasks import first_of


def remaining(content: StreamReader) -> bytes:
    """The bytes of a body that had arrived before it broke, and was not read yet.

    aiohttp raises a broken body's error before it hands out the bytes in front of it; whole parts may be among
    them, and a stream's server sends nothing twice. There is no public way to them (aiohttp 3.14).
    """
    chunks = list(content._buffer)
    content._buffer.clear()
    offset, content._buffer_offset = content._buffer_offset, 0
    content._size = 0
    return b"".join(chunks)[offset:]


class ReadTimeout(Exception):
    """No byte came for the time-out."""


class ReadWatchdog:
    """Ends a wait for bytes that lasts too long. It counts only time spent waiting for them.

    `watch` runs in a task beside the reader's, which its ReadTimeout ends; the reader encloses each wait for bytes
    with `waiting()` and `served()`. Half-open connections end the same way: nobody else would ever notice them.
    """

    def __init__(self, clock: Clock, timeout: float) -> None:
        self._clock = clock
        self.timeout = timeout
        """Seconds. A shorter one counts from the next `watch` on."""
        self._since: float | None = None
        self.waited = 0.0
        """Seconds that the last wait took."""

    @property
    def waits(self) -> bool:
        """True where bytes are wanted at this moment."""
        return self._since is not None

    def waiting(self) -> None:
        """Bytes are wanted from now on."""
        self._since = self._clock.monotonic()

    def served(self) -> None:
        """They have come, or nobody wants them for now."""
        if self._since is not None:
            self.waited = self._clock.monotonic() - self._since
            self._since = None

    async def watch(self) -> None:
        """Raises ReadTimeout once a wait has lasted for the time-out; returns never."""
        while True:
            since = self._since
            rest = self.timeout if since is None else since + self.timeout - self._clock.monotonic()
            if since is not None and rest <= 0:
                raise ReadTimeout
            await self._clock.sleep(max(rest, 0.001))


class DueTimer:
    """Calls `tick` at the moment that `due` gives. `due` is in monotonic seconds, None: nothing is waited for."""

    def __init__(self, clock: Clock, due: Callable[[], float | None], tick: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._due = due
        self._tick = tick
        self._changed = asyncio.Event()
        self._next: float | None = None

    def rearm(self) -> None:
        """`due` may give another time: one that comes nearer than the one slept for wakes the sleeper."""
        due = self._due()
        if due is not None and (self._next is None or due < self._next):
            self._changed.set()

    async def run(self) -> None:
        """For ever; raises what `tick` raises."""
        while True:
            self._changed.clear()
            due = self._next = self._due()
            if due is None:
                await self._changed.wait()
            elif (wait := due - self._clock.monotonic()) > 0:
                await first_of(self._clock.sleep(wait), self._changed.wait())
            else:
                await self._tick()
