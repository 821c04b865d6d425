"""Holding an event for its pictures: a sink may wait a little for what is being fetched, and no other sink with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from pump.core.clock import Clock
from pump.core.record import Record
from pump.core.tasks import first_of
from pump.spool import Spool

_LINKED: Final = b'"state":"remote"'


class MediaWait:
    """One sink's, whose `wait_media` is `limit` seconds after an event's arrival."""

    def __init__(self, spool: Spool, limit: float, clock: Clock) -> None:
        self._fetches = spool.fetches
        self._limit = limit
        self._clock = clock

    def __bool__(self) -> bool:
        return self._limit > 0 and self._fetches.taking

    def held(self, records: Sequence[Record]) -> int | None:
        """The place of the first event that is to wait; None where none is."""
        return next((place for place, record in enumerate(records) if self._left(record) > 0), None)

    async def over(self, record: Record) -> None:
        """Return when nothing of the event is being fetched any more, or its time is over."""
        while (left := self._left(record)) > 0:
            await first_of(self._fetches.settled(), self._clock.sleep(left))

    def _left(self, record: Record) -> float:
        age = self._clock.ages.age(record.recorded, down=True)
        left = self._limit - (0.0 if age is None else age)
        if left <= 0 or _LINKED not in record.body:
            return 0.0
        return left if self._fetches.waits(record.source, orjson.loads(record.body)["id"]) else 0.0
