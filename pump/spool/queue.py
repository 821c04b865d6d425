"""The puts that wait for a commit: those of known devices first, and of strangers' no more than their share."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pump.spool.gaps.along import NOTHING, Along
from pump.spool.state import Key
from pump.spool.types import Receipt, Row

WAITING = 64 << 20
"""Bytes that may wait for a commit."""
STRANGERS_WAITING = WAITING // 8
"""Those of strangers at the most."""
GROUP_ROWS = 2048
GROUP_BYTES = 8 << 20
PASSES = 4
"""Of the event loop, for which a commit waits for more puts: a request takes three from its socket to its put."""
ENOUGH = 128 << 10
"""Bytes from which on it does not wait: some sixty events, and the part of each in what a commit costs is small."""


@dataclass(slots=True)
class Put:
    """What one caller has stored in one transaction, and waits for."""

    rows: Sequence[Row]
    state: Mapping[Key, object]
    size: int
    urgent: bool
    done: asyncio.Future[Receipt]
    stranger: bool = False
    """All rows are a stranger's."""
    along: Along = NOTHING
    """Changes of the gap ledger."""


class PutQueue:
    """Belongs to the event loop."""

    def __init__(self, strangers: int = STRANGERS_WAITING) -> None:
        """`strangers` is how many bytes of theirs may wait."""
        self._strangers = min(strangers, STRANGERS_WAITING)
        self._puts: deque[Put] = deque()
        self._strange: deque[Put] = deque()
        self._bytes = 0
        self._strange_bytes = 0

    def __len__(self) -> int:
        return len(self._puts) + len(self._strange)

    def full(self, size: int, *, stranger: bool) -> bool:
        """True where so many bytes more are too much; a single put never is."""
        if stranger and self._strange and self._strange_bytes + size > self._strangers:
            return True
        return bool(self) and self._bytes + size > WAITING

    def add(self, put: Put) -> None:
        """Put at the end of its line."""
        (self._strange if put.stranger else self._puts).append(put)
        self._bytes += put.size
        self._strange_bytes += put.size * put.stranger

    async def let_come(self) -> None:
        """Where several puts wait, return once those have come too that the event loop has in hand already.

        A commit beside a busy loop costs both of them their time at each hand-over of the interpreter, and a loop that
        is not busy has its passes behind it at once. A put that waits alone waits for nobody.
        """
        for _ in range(PASSES):
            if len(self) < 2 or self._bytes >= ENOUGH:
                return
            await asyncio.sleep(0)

    def take(self) -> list[Put]:
        """The puts of the next commit: in order, strangers' behind all others, one of them in any case.

        Neither waits for ever behind the other, and a block of events has those of one of them alone.
        """
        group: list[Put] = []
        rows = size = 0
        for line in (self._puts, self._strange):
            first = True
            while line and (first or (rows < GROUP_ROWS and size < GROUP_BYTES)):
                put, first = line.popleft(), False
                rows += len(put.rows)
                size += put.size
                self._went(put)
                group.append(put)
        return group

    def take_refused(self, *, all_: bool = False) -> list[Put]:
        """Those that are not urgent, or all of them: they wait no longer."""
        gone = [put for put in (*self._puts, *self._strange) if all_ or not put.urgent]
        self._puts = deque(put for put in self._puts if put.urgent and not all_)
        self._strange = deque(put for put in self._strange if put.urgent and not all_)
        for put in gone:
            self._went(put)
        return gone

    def _went(self, put: Put) -> None:
        self._bytes -= put.size
        self._strange_bytes -= put.size * put.stranger
