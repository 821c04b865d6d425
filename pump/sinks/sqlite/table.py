"""The archive's table: which columns there are, and how an event becomes a row. No I/O."""

from __future__ import annotations

from typing import Any, Final

import orjson

from pump.core.record import Record
from pump.core.taxonomy import SEVERITIES

APPLICATION_ID: Final = 0x70756D61  # "puma"
VERSION: Final = 1


COLUMNS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "event_source": ("TEXT NOT NULL", ("source",)),
    "id": ("TEXT NOT NULL", ("id",)),
    "time": ("TEXT", ("time",)),
    "recorded": ("TEXT", ("recordedtime",)),
    "type": ("TEXT", ("type",)),
    "site": ("TEXT", ()),
    "source": ("TEXT", ()),
    "subject": ("TEXT", ("subject",)),
    "severity": ("TEXT", ("data", "severity")),
    "level": ("INTEGER", ()),
    "phase": ("TEXT", ("data", "phase")),
    "vendor": ("TEXT", ("data", "vendor")),
    "code": ("TEXT", ("data", "code")),
    "name": ("TEXT", ("data", "name")),
    "incident": ("TEXT", ("data", "incident")),
    "device": ("TEXT", ("data", "device", "id")),
    "device_name": ("TEXT", ("data", "device", "name")),
    "lot": ("TEXT", ("data", "place", "lot")),
    "area": ("TEXT", ("data", "place", "area")),
    "channel": ("TEXT", ("data", "place", "channel")),
    "zone": ("TEXT", ("data", "place", "zone")),
    "lane": ("TEXT", ("data", "place", "lane")),
    "space": ("TEXT", ("data", "place", "space")),
    "plate": ("TEXT", ("data", "vehicle", "plate")),
    "list": ("TEXT", ("data", "vehicle", "list")),
    "direction": ("TEXT", ("data", "vehicle", "direction")),
    "occupied": ("INTEGER", ("data", "parking", "occupied")),
    "person": ("TEXT", ("data", "access", "person")),
    "door": ("TEXT", ("data", "access", "door")),
    "granted": ("INTEGER", ("data", "access", "granted")),
    "json": ("TEXT NOT NULL", ()),
}
"""Name to type and where in the event it stands; nowhere: `row` makes it of others, the last is the event itself."""

INDEXES: Final = (
    ("by_identity", "UNIQUE", "event_source, id", ""),
    ("by_time", "", "time", ""),
    ("by_recorded", "", "recorded", ""),
    ("by_type", "", "type, time", ""),
    ("by_plate", "", "plate, time", "WHERE plate IS NOT NULL"),
    ("by_device", "", "device, time", "WHERE device IS NOT NULL"),
    ("by_space", "", "space, time", "WHERE space IS NOT NULL"),
    ("by_level", "", "level, time", "WHERE level >= 2"),
)
"""Name, kind, columns, and which rows: for the questions that people ask, and no more, for each costs every insert."""

_PLACES: Final = {name: place for place, name in enumerate(COLUMNS)}
_GROUPS: Final = [
    (group, [(_PLACES[name], path[-1]) for name, (_, path) in COLUMNS.items() if path and path[:-1] == group])
    for group in dict.fromkeys(path[:-1] for _, path in COLUMNS.values() if path)
]
"""The columns by the object of the event that has them: most events lack most of those objects."""
_SITE, _SOURCE, _SEVERITY, _LEVEL = (_PLACES[name] for name in ("site", "source", "severity", "level"))
_NAMES: Final = ", ".join(COLUMNS)
_UPDATES: Final = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in ("event_source", "id"))
WIDTH: Final = len(COLUMNS)


def create() -> list[str]:
    """The statements that make the table in an empty file."""
    columns = ", ".join(f"{name} {type_}" for name, (type_, _) in COLUMNS.items())
    return [
        f"CREATE TABLE IF NOT EXISTS events(number INTEGER PRIMARY KEY, {columns})",
        *(
            f"CREATE {kind} INDEX IF NOT EXISTS {name} ON events({of}) {where}".rstrip()
            for name, kind, of, where in INDEXES
        ),
        f"PRAGMA user_version = {VERSION}",
        f"PRAGMA application_id = {APPLICATION_ID}",
    ]


def row(record: Record) -> list[Any]:
    """The event as the columns hold it."""
    event = orjson.loads(record.body)
    values: list[Any] = [None] * WIDTH
    for group, members in _GROUPS:
        holder = event
        for name in group:
            holder = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            for place, name in members:
                value = holder.get(name)
                values[place] = value if value is None or type(value) is str else _scalar(value)
    source = str(event.get("source", ""))
    values[_SITE] = source.strip("/").partition("/")[0]
    values[_SOURCE] = source.rpartition("/")[2]
    values[_LEVEL] = SEVERITIES.get(str(values[_SEVERITY]))
    values[-1] = record.body.decode()
    return values


def _scalar(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, int | float) else orjson.dumps(value).decode()


def upsert(rows: int) -> str:
    """One statement for that many rows; what is there already is written over."""
    one = "(" + ",".join("?" * WIDTH) + ")"
    return (
        f"INSERT INTO events({_NAMES}) VALUES {','.join([one] * rows)}"
        f" ON CONFLICT(event_source, id) DO UPDATE SET {_UPDATES}"
    )
