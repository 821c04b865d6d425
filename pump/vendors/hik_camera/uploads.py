"""Records that carry the device's UUID: sent again they are the event that is stored, completed they are its update.

Kept in the spool with the events, so that a restart changes nothing. Pure: events and state come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pump.core.event import Event, event_id
from pump.vendors.hik_camera.parse import VENDOR, Alert

PREFIX: Final = "record/"
"""Of the state's keys."""
RECENT: Final = 1024
"""Records that are remembered; the oldest go first."""
COMPLETE_SECONDS: Final = 600.0
"""Between the times of two messages of one record at most, where neither says that it is sent again or completed: a
device whose UUIDs repeat themselves must not lose its events."""

State = dict[str, Any]


@dataclass(slots=True)
class Upload:
    """What one message of a record amounts to."""

    events: list[Event]
    state: State = field(default_factory=dict)
    first: Event | None = None
    """The event that was stored when the record came for the first time; `events` are its updates."""
    same: bool = False
    """Nothing but pictures can be new: without any it is no event."""
    entry: list[Any] | None = None
    """What is remembered of the record; see `pictured`."""

    def pictured(self, media: int) -> bool:
        """Whether the record has more pictures with these than before; from now on it has as many."""
        if self.entry is None:
            return True
        before = int(self.entry[2])
        self.entry[2] = max(media, before)
        return media > before


@dataclass(slots=True)
class Uploads:
    """The newest records of one device: of each the first event's id, its content, its media, and its time."""

    known: dict[str, list[Any]] = field(default_factory=dict)

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what the spool has."""
        self.known = {
            key: list(value)
            for key, value in state.items()
            if key.startswith(PREFIX) and isinstance(value, list) and len(value) == 4 and isinstance(value[2], int)
        }

    def take(self, alert: Alert) -> Upload:
        """Compare a pulse with what is known of its record."""
        if alert.record is None:
            return Upload(alert.events)
        key = PREFIX + alert.record
        entry = self.known.get(key)
        if entry is None:
            return self._first(key, alert)
        first = alert.event
        base = _base(alert)
        if alert.more or entry[1] == alert.content:
            upload = Upload(alert.events, {key: entry}, same=True, entry=entry)
        elif _another(alert, entry[3]):
            # The UUID is no identity: the time makes it one.
            sent = _time(alert)
            _rename(alert.events, base, event_id(VENDOR, alert.kind, "uuid", alert.record, sent))
            return self._first(key, alert)
        else:
            upload = Upload(alert.events, {key: entry}, entry=entry)
        first_id = str(entry[0]) + first.id.removeprefix(base)
        upload.first = Event(first.type, first_id, first.data, first.time, first.subject, first.dedup_time_ms)
        return self._updates(upload, alert, base, str(entry[0]))

    def _first(self, key: str, alert: Alert) -> Upload:
        entry = [_base(alert), alert.content, len(alert.event.data.get("media", ())), _time(alert)]
        self.known.pop(key, None)
        self.known[key] = entry
        state: State = {key: entry}
        if len(self.known) > RECENT:
            oldest = next(iter(self.known))
            del self.known[oldest]
            state[oldest] = None
        return Upload(alert.events, state, entry=entry)

    def _updates(self, upload: Upload, alert: Alert, base: str, first: str) -> Upload:
        # What only brings pictures is told apart by how many there are then.
        what = ("pictures", len(alert.event.data.get("media", ()))) if upload.same else ("update", alert.content)
        for event in upload.events:
            updates = first + event.id.removeprefix(base)
            event.id = event_id(VENDOR, *what, updates)
            event.data |= {"phase": "update", "update": True, "updates": updates}
            for number, medium in enumerate(event.data.get("media", ())):
                medium["id"] = f"{event.id}/{number}"
        return upload


def _base(alert: Alert) -> str:
    """The id of the record, without what tells its events apart."""
    return alert.event.id.partition("/")[0]


def _rename(events: list[Event], base: str, new: str) -> None:
    for event in events:
        event.id = new + event.id.removeprefix(base)
        for number, medium in enumerate(event.data.get("media", ())):
            medium["id"] = f"{event.id}/{number}"


def _time(alert: Alert) -> str | None:
    return alert.event.time.isoformat() if alert.event.time else None


def _another(alert: Alert, time: Any) -> bool:
    """Whether other content under the same UUID is of another time, and nobody says that it is sent again."""
    if alert.late or alert.event.time is None or not isinstance(time, str):
        return False
    return abs((alert.event.time - datetime.fromisoformat(time)).total_seconds()) > COMPLETE_SECONDS
