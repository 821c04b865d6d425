"""Events for one sink outside its own stream: dead letters tried again, replays. Its cursor does not notice.

They go through the sink that is open, between two of its own batches, for two openings of one sink would disturb each
other (one file, one client id). Their numbers are lower than the cursor's, and may be repeated.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pump.core.errors import Unavailable
from pump.core.record import Record

WAITING: Final = 4
"""Batches that may wait for one sink; who brings more has not waited for the former."""


@dataclass(slots=True)
class ResendResult:
    """The result of a batch: `sent` were delivered, `refused` are the numbers of the others, with the reasons."""

    sent: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    duplicates: int = 0
    """Of those sent, how many the peer had already under their names: it did not take them again."""


@dataclass(slots=True)
class ResendBatch:
    """A batch on its way; `left` is what the sink has not had."""

    left: list[Record]
    outcome: ResendResult
    done: asyncio.Future[ResendResult]
    fresh_ids: str = ""
    """What the names that the peer gets are made with; "": the usual ones."""

    def finish(self) -> None:
        """Give the result to those who wait."""
        if not self.done.done():
            self.done.set_result(self.outcome)

    def fail(self, reason: str) -> None:
        """Report to those who wait that the rest was not delivered."""
        if not self.done.done():
            self.done.set_exception(Unavailable(reason))


class ResendQueue:
    """One sink's errands. All methods belong to the event loop."""

    def __init__(self, wake: Callable[[], object]) -> None:
        """`wake` is called when something has come."""
        self._wake = wake
        self._waiting: deque[ResendBatch] = deque()
        self._closed = ""

    def __len__(self) -> int:
        return len(self._waiting)

    async def deliver(self, records: Sequence[Record], *, fresh_ids: str = "") -> ResendResult:
        """Have the sink get them; returns when it has. Raises `Unavailable`: it stops, failed in their midst, or its
        peer took nothing for many tries. `fresh_ids`: see `pump.sink.Sink`.

        Until then it waits for a peer that is away; cancel it to give up. Some may have been delivered then.
        """
        if self._closed:
            raise Unavailable(self._closed)
        if len(self._waiting) >= WAITING:
            raise Unavailable("too much waits for this sink already")
        errand = ResendBatch(list(records), ResendResult(), asyncio.get_running_loop().create_future(), fresh_ids)
        self._waiting.append(errand)
        self._wake()
        return await errand.done

    def take(self) -> ResendBatch | None:
        """The next, if anybody still waits for it."""
        while self._waiting:
            errand = self._waiting.popleft()
            if not errand.done.done():
                return errand
        return None

    def close(self, reason: str) -> None:
        """Refuse what waits and all that comes."""
        self._closed = reason
        while self._waiting:
            self._waiting.popleft().fail(reason)

    def open(self) -> None:
        """Take errands again."""
        self._closed = ""
