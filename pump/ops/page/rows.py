"""An event as a row of the page: what happened, where, who, which plate, in plain words. No I/O.

Every text is one line of printable letters (`core.text.printable`): devices, plates and names come from strangers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from pump.core.taxonomy import SEVERITIES
from pump.core.text import printable
from pump.ops.page.texts import Texts

_DIGEST: Final = re.compile("[0-9a-f]{64}")
_PLACE: Final = ("lot", "area", "zone", "partition", "lane", "space", "channel")
_NAMED: Final = frozenset({"zone", "partition", "lane", "space"})
"""Parts of a place that are often a bare number, and get their word before it."""
_LONGEST: Final = 120
"""Characters of a text in a row; the event's own page has it whole."""


@dataclass(slots=True, frozen=True)
class Words:
    """What a reader's rows depend on: the language, and the site's time zone."""

    texts: Texts
    zone: ZoneInfo

    def time(self, moment: str) -> str:
        """An RFC 3339 time in the site's zone, to the second; anything else as it is."""
        try:
            found = datetime.fromisoformat(moment)
        except ValueError:
            return printable(moment)
        return found.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S")

    def moment(self, ms: int | None) -> str:
        """Milliseconds since 1970, the same way; "" for None."""
        return "" if ms is None else self.time(datetime.fromtimestamp(ms / 1000, UTC).isoformat())


def row_of(event: Mapping[str, Any], words: Words, number: int | None = None) -> dict[str, Any]:
    """The event's row; `number` is the spool's, None for one that only the archive has. Never raises for odd shapes."""
    data = mapping(event.get("data"))
    texts = words.texts
    type_, severity = text(event.get("type")), text(data.get("severity"))
    severity = severity if severity in SEVERITIES else "info"
    moment = text(event.get("time"))
    said, what = text(data.get("name")), texts.of_type(type_)
    device = mapping(data.get("device"))
    return {
        "n": number,
        "id": text(event.get("id")),
        "source": text(event.get("source")).rpartition("/")[2],
        "time": moment,
        "clock": words.time(moment)[11:],
        "day": words.time(moment)[:10],
        "severity": severity,
        "severity_said": texts(f"severity.{severity}"),
        "type": type_,
        "what": short(what),
        "said": short(said) if said and said.lower() != what.lower() else "",
        "phase": texts.get(f"phase.{text(data.get('phase'))}", ""),
        "where": short(
            text(device.get("name")) or text(event.get("subject")) or text(device.get("id")) or _of_pump(data)
        ),
        "place": short(" · ".join(_place(data, texts))),
        "plate": short(text(mapping(data.get("vehicle")).get("plate"))),
        "person": short(text(mapping(data.get("access")).get("person"))),
        "note": short(" · ".join(_notes(data, texts))),
        "picture": picture(data),
        "updates": text(data.get("updates")) if type_ == "media.stored" else "",
        "notes": text(data.get("updates")) if type_ == "alarm.acknowledged" else "",
        "noted": noted_by(text(_noted(data)), texts) if type_ == "alarm.acknowledged" else "",
    }


def mark_of(event: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Of an event's row the fields that say something of an earlier row."""
    row = row_of(event, words)
    return {name: row[name] for name in ("updates", "picture", "notes", "noted")}


def noted_by(user: str, texts: Texts) -> str:
    """What stands in the row of an alarm that somebody has taken note of."""
    return short(texts("mark.noted", user=user))


def picture(data: Mapping[str, Any]) -> str:
    """The path of the event's first stored picture on this listener, "" where there is none."""
    return next((found for found in map(address, media(data)) if found), "")


def media(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The entries of `data.media`."""
    entries = data.get("media")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping):
            yield entry


def address(medium: Mapping[str, Any]) -> str:
    """Where this listener shows a stored picture, "" for one that is not stored or is none."""
    digest = medium.get("sha256")
    if medium.get("state") != "stored" or not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return ""
    mime = medium.get("mime")
    return f"/media/{digest}" if mime is None or str(mime).startswith("image/") else ""


def mapping(value: object) -> Mapping[str, Any]:
    """The value, or nothing at all where it is no object."""
    return value if isinstance(value, Mapping) else {}


def text(value: object) -> str:
    """A value as one printable line, "" for None."""
    return "" if value is None else printable(value)


def short(line: str) -> str:
    """The text, or its beginning."""
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _place(data: Mapping[str, Any], texts: Texts) -> Iterator[str]:
    place = mapping(data.get("place"))
    for name in _PLACE:
        if found := text(place.get(name)):
            yield f"{texts(f'place.{name}')} {found}" if name in _NAMED and len(found) < 6 else found


def _noted(data: Mapping[str, Any]) -> object:
    alarm = mapping(data.get("alarm"))
    return alarm.get("user") if alarm.get("acknowledged") is True and data.get("vendor") == "pump" else None


def _of_pump(data: Mapping[str, Any]) -> str:
    return text(data.get("sink"))


def _notes(data: Mapping[str, Any], texts: Texts) -> Iterator[str]:
    for mark in ("late", "update", "reconciled"):
        if data.get(mark) is True:
            yield texts(f"mark.{mark}")
    access, command = mapping(data.get("access")), mapping(data.get("command"))
    measure = mapping(data.get("measure"))
    if measure.get("what") is not None:
        yield " ".join(filter(None, (text(measure.get(name)) for name in ("what", "value", "unit"))))
    for value in (
        access.get("reason"), mapping(data.get("vehicle")).get("list"), command.get("verb"), command.get("status"),
        command.get("reason"), data.get("reason"), data.get("error"), _noted(data), data.get("note"),
    ):  # fmt: skip
        if found := text(value):
            yield found
