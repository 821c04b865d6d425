"""One batch on its way to a server that acknowledges: some messages at once, never beyond the oldest by a window."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from pump.core.errors import Rejected, Unavailable, anew
from pump.core.record import Batch

_PATIENCE: Final = 0.8
"""The share of the deadline after which a batch that moves too slowly is cut: what is done of it then counts."""


class Window:
    """Counts what is acknowledged of a batch, keeps the sender back, and reports how it ended.

    The sender calls `room` before each record, `expect` for its messages, `finish` at the end; acknowledgements
    arrive by `settle` and `refuse`, the link's end by `fail`. Positions are places in the batch.
    """

    def __init__(
        self,
        batch: Batch,
        size: int,
        timeout: float,
        *,
        silence: float | None = None,
        waits: Callable[[], None] | None = None,
    ) -> None:
        """`size`: records that may be unacknowledged; `timeout`: seconds that the whole batch may take.

        `silence`: seconds without an acknowledgement after which what is on its way counts as lost; None: for ever.
        `waits` is called each time that the sender begins to wait.
        """
        self._batch = batch
        self._size = size
        self._left = [1] * len(batch)
        self._opened = 0
        self._settled = 0
        self._refused: dict[int, str] = {}
        self._error: Exception | None = None
        self._slow = False
        self._waiter: asyncio.Future[None] | None = None
        loop = asyncio.get_running_loop()
        self._silence = silence
        self._waits = waits
        self._timers = {"hurry": loop.call_later(timeout * _PATIENCE, self._hurry)}
        if silence is not None:
            self._timers["listen"] = loop.call_later(silence, self._listen, -1)

    @property
    def settled(self) -> int:
        """The number of records from the first on that are acknowledged or refused."""
        return self._settled

    @property
    def done(self) -> list[int]:
        """The numbers of those that are acknowledged, up to the first that is neither that nor refused.

        What is acknowledged behind it goes again: the peer shall have the last word on a topic last.
        """
        return [record.seq for place, record in enumerate(self._batch[: self._settled]) if place not in self._refused]

    @property
    def refused(self) -> dict[int, str]:
        """The numbers of those that will never be taken, with the reasons."""
        return {self._batch[place].seq: reason for place, reason in self._refused.items()}

    @property
    def error(self) -> Exception | None:
        """Why the link ended."""
        return self._error

    def seq(self, place: int) -> int:
        """The number of the record at a place."""
        return self._batch[place].seq

    async def room(self, size: int | None = None) -> None:
        """Wait until the next record may go, and begin it. Raises what ended the link, Unavailable when too slow."""
        most = self._size if size is None else size
        while self._error is not None or self._slow or self._opened - self._settled >= most:
            await self._wait()
        self._opened += 1

    def expect(self, count: int) -> None:
        """The record that was begun last has `count` messages, one or more; said before the first goes."""
        self._left[self._opened - 1] = count

    def settle(self, place: int) -> None:
        """One message of the record is acknowledged."""
        self._left[place] -= 1
        if place == self._settled and not self._left[place]:
            self._advance()

    def refuse(self, place: int, reason: str) -> None:
        """The record will never be taken."""
        self._refused.setdefault(place, reason)
        self.settle(place)

    def fail(self, error: Exception) -> None:
        """The link is gone; what is not acknowledged never will be."""
        if self._error is None:
            self._error = error
            self._wake()

    async def finish(self) -> None:
        """Wait for the last acknowledgement. Raises Rejected, Unavailable, what ended the link."""
        while self._settled < len(self._batch):
            await self._wait()
        if self._refused:
            raise Rejected(self.refused)

    def close(self) -> None:
        """Nobody waits any more."""
        for timer in self._timers.values():
            timer.cancel()

    async def _wait(self) -> None:
        if self._error is not None:
            raise anew(self._error)
        if self._slow and self._settled:
            raise Unavailable("it takes events too slowly", retry_after=0.0)
        if self._slow:  # with nothing done the deadline itself decides
            self._slow = False
            return
        if self._waits is not None:
            self._waits()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _advance(self) -> None:
        while self._settled < self._opened and not self._left[self._settled]:
            self._settled += 1
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _hurry(self) -> None:
        self._slow = True
        self._wake()

    def _listen(self, before: int) -> None:
        """Fail where nothing was acknowledged since the last call, and something is on its way."""
        assert self._silence is not None  # only then is it called
        if before == self._settled < self._opened:
            self.fail(Unavailable(f"nothing is acknowledged for {self._silence:g} s"))
            return
        loop = asyncio.get_running_loop()
        self._timers["listen"] = loop.call_later(self._silence, self._listen, self._settled)
