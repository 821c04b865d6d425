"""The patience with a receiver that fails, over restarts too, and the question of fault: its own, or one event's.

Where the receiver is away, all that is older than `max_age` is given up once it has been away for so long. Where it
answers, or lets go in the middle, one event may be what it cannot take: then batches are cut down until that one fails
alone, and it alone is given up, unless many different ones fail so, one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pump.core.clock import Clock
from pump.core.record import Record, State

ROUNDS: Final = 4
"""Failures of one `send` after which the rest is left to the next one."""
STUBBORN: Final = 3
"""Failures of batches in a row after which they are halved: before, a retry is the same request by the same name."""
ALIKE: Final = 10
"""Different events that fail alone, one after another: then it is the receiver's fault and nobody's else."""
LEAST: Final = 60.0
"""Seconds that each opening tries, whatever lies behind it: at a machine's start its network may come later."""
_SINCE: Final = "failing_since"


class ExpiryPolicy:
    """One sink's. Durations are time that passed: a clock that jumps, or a start with a wrong one, shortens none."""

    def __init__(self, limit: float, most: int, *, clock: Clock, state: State | None) -> None:
        """`limit`: seconds; `most`: events a request; `state`: what `memory` once gave."""
        self.size = most
        """Events that a request may hold now."""
        self._limit = limit
        self._most = most
        self._clock = clock
        self._opened = clock.monotonic()
        self._began: float | None = None
        self._began_ms: Any = (state or {}).get(_SINCE)
        if isinstance(self._began_ms, int):
            self._began = self._opened - (clock.ages.age(self._began_ms) or 0.0)
        self._stubborn = 0
        self._alone: set[int] = set()
        self._blames = False
        self.must_split = False
        """True where it is time to give up, and what failed last was a batch, which must be cut down first."""

    def memory(self) -> dict[str, Any]:
        """The next opening's state: since when every attempt has failed (milliseconds since 1970), if so."""
        return {} if self._began is None else {_SINCE: self._began_ms}

    def taken(self) -> None:
        """A request was delivered."""
        self.answered()
        self._stubborn = 0
        self.size = min(self._most, 2 * self.size)

    def answered(self) -> None:
        """The receiver said something definite of a request, be it no: it is there."""
        self._began = None
        self._alone.clear()

    def failed(self, records: Sequence[Record], *, suspects_body: bool) -> None:
        """A request failed; `suspects_body`: it may be the fault of what was in it."""
        if self._began is None:
            self._began, self._began_ms = self._clock.monotonic(), self._clock.now_ms()
        self._blames = suspects_body
        self.must_split = suspects_body and self.over and len(records) > 1
        if not suspects_body:
            return
        if len(records) == 1:
            self._alone.add(records[0].seq)
            return
        self._stubborn += 1
        if self._stubborn >= STUBBORN or self.size < self._most or self.must_split:
            self.size = max(1, len(records) // 2)

    @property
    def over(self) -> bool:
        """True where it has failed for so long that something is to be given up."""
        now = self._clock.monotonic()
        return (
            self._began is not None
            and now - self._began >= self._limit
            and now - self._opened >= min(self._limit, LEAST)
        )

    @property
    def one_by_one(self) -> bool:
        """True where events are given up one by one, each after it failed alone."""
        return self._blames and len(self._alone) < ALIKE

    def expired(self, records: Sequence[Record]) -> list[Record]:
        """Of these, which are not delivered, those to be given up now."""
        if not self.over:
            return []
        ages = self._clock.ages
        # one that comes from an unknown future was stored before the clock was set back
        old = [one for one in records if (age := ages.age(one.recorded)) is None or age >= self._limit]
        return [record for record in old if record.seq in self._alone] if self.one_by_one else old
