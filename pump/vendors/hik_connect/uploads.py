"""The memory of a queue, by which a second upload, a repeated guid and a mark made again differ from first ones.

The memory is stored with the events it speaks of, in the same transaction, so that a restart forgets nothing and no
update names an id that was never stored.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pump.core.event import event_id
from pump.vendors.common.values import member, whole
from pump.vendors.hik_connect.marks import Marks
from pump.vendors.hik_connect.media import Shape

PREFIX: Final = "uploads/"
"""Begins the state keys of this memory."""
LIFE: Final = timedelta(days=7)
"""Age at which a first upload is forgotten: the vendor keeps messages for 3 days (document, 1.2.2)."""
_SEGMENT: Final = 64
"""First uploads in a piece of state at the least; the newest piece is written anew until it has so many."""
_DAY: Final = 86_400_000
"""Milliseconds after which a piece is full, for all of it is forgotten at once."""
_DIGITS: Final = 16
_LINES: Final = re.compile(rf"^([0-9a-f]{{{_DIGITS}}})(?: [^ \n]*){{4}}$", re.MULTILINE)
"""A line of a piece that can be read."""


class Seen(NamedTuple):
    """A first upload: its event's id, its files, how many links it had, and whether it was a pulse."""

    id: str
    shape: str
    links: int
    pulse: bool


@dataclass(slots=True)
class _Segment:
    """A piece of state: milliseconds since 1970 of its oldest and newest record, how many of them are remembered, and
    a line for each: "record id files links pulse"."""

    begun: int
    at: int
    count: int
    text: str = ""


class Uploads:
    """The first upload of each of the newest records of one queue: about 80 bytes each beside the piece of state, which
    has 75 of them and is in memory once.

    Bounded by `limit` and by LIFE. What it has forgotten makes a second upload an event of its own instead of an
    update. A caller whose put was refused throws it away and loads it again: it then knows what the spool knows.
    """

    def __init__(self, limit: int = 10_000, prefix: str = PREFIX) -> None:
        self.marks = Marks()
        """Confirmations and marks of the queue's alarms."""
        self._limit = limit
        self._prefix = prefix
        # Numbers alone, no tuples: the collector would count them, and stop the loop to walk through them.
        self._where: dict[int, int] = {}
        """By a record's digest the number of the piece that has its line."""
        self._order: deque[int] = deque()
        """Its keys, the oldest first: a dictionary finds its own first behind the places of all that have left it."""
        self._pending: dict[str, str] = {}
        """Lines that are in no piece yet, by their digests."""
        self._fresh: list[str] = []
        self._segments: dict[int, _Segment] = {}
        self._number = 0
        self._gone: list[int] = []

    @classmethod
    def load(cls, stored: Mapping[str, Any], prefix: str, limit: int = 10_000) -> Uploads:
        """The memory that `state` gave, from the keys that begin with `prefix`; unreadable pieces are left out."""
        made = cls(limit, prefix)
        pieces = {whole(key.removeprefix(prefix)): value for key, value in stored.items()}
        for number in sorted(number for number in pieces if number is not None):
            piece = pieces[number]
            lines = member(piece, "seen")
            text = lines if isinstance(lines, str) else ""
            found = [*_LINES.finditer(text)]
            if (good := "\n".join(line[0] for line in found)) != text:  # else the very text that the spool holds
                text = good
            places = dict.fromkeys(int(line[1], 16) for line in found)
            kept = [place for place in places if place not in made._where]
            made._where.update(dict.fromkeys(kept, number))
            made._order += kept
            at = whole(member(piece, "at")) or 0
            made._segments[number] = _Segment(at, at, len(kept), text)
            made._number = number
            made._shorten()
        return made

    def seen(self, key: object) -> Seen | None:
        """The first upload of a record, by the record's identity without its files."""
        return self._seen(_digest(key))

    def _seen(self, place: str) -> Seen | None:
        if (line := self._pending.get(place)) is not None:
            return _read(line)
        if (number := self._where.get(int(place, 16))) is None:
            return None
        return _read(f"\n{self._segments[number].text}".partition(f"\n{place} ")[2].partition("\n")[0])

    def first(
        self, key: object, identity: str, shape: Shape, links: int = 0, *, pulse: bool = False, update: bool = False
    ) -> tuple[str, str | None]:
        """The id of a record's event, and that of the first upload where this one brings other files or more links.

        `key` is the record's identity without its files, `identity` the id that these make. One that makes the id of
        the first upload and brings more links has another: pictures may come later in places that the identity does
        not know. With `update` the record says itself that it is no first upload, whatever it brings.
        """
        place = _digest(key)
        seen = self._seen(place)
        if seen is None:
            if not update:
                self._add(place, f"{identity} {_files(shape)} {links} {pulse:d}")
            return identity, None
        if seen.id == identity:
            return (event_id("upload", identity, links), seen.id) if links > seen.links else (identity, None)
        if not update and links <= seen.links and (not shape or seen.shape == _files(shape)):
            return identity, None
        return identity, seen.id

    def repeated(self, guid: str, start: str | None, identity: str = "", *, pulse: bool = False) -> bool:
        """True where the alarm's guid began before, at another time: the vendor's second way to say pulse (A.3.20)."""
        place, begun = _digest(("start", guid)), _digest(start)
        seen = self._seen(place)
        if seen is None:
            self._add(place, f"{identity} {begun} 0 {pulse:d}")
            return False
        return seen.shape != begun

    def rename(self, identity: str, other: str) -> None:
        """A first upload that goes with the next change of state is known as `other`: its event was stored before."""
        for place, line in self._pending.items():
            if line.startswith(f"{identity} "):
                self._pending[place] = other + line[len(identity) :]

    def begin(self) -> None:
        """Begin a record: `forget` undoes what is remembered from here on."""
        self._fresh.clear()
        self.marks.begin_record()

    def forget(self) -> None:
        """The record made no event: nothing may name it."""
        for place in self._fresh:
            self._pending.pop(place, None)
        self._fresh.clear()
        self.marks.forget()

    @property
    def fresh(self) -> bool:
        """True where the record is one to remember."""
        return bool(self._fresh)

    def state(self, now: datetime) -> dict[str, Any]:
        """The changes of the spool's state that go with the events since the last call; `now` is aware."""
        changes: dict[str, Any] = {}
        stamp = int(now.timestamp() * 1000)
        if self._pending:
            lines = "\n".join(f"{place} {line}" for place, line in self._pending.items())
            newest = self._segments.get(self._number)
            if newest is None or newest.text.count("\n") + 1 >= _SEGMENT or stamp - newest.begun > _DAY:
                self._number += 1  # never again the number of a piece that goes with this very change
                newest = self._segments.setdefault(self._number, _Segment(stamp, stamp, 0))
            newest.at, newest.count = stamp, newest.count + len(self._pending)
            newest.text = f"{newest.text}\n{lines}" if newest.text else lines
            places = [int(place, 16) for place in self._pending]
            self._where.update(dict.fromkeys(places, self._number))
            self._order += places
            self._pending.clear()
            changes[f"{self._prefix}{self._number}"] = {"at": stamp, "seen": newest.text}
            self._age(stamp)
        for number in self._gone:
            changes[f"{self._prefix}{number}"] = None
        self._gone.clear()
        return changes

    def _add(self, place: str, line: str) -> None:
        self._pending[place] = line
        self._fresh.append(place)
        self._shorten()

    def _shorten(self) -> None:
        while len(self._where) + len(self._pending) > self._limit:
            self._drop()

    def _drop(self) -> None:
        """Forget the oldest; it stands in the oldest piece, or is not stored yet."""
        if not self._where:
            del self._pending[next(iter(self._pending))]
            return
        number = self._where.pop(self._order.popleft())
        self._segments[number].count -= 1
        self._clear(number)

    def _clear(self, number: int) -> None:
        if self._segments[number].count <= 0:
            del self._segments[number]
            self._gone.append(number)

    def _age(self, stamp: int) -> None:
        oldest = stamp - int(LIFE.total_seconds() * 1000)
        for number, segment in list(self._segments.items()):
            if segment.at >= oldest:
                break
            for _ in range(segment.count):
                del self._where[self._order.popleft()]
            segment.count = 0
            self._clear(number)


def _digest(value: object) -> str:
    return event_id(value)[:_DIGITS]


@lru_cache(maxsize=512)
def _files(shape: Shape) -> str:
    return _digest(shape)


def _read(line: str) -> Seen | None:
    parts = line.split(" ")
    if len(parts) != 4:
        return None
    return Seen(parts[0], parts[1], whole(parts[2]) or 0, parts[3] == "1")
