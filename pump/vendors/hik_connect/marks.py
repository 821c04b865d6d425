"""The numbering of an alarm's confirmations and marks, to which the vendor gives neither a time nor a number.

An alarm that is marked, unmarked and marked again sends three messages, and the third says exactly what the first
said (A.3.20: guid, msgType, markState, affirmedState and the alarm's own startTime; there is no time of the mark and no
number). What tells them apart is what stands between: so the last state of each alarm is remembered, and a message that
says another state than the last one is a change; the second and later times that one state is entered have ids of their
own. A message that says the last state again changes nothing and is the same event.

A batch that is handed out again must not count as changes. A queue gives the same batch until it is completed, so a
batch is the same where its messages are those of the batch before it, in their order, or where it has the id and the
messages of one of the last few. Its marks are then numbered from where the alarms stood before it, as the first time.
What comes again in another batch of other messages is taken for new: twice beats never. Two batches in a row that say
the same, word for word, are one: an operator does not mark and unmark twice within two polls and nothing else happens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from sys import intern
from typing import Any, Final

from pump.core.event import event_id
from pump.vendors.common.fields import child, text
from pump.vendors.common.values import member, whole

PREFIX: Final = "marks/"
"""Begins the state keys of this memory."""
KINDS: Final = ("2", "3")
"""AlarmMsg's msgType of a confirmation and of a mark (A.3.20)."""
LIFE: Final = timedelta(days=30)
"""Age at which an alarm's marks are forgotten."""
_BATCHES: Final = 4
_STATES: Final = 64
"""States of one alarm that are counted; the document's words make fewer."""
_SAID: Final = ("guid", "msgType", "alarmState", "markState", "affirmedState")

History = dict[str, Any]
"""`at`: milliseconds since 1970; `last`: the state; `counts`: how often each was entered. Never changed in place."""


class Marks:
    """The states that the newest marked alarms went through, and the last batches that spoke of them."""

    def __init__(self, limit: int = 2_000, prefix: str = PREFIX) -> None:
        self._limit = limit
        self._prefix = prefix
        self._alarms: dict[str, History] = {}
        self._batches: list[dict[str, Any]] = []
        self._latest = False
        """The newest of `_batches` is the newest of all."""
        self._again: dict[str, History | None] | None = None
        self._undo: dict[str, History | None] = {}
        self._changed: set[str] = set()
        self._stamp = 0

    @classmethod
    def load(cls, stored: Mapping[str, Any], prefix: str, limit: int = 2_000) -> Marks:
        """The memory that `state` gave, from the keys that begin with `prefix`."""
        made = cls(limit, prefix)
        found = {key.removeprefix(prefix): value for key, value in stored.items()}
        batches = found.pop(_LAST, None)
        listed = member(batches, "batches")
        made._batches = [one for one in listed if _whole(one)] if isinstance(listed, list) else []
        made._latest = member(batches, "latest") is True
        histories = [(place, value) for place, value in found.items() if _history(value)]
        made._alarms = dict(sorted(histories, key=lambda pair: int(pair[1]["at"])))
        return made

    def begin(self, batch: str | None, records: Sequence[object], now: datetime) -> None:
        """Begin a batch, before the first of its marks; `batch` is the vendor's id of it, where it gives one.

        Of a batch without a mark, and only there, the records may be left out.
        """
        self._again = None
        self._stamp = int(now.timestamp() * 1000)
        digest = _digest(records)
        if digest is None:
            if self._latest:
                self._latest = False
                self._changed.add(_LAST)
            return
        for place, known in enumerate(self._batches):
            newest = self._latest and place == len(self._batches) - 1
            if known["digest"] == digest and (newest or (batch is not None and known["id"] == batch)):
                self._again = dict(known["before"])
                return
        self._batches = [*self._batches[1 - _BATCHES :], {"id": batch, "digest": digest, "before": {}}]
        self._latest = True
        self._changed.add(_LAST)

    def nth(self, alarm: object, state: str) -> int:
        """Count, from 1, of the times that the alarm came into this state, this one among them."""
        place, state = event_id(alarm)[:16], intern(state)  # a few words, one of which each alarm keeps
        old = self._again[place] if self._again is not None and place in self._again else self._alarms.get(place)
        if old is not None and old["last"] == state:
            return int(old["counts"][state])
        counts = _once(state)
        if old is not None:
            counts = dict(old["counts"])
            counts[state] = counts.get(state, 0) + 1
            if len(counts) > _STATES:
                del counts[next(iter(counts))]
        made = {"at": self._stamp, "last": state, "counts": counts}
        if self._again is not None:
            self._again[place] = made
            return int(counts[state])
        self._undo.setdefault(place, old)
        if self._batches and self._latest:
            self._batches[-1]["before"].setdefault(place, old)
        self._set(place, made)
        return int(counts[state])

    def begin_record(self) -> None:
        """Begin a record: `forget` undoes what is remembered from here on."""
        self._undo.clear()

    def forget(self) -> None:
        """The record made no event, so it entered no state."""
        for place, old in self._undo.items():
            self._set(place, old)
        self._undo.clear()

    def state(self) -> dict[str, Any]:
        """The changes of the spool's state that go with the events since the last call."""
        changes: dict[str, Any] = {}
        for place in self._changed:
            if place == _LAST:
                changes[self._prefix + _LAST] = {"latest": self._latest, "batches": self._batches}
            else:
                changes[self._prefix + place] = self._alarms.get(place)
        self._changed.clear()
        return changes

    def _set(self, place: str, history: History | None) -> None:
        self._alarms.pop(place, None)
        self._changed.add(place)
        if history is None:
            return
        self._alarms[place] = history  # the newest stand at the end
        self._changed.add(_LAST)
        oldest = self._stamp - int(LIFE.total_seconds() * 1000)
        while len(self._alarms) > self._limit or next(iter(self._alarms.values()))["at"] < oldest:
            gone = next(iter(self._alarms))
            del self._alarms[gone]
            self._changed.add(gone)


_LAST: Final = "batches"


def is_mark(record: object) -> bool:
    """True of a confirmation and of a mark."""
    return type(record) is dict and text(record, "msgType") in KINDS


@lru_cache(_STATES)
def _once(state: str) -> dict[str, int]:
    """The counts of an alarm that came into its first state: one object for all such, never changed in place."""
    return {state: 1}


def _digest(records: Sequence[object]) -> str | None:
    """A digest of a batch without its links, which may be signed afresh; None where it has no mark."""
    if not any(map(is_mark, records)):
        return None
    messages = [record if type(record) is dict else {} for record in records]
    said = [
        [*(text(record, name) for name in _SAID), text(child(record, "timeInfo") or record, "startTime")]
        for record in messages
    ]
    return event_id("batch", said)


def _history(value: object) -> bool:
    last, counts = member(value, "last"), member(value, "counts")
    return (
        isinstance(last, str)
        and isinstance(counts, dict)
        and all(whole(count) is not None for count in counts.values())
        and last in counts
        and whole(member(value, "at")) is not None
    )


def _whole(batch: object) -> bool:
    before = member(batch, "before")
    return (
        isinstance(member(batch, "digest"), str)
        and isinstance(before, dict)
        and isinstance(batch, dict)
        and "id" in batch
        and all(value is None or _history(value) for value in before.values())
    )
