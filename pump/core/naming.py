"""Names from the configuration, for bays, cameras, channels, zones and partitions to which their vendor gives none.

A source's table `names` (Kinot's `bays`) has a row for each, in pump.toml or in a CSV file. A row's key is the device,
as its events have it in `device.id` or `device.serial` ("park/device" where an id is in two parks), or a part of it:
"<device>/zone/3", "<device>/partition/1", "<device>/channel/2"; without "<device>/" it is any device of the source, and
"*" is any device itself.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from pump.core.errors import Absent
from pump.core.event import AHEAD, Event
from pump.core.files import given
from pump.core.text import words_of

_Word = str | int

ANY: Final = "*"
"""The key of any device of the source."""
PARTS: Final = ("zone", "partition", "channel")
"""The parts of which a device has several, as `data.place` and the keys call it."""
KEYS: Final = ("key", "id", "sn", "device", "bay", "serial", "camera", "channel_id")
"""The names that a CSV's first column may have."""
_LARGEST: Final = 16 << 20
_PROBLEMS: Final = 10
"""Mistakes of a CSV that are listed; a wrong delimiter would be one a line."""


class Named(BaseModel):
    """One row: `name` is that of what its key stands for, the others are fields of `data.place`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: _Word | None = Field(default=None, description="of what the key stands for")
    lot: _Word | None = None
    area: _Word | None = None
    space: _Word | None = None
    lane: _Word | None = None
    zone: _Word | None = None
    partition: _Word | None = None
    channel: _Word | None = None

    def place(self) -> dict[str, _Word]:
        """The fields of `data.place` that it has."""
        found = {name: getattr(self, name) for name in PLACES}
        return {name: value for name, value in found.items() if value is not None and value != ""}


PLACES: Final = tuple(name for name in Named.model_fields if name != "name")


def read_table(value: object, info: ValidationInfo) -> object:
    """A table as it stands in pump.toml, or the rows of the CSV file that a text names.

    A relative path is under the folder of pump.toml (`folder` in the validation's context). Raises ValueError with each
    mistake of the file and its line.
    """
    if not isinstance(value, str):
        return value
    folder: Path = (info.context or {}).get("folder", Path())
    path = folder / value
    try:
        content = given.read(path, _LARGEST)
    except OSError as error:
        raise Absent(f"the CSV file {value} cannot be read: {words_of(error)}") from None
    except ValueError as error:
        raise ValueError(f"the CSV file {value} cannot be read: {words_of(error)}") from None
    if len(content) > _LARGEST:
        raise ValueError(f"the CSV file {value} has more than {_LARGEST >> 20} MiB")
    rows, problems = read_csv(content)
    if problems:
        listed = problems[:_PROBLEMS]
        if len(problems) > len(listed):
            listed.append(f"and {len(problems) - len(listed)} more")
        raise ValueError(f"the CSV file {value} has mistakes: {'; '.join(listed)}")
    return rows


NameTable = Annotated[
    dict[str, Named],
    BeforeValidator(read_table),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "description": "path of a CSV file"},
                {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "properties": {name: {"type": ["string", "integer"]} for name in Named.model_fields},
                        "additionalProperties": False,
                    },
                },
            ]
        }
    ),
]


def read_csv(content: bytes) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The rows of a CSV by key, and its mistakes, each with its line, counted from 1.

    The first line names the columns: the key (`KEYS`), then fields of a row in any order. Cells are parted by commas,
    semicolons or tabs. Empty cells, empty lines and lines that begin with # say nothing.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return {}, [f"line {content[: error.start].count(10) + 1}: bytes that are not UTF-8"]
    lines = read_lines(text)
    try:
        number, header = next(lines)
    except StopIteration:
        return {}, ["line 1: no columns are named"]
    except csv.Error as error:
        return {}, [f"line 1: {error}"]
    names = [cell.lower() for cell in header]
    if problems := list(_columns(names)):
        return {}, [f"line {number}: {problem}" for problem in problems]
    rows: dict[str, dict[str, str]] = {}
    first: dict[str, int] = {}
    problems = []
    try:
        for number, cells in lines:
            key = cells[0]
            if len(cells) != len(names):
                problems.append(f"line {number}: {len(cells)} cells where line 1 names {len(names)} columns")
            elif not key:
                problems.append(f"line {number}: no {names[0]}")
            elif key in rows:
                problems.append(f'line {number}: "{key}" again, which line {first[key]} has')
            else:
                first[key] = number
                rows[key] = {name: cell for name, cell in zip(names[1:], cells[1:], strict=True) if cell}
    except csv.Error as error:
        problems.append(f"line {number + 1}: {error}")
    return rows, problems


def read_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """(number, cells without blanks around them) of each line that says something."""
    head = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begin = 1
    for cells in reader:
        number, begin = begin, reader.line_num + 1
        cells = [cell.strip() for cell in cells]
        if any(cells) and not cells[0].startswith("#"):
            yield number, cells


def _columns(names: Sequence[str]) -> Iterator[str]:
    if names[0] not in KEYS:
        yield f'the first column is "{names[0]}", and must be the key: one of {", ".join(KEYS)}'
        return
    known = tuple(Named.model_fields)
    for place, name in enumerate(names[1:], 1):
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f'did you mean "{close[0]}"?' if close else f"there are {', '.join(known)}"
            yield f'no column "{name}" is known; {hint}'
        elif name in names[1:place]:
            yield f'the column "{name}" again'
    if len(names) == 1:
        yield "one column alone names nothing"


class Names:
    """One source's table, and the one place that applies it."""

    def __init__(self, rows: Mapping[str, Named], ahead: timedelta = AHEAD) -> None:
        """`ahead`: how far the time of the source's devices may be ahead of its arrival and still be believed."""
        self.ahead = ahead
        self._rows = {key.strip(): row for key, row in rows.items()}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def fill(self, event: Event) -> None:
        """Name the device and the place of an event, where its vendor does not; a number is no name.

        What is nearest wins: a zone's row before its partition's, its channel's and its device's.
        """
        device: Mapping[str, Any] = event.data.get("device") or {}
        place: Mapping[str, Any] = event.data.get("place") or {}
        keys = list(_devices(event.subject, device))
        named: dict[str, Any] = {}
        for part in PARTS:
            number = _number(part, event, place)
            if number is None:
                continue
            row = self._first([*(f"{key}/{part}/{number}" for key in keys), f"{part}/{number}"])
            if row is None:
                continue
            called = row.name or getattr(row, part)
            if called is not None and str(place.get(part, number)) == number:
                named.setdefault(part, called)
            _add(named, row, place)
        row = self._first([*keys, ANY])
        if row is not None:
            _add(named, row, place)
            if row.name is not None and not device.get("name"):
                event.data["device"] = {**device, "name": row.name}
        if named:
            event.data["place"] = {**place, **named}  # a new one: events of one record may share theirs

    def _first(self, keys: Sequence[str]) -> Named | None:
        return next((self._rows[key] for key in keys if key in self._rows), None)


def devices_of(keys: Iterable[str]) -> Iterator[str]:
    """The devices that keys of such a table name, some more than once; "zone/3" alone names none."""
    for key in keys:
        parts = key.strip().split("/")
        if len(parts) > 1 and parts[-2] in PARTS:
            del parts[-2:]
        if parts and parts != [ANY]:
            yield "/".join(parts)


def _add(named: dict[str, Any], row: Named, place: Mapping[str, Any]) -> None:
    for field, value in row.place().items():
        if place.get(field) in (None, ""):
            named.setdefault(field, value)


def _devices(subject: str | None, device: Mapping[str, Any]) -> Iterator[str]:
    """The names that a device may have in a key, the most exact first."""
    id_ = device.get("id")
    if id_ is not None:
        kind, _, rest = (subject or "").partition("/")
        if kind not in PARTS and rest.endswith(f"/{id_}"):
            yield rest  # "10000/1001" of "camera/10000/1001"
        yield str(id_)
    if device.get("serial") is not None:
        yield str(device["serial"])


def _number(part: str, event: Event, place: Mapping[str, Any]) -> str | None:
    """The number of the event's zone, partition or channel; the subject has it where the vendor's name is the place."""
    found = (event.data.get("alarm") or {}).get(part)
    if found is None and event.subject is not None:
        kind, _, rest = event.subject.partition("/")
        if rest and _KINDS.get(kind) == part:
            found = rest.rpartition("/")[2]
    if found is None:
        found = place.get(part)
    return None if found is None else str(found)


_KINDS: Final = {"zone": "zone", "camera": "channel", "channel": "channel"}
"""Kinds of subjects whose last part is such a number."""


def names_of(source: str, event: Mapping[str, Any]) -> Iterator[str]:
    """The names under which the direction table may have what saw the vehicle, the most exact first."""
    data = event["data"]
    place, device = data.get("place") or {}, data.get("device") or {}
    for outer, inner in (
        (place.get("lot"), device.get("id")),
        (source, place.get("lane")),
        (source, place.get("channel")),
    ):
        if outer is not None and inner is not None:
            yield f"{outer}/{inner}"
    for name in (event.get("subject"), device.get("serial"), device.get("id"), place.get("lane"), source):
        if name is not None:
            yield str(name)
