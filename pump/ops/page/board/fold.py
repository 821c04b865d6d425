"""The board's memory: events folded one after another into the last state of each thing. No I/O.

What is kept is bounded, whatever devices make up: of more than MOST things of a kind the one longest silent goes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from pump.core.naming import names_of
from pump.core.record import Record
from pump.ops.page.filters import decoded
from pump.ops.page.rows import mapping, text

MOST: Final = 5000
HOURS: Final = 24
"""Of the chart."""
_ARMING: Final = {"security.armed": "armed", "security.disarmed": "disarmed"}
_DOORS: Final = {
    "access.door.opened": "open", "access.door.closed": "closed", "access.door.locked": "locked",
    "access.door.unlocked": "unlocked", "access.door.held_open": "held_open", "access.door.held_closed": "held_closed",
    "access.door.forced": "forced", "access.door.open_too_long": "open_too_long",
}  # fmt: skip
_LOCKS: Final = {"parking.lock.raised": "raised", "parking.lock.lowered": "lowered"}
_GATES: Final = {
    "gate.open": "opened", "gate.close": "closed", "gate.hold-open": "held_open", "gate.release": "released",
}  # fmt: skip
"""By the verb of a command that was done: most gates say nothing of themselves."""
_CRITICAL: Final = 3
_BACK: Final = ("device.online", "device.camera.online")
_WAYS: Final = ("in", "out")
_NONE: Final[Mapping[str, str]] = {}
_COUNTED: Final = (*_WAYS, "all")
_HOUR: Final = 3_600_000


@dataclass(slots=True)
class Thing:
    """The last that is known of one thing."""

    name: str
    place: str
    state: str
    since: str
    """When that was, RFC 3339."""
    number: int
    """Of the event that said so."""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Lot:
    """A lot's passes of a day; bays are things of their own."""

    day: str = ""
    passes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTED, 0))


class Board:
    """All of it. `position` is the number through which events are in it."""

    def __init__(self, zone: ZoneInfo, directions: Mapping[str, str] = _NONE) -> None:
        """`directions` says which way vehicles pass a camera where its source does not, as [sinks.NAME] has it."""
        self.position = 0
        self.bays: OrderedDict[str, Thing] = OrderedDict()
        self.partitions: OrderedDict[str, Thing] = OrderedDict()
        self.doors: OrderedDict[str, Thing] = OrderedDict()
        """Gates and parking locks too."""
        self.alarms: OrderedDict[str, Thing] = OrderedDict()
        """Those that are not over, by incident."""
        self.offline: OrderedDict[str, Thing] = OrderedDict()
        """By source and subject, with a blank between."""
        self.batteries: OrderedDict[str, Thing] = OrderedDict()
        self.lots: OrderedDict[str, Lot] = OrderedDict()
        self.hours: OrderedDict[int, list[int]] = OrderedDict()
        """Events by the hour of their arrival (hours since 1970): all, and those that are warnings or worse."""
        self.zone = zone
        """By which a day is counted that a lot has seen."""
        self.directions = directions

    def fold(self, records: Iterable[Record]) -> None:
        """Take these in, in their order; what is in it already is passed over."""
        for record in records:
            if record.seq > self.position:
                self.position = record.seq
                counts = self.hours.setdefault(record.recorded // _HOUR, [0, 0])
                counts[0] += 1
                counts[1] += record.severity >= 2
                if _concerns(record.type):
                    self._take(record)
        while len(self.hours) > 2 * HOURS:
            del self.hours[min(self.hours)]

    def _take(self, record: Record) -> None:
        event = decoded(record)
        data = mapping(event.get("data"))
        type_, subject = record.type, text(event.get("subject"))
        key = f"{record.source} {subject}"
        if (state := _ARMING.get(type_)) is not None:
            place, mode = mapping(data.get("place")), text(mapping(data.get("alarm")).get("mode"))
            partition = text(place.get("partition"))
            device = text(mapping(data.get("device")).get("id"))
            self._put(self.partitions, f"{record.source} {device} {partition}", record, event, state, mode=mode)
        elif (state := _DOORS.get(type_) or _LOCKS.get(type_) or _gate(type_, data)) is not None:
            self._put(self.doors, key, record, event, state)
        elif type_.startswith("security."):
            self._alarm(record, event, data)
        elif type_ == "vehicle.passed":
            self._pass(record.source, event, data)
        elif type_ in _BACK:
            self.offline.pop(key, None)
        elif type_.endswith(".offline"):
            if data.get("phase") == "end":
                self.offline.pop(key, None)
            else:
                self._put(self.offline, key, record, event, type_)
        parking = mapping(data.get("parking"))
        if isinstance(parking.get("occupied"), bool):
            self._put(self.bays, key, record, event, "occupied" if parking["occupied"] else "free")
        power, radio = mapping(data.get("power")), mapping(data.get("radio"))
        if power or radio:
            state = "low" if power.get("low") is True else "well"
            self._put(self.batteries, key, record, event, state, volts=power.get("volts"), rssi=radio.get("rssi"))

    def _alarm(self, record: Record, event: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        incident = f"{record.source} {text(data.get('incident')) or text(event.get('id'))}"
        if data.get("phase") == "end":
            self.alarms.pop(incident, None)
        elif record.severity >= _CRITICAL and data.get("phase") in ("start", "pulse"):
            self._put(self.alarms, incident, record, event, record.type, id=text(event.get("id")))

    def _put(
        self, things: OrderedDict[str, Thing], key: str, record: Record, event: Mapping[str, Any], state: str,
        **facts: Any,
    ) -> None:  # fmt: skip
        data = mapping(event.get("data"))
        place, device = mapping(data.get("place")), mapping(data.get("device"))
        name = text(place.get("space")) or text(device.get("name")) or text(event.get("subject")) or record.source
        known = things.get(key)
        moment = text(event.get("time"))
        since = known.since if known is not None and known.state == state else moment
        where = " · ".join(filter(None, (text(place.get(one)) for one in ("lot", "area", "partition", "zone"))))
        lot = text(place.get("lot")) or text(place.get("area"))
        things[key] = Thing(name, where, state, since, record.seq, {**facts, "lot": lot})
        things.move_to_end(key)
        if len(things) > MOST:
            things.popitem(last=False)

    def _pass(self, source: str, event: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        if data.get("update") or data.get("phase") in ("update", "end"):
            return  # a second upload of a pass is no further pass
        place = mapping(data.get("place"))
        asked = {"subject": event.get("subject"), "data": {"place": place, "device": mapping(data.get("device"))}}
        named = (self.directions[name] for name in names_of(source, asked) if name in self.directions)
        way = next(named, mapping(data.get("vehicle")).get("direction"))
        try:
            day = datetime.fromisoformat(str(event.get("time"))).astimezone(self.zone).date().isoformat()
        except ValueError:
            return
        lot = self.lots.setdefault(text(place.get("lot")) or text(place.get("area")), Lot())
        if day > lot.day:
            lot.day, lot.passes = day, dict.fromkeys(_COUNTED, 0)
        if day == lot.day:
            lot.passes["all"] += 1
            if way in _WAYS:
                lot.passes[str(way)] += 1
        if len(self.lots) > MOST:
            self.lots.popitem(last=False)


def _gate(type_: str, data: Mapping[str, Any]) -> str | None:
    """The state of a gate by what was said of it, or by what was done to it."""
    if type_ == "access.barrier.obstructed":
        return "free_again" if data.get("phase") == "end" else "obstructed"
    command = mapping(data.get("command"))
    done = type_ == "command.result" and command.get("status") == "done"
    return _GATES.get(text(command.get("verb"))) if done else None


def _concerns(type_: str) -> bool:
    """True where an event of this type may change the board; most do not, and are not decoded."""
    return (
        type_ in _DOORS
        or type_.startswith(("parking.", "security.", "device.battery."))
        or type_ in ("vehicle.passed", "device.measure", "device.status", "access.barrier.obstructed", "command.result")
        or type_.endswith((".offline", ".online"))
    )
