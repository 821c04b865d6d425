"""The events that a reader wants to see, as the address bar has it: on the live list, in a search, in an export."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final, Self
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import orjson

from pump.core.record import Record
from pump.core.taxonomy import SEVERITIES
from pump.ops.page.rows import mapping

_LONGEST: Final = 200
_ROUTINE: Final = (
    "device.measure",
    "device.status",
    "driving.position",
    "security.test.*",
    "media.*",
    "device.message",
)
"""Types that say that all is as it was: left out where the reader wants it quiet."""
_PLATE_NOISE: Final = re.compile(r"[\s\-·.]")


@dataclass(slots=True, frozen=True)
class Filter:
    """All that is not empty must be true of an event. Texts are found anywhere in theirs, in small or large letters."""

    type: str = ""
    """A glob, "vehicle.*"; a word without "*" is the beginning of a type, "vehicle"."""
    severity: str = ""
    """At least."""
    source: str = ""
    device: str = ""
    plate: str = ""
    zone: str = ""
    person: str = ""
    text: str = ""
    """Anything in the event, its raw message too."""
    quiet: str = ""
    """ "1": without routine reports."""
    since: str = ""
    """Of the event's own time, "2026-11-29T08:00" in the site's zone, or RFC 3339."""
    until: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """As the query has it; what is not a filter is not looked at."""
        given = {one.name: query.get(one.name, "").strip()[:_LONGEST] for one in fields(cls)}
        if given["severity"] not in SEVERITIES:
            given["severity"] = ""
        return cls(**given)

    @property
    def query(self) -> str:
        """The same as an address bar has it, without empty parts."""
        return urlencode({name: value for name, value in asdict(self).items() if value})

    @property
    def empty(self) -> bool:
        """True where everything is wanted."""
        return not self.query

    @property
    def is_plain(self) -> bool:
        """True where `may_take` says it all."""
        return not (self.device or self.plate or self.zone or self.person or self.text or self.since or self.until)

    def may_take(self, record: Record) -> bool:
        """False where the record's columns say no already; costs hardly anything."""
        if self.severity and record.severity < SEVERITIES[self.severity]:
            return False
        if self.source and record.source != self.source:
            return False
        if self.type and not self._is_type(record.type):
            return False
        if self.quiet and any(fnmatchcase(record.type, glob) for glob in _ROUTINE):
            return False
        needles = [one for one in (self.plate, self.person, self.device, self.text) if one.isascii() and one.isalnum()]
        if not needles:
            return True
        body = record.body.lower()
        # a plate may be written with blanks: then its body has no such run of letters
        return all(needle.lower().encode() in body for needle in needles if needle != self.plate)

    def takes(self, event: Mapping[str, Any], body: bytes, zone: ZoneInfo) -> bool:
        """True where the decoded event is wanted, where `may_take` did not say no."""
        data = mapping(event.get("data"))
        place, access = mapping(data.get("place")), mapping(data.get("access"))
        return (
            (not self.device or any(_in(self.device, one) for one in _names(event, data)))
            and (not self.plate or plain_plate(self.plate) in plain_plate(mapping(data.get("vehicle")).get("plate")))
            and (not self.zone or any(_in(self.zone, place.get(name)) for name in ("zone", "partition", "area", "lot")))
            and (not self.person or any(_in(self.person, access.get(name)) for name in ("person", "person_id", "card")))
            and (not self.text or self.text.lower() in body.decode("utf-8", "replace").lower())
            and self._in_time(event, zone)
        )

    def moments(self, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
        """Since and until, aware; None where it says nothing that is a time."""
        return _moment(self.since, zone), _moment(self.until, zone)

    def _is_type(self, type_: str) -> bool:
        return fnmatchcase(type_, self.type if "*" in self.type else f"{self.type}*")

    def _in_time(self, event: Mapping[str, Any], zone: ZoneInfo) -> bool:
        if not (self.since or self.until):
            return True
        since, until = self.moments(zone)
        moment = _moment(str(event.get("time")), zone)
        return moment is None or ((since is None or moment >= since) and (until is None or moment < until))


def decoded(record: Record) -> dict[str, Any]:
    """The record's event; an empty one for what is no object, which no writer of ours makes."""
    found = orjson.loads(record.body)
    return found if isinstance(found, dict) else {}


def plain_plate(plate: object) -> str:
    """A plate without what people write or leave out: blanks, hyphens, dots; in capitals."""
    return "" if plate is None else _PLATE_NOISE.sub("", str(plate)).upper()


def _names(event: Mapping[str, Any], data: Mapping[str, Any]) -> list[object]:
    device, place = mapping(data.get("device")), mapping(data.get("place"))
    return [event.get("subject"), *map(device.get, ("id", "name", "serial")), place.get("channel"), place.get("space")]


def _in(needle: str, value: object) -> bool:
    return value is not None and needle.lower() in str(value).lower()


def _moment(text: str, zone: ZoneInfo) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
