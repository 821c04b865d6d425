"""Which event a broker closes the connection at: one that it refuses, or the first of all that it does not permit.

A broker may know no other way to refuse a message (MQTT 3.1.1, 4.8), and says no reason then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from pump.core.record import Record
from pump.sinks.common.ack_window import Window

_CUTS: Final = 3
"""Connections that a record may cost, alone on its way and right after the broker took another message."""
_SHORT: Final = 7
"""Connections in a row that end at their first event: then it is not the event."""
_SMALL: Final = 16 << 10
"""Bytes of an event that no broker finds too large."""


class Verdict(Enum):
    """What a cut says."""

    OPEN = "the event goes again"
    REFUSED = "the event is refused for what it is"
    FORBIDDEN = "nothing is permitted, as far as can be seen"


class Suspects:
    """Counts the cuts at one event. A small one is refused only where others pass: there its topic is the reason."""

    def __init__(self) -> None:
        self._suspect = 0
        self._cuts = 0
        self._short = 0
        self._passed = False
        """Whether the broker has taken an event since one was refused on this ground alone."""

    @property
    def careful(self) -> bool:
        """Whether the next event is to go alone."""
        return self._cuts > 0

    def passed(self) -> None:
        """The suspect was taken."""
        self._cuts = 0

    def delivered(self, window: Window) -> None:
        """A batch has ended, in whatever way: the events that the broker took prove that it permits some."""
        self._passed = self._passed or bool(window.done)

    def through(self) -> None:
        """A batch got through without a cut."""
        self._short = 0

    def cut(self, batch: Sequence[Record], settled: int) -> tuple[Record, Verdict]:
        """The connection ended with the first `settled` of a batch done: at whom, and what follows.

        Some brokers acknowledge one event before they close.
        """
        record = batch[min(settled, len(batch) - 1)]
        self._cuts = self._cuts + 1 if record.seq == self._suspect else 1
        self._suspect = record.seq
        self._short = self._short + 1 if settled <= 1 else 0
        if self._cuts <= _CUTS and self._short < _SHORT:
            return record, Verdict.OPEN
        large = len(record.body) >= _SMALL and self._cuts > _CUTS
        self._cuts = self._short = 0
        return record, Verdict.REFUSED if large else Verdict.FORBIDDEN

    def asks(self, batch: Sequence[Record]) -> bool:
        """Whether another event is to be tried before the batch, since its first has cost enough and is small."""
        return self._cuts >= _CUTS and batch[0].seq == self._suspect and len(batch[0].body) < _SMALL

    def other(self, batch: Sequence[Record], topic: Callable[[Record], str]) -> Record | None:
        """The next event that differs from the first in its topic."""
        first = topic(batch[0])
        return next((one for one in batch[1:] if len(one.body) < _SMALL and topic(one) != first), None)

    def judge(self, *, other_passed: bool | None) -> Verdict:
        """What the try says; None: there was no other, so it is what passed before."""
        if other_passed is None:
            other_passed, self._passed = self._passed, False
        self._cuts = self._short = 0
        return Verdict.REFUSED if other_passed else Verdict.FORBIDDEN
