"""The newest events, in memory, for the sinks that keep up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from pump.sink import Record


class Tail:
    """What was committed last, up to `max_bytes` of bodies. Its memory is the bound on what fast sinks cost."""

    def __init__(self, after: int, max_bytes: int = 16 << 20) -> None:
        self._records: list[Record] = []
        self._after = after
        """Everything above this number that is in the spool is here."""
        self._bytes = 0
        self._max_bytes = max_bytes

    def add(self, records: Sequence[Record]) -> None:
        """Append what a commit stored; the oldest go when the limit is passed."""
        self._records.extend(records)
        self._bytes += sum(len(record.body) for record in records)
        if self._bytes <= self._max_bytes:
            return
        # Down to three quarters, so that the list is not shifted at every commit.
        cut, target = 0, self._max_bytes * 3 // 4
        while self._bytes > target:
            self._bytes -= len(self._records[cut].body)
            cut += 1
        self._after = self._records[cut - 1].seq
        del self._records[:cut]

    def read(self, after: int, limit: int, max_bytes: int) -> list[Record] | None:
        """The records that follow `after`; None where they are no longer all here."""
        if after < self._after:
            return None
        start = bisect_right(self._records, after, key=lambda record: record.seq)
        chosen = self._records[start : start + limit]
        total = 0
        for count, record in enumerate(chosen):
            total += len(record.body)
            if total > max_bytes and count:
                return chosen[:count]
        return chosen
