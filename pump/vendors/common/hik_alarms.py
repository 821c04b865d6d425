"""The newest alarms of a panel or gateway, remembered for the clips that follow them: by UUID, else by their moment.

Kept in the source's state as a ring, in the same commits as their events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

ALARM: Final = "alarm/"
"""Of the state's keys, by place in the ring."""
_MOST: Final = 1024
"""Alarms remembered: clips come within minutes."""


class Alarm(NamedTuple):
    """An alarm that was heard: the two names it may be called by, its event's id and its incident.

    Or a clip, without names: its `code` is the camera.
    """

    uuid: str | None
    moment: str | None
    id: str
    incident: str | None
    code: str
    phase: str

    @property
    def names(self) -> tuple[str | None, str | None]:
        """UUID and moment."""
        return self.uuid, self.moment

    @property
    def matter(self) -> str:
        """The incident that what belongs to the alarm has: its own id for what began none."""
        return self.incident or self.id


_ROW: Final = 1 + len(Alarm._fields)


class RecentAlarms:
    """One source's. `stored` is the state under `ALARM`."""

    def __init__(self, stored: Mapping[str, Any]) -> None:
        self._ring: dict[int, Alarm] = {}
        self._named: dict[str, Alarm] = {}
        self._known: dict[str, Alarm] = {}
        """By event id."""
        self._count = 0
        """Of the alarms that were ever remembered; it goes round the ring."""
        rows = [value for key, value in stored.items() if key.startswith(ALARM)]
        whole = [row for row in rows if isinstance(row, list) and len(row) == _ROW and isinstance(row[0], int)]
        for row in sorted(whole, key=lambda row: row[0]):
            self._place(row[0], Alarm(*row[1:]))

    def known(self, id_: str) -> Alarm | None:
        """The alarm whose event has this id: it has come before."""
        return self._known.get(id_)

    def find(self, names: tuple[str | None, str | None]) -> Alarm | None:
        """The alarm that a message names. Two UUIDs that differ are two alarms, whatever else agrees."""
        uuid, moment = names
        if uuid is not None and (found := self._named.get(uuid)) is not None:
            return found
        found = self._named.get(moment) if moment is not None else None
        return found if found is None or None in (uuid, found.uuid) else None

    def remember(self, alarm: Alarm, changes: dict[str, Any]) -> None:
        """Remember it, and add to `changes` the state that goes with it."""
        changes[f"{ALARM}{self._count % _MOST}"] = [self._count, *alarm]
        self._place(self._count, alarm)

    def _place(self, count: int, alarm: Alarm) -> None:
        place = count % _MOST
        if (old := self._ring.get(place)) is not None:
            self._known.pop(old.id, None)
            for name in old.names:
                if name is not None and self._named.get(name) is old:
                    del self._named[name]
        self._ring[place] = self._known[alarm.id] = alarm
        for name in alarm.names:
            # A restore may carry its alarm's UUID: the clip is the alarm's.
            if name is not None and (alarm.phase != "end" or name not in self._named):
                self._named[name] = alarm
        self._count = count + 1
