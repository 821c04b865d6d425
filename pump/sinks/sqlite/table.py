"""The archive's table: which columns there are, and how an event becomes a row. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from pump.core.record import Record
from pump.core.taxonomy import SEVERITIES

_Get = Callable[[Mapping[str, Any]], Any]

APPLICATION_ID: Final = 0x70756D61  # "puma"
VERSION: Final = 1


def _path(*names: str) -> _Get:
    def get(event: Mapping[str, Any]) -> Any:
        value: Any = event
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, bool):
            return int(value)
        return value if value is None or isinstance(value, str | int | float) else orjson.dumps(value).decode()

    return get


def _site(event: Mapping[str, Any]) -> Any:
    return str(event.get("source", "")).strip("/").partition("/")[0]


def _source(event: Mapping[str, Any]) -> Any:
    return str(event.get("source", "")).rpartition("/")[2]


COLUMNS: Final[dict[str, tuple[str, _Get]]] = {
    "event_source": ("TEXT NOT NULL", _path("source")),
    "id": ("TEXT NOT NULL", _path("id")),
    "time": ("TEXT", _path("time")),
    "recorded": ("TEXT", _path("recordedtime")),
    "type": ("TEXT", _path("type")),
    "site": ("TEXT", _site),
    "source": ("TEXT", _source),
    "subject": ("TEXT", _path("subject")),
    "severity": ("TEXT", _path("data", "severity")),
    "level": ("INTEGER", lambda event: SEVERITIES.get(str(_path("data", "severity")(event)))),
    "phase": ("TEXT", _path("data", "phase")),
    "vendor": ("TEXT", _path("data", "vendor")),
    "code": ("TEXT", _path("data", "code")),
    "name": ("TEXT", _path("data", "name")),
    "incident": ("TEXT", _path("data", "incident")),
    "device": ("TEXT", _path("data", "device", "id")),
    "device_name": ("TEXT", _path("data", "device", "name")),
    "lot": ("TEXT", _path("data", "place", "lot")),
    "area": ("TEXT", _path("data", "place", "area")),
    "channel": ("TEXT", _path("data", "place", "channel")),
    "zone": ("TEXT", _path("data", "place", "zone")),
    "lane": ("TEXT", _path("data", "place", "lane")),
    "space": ("TEXT", _path("data", "place", "space")),
    "plate": ("TEXT", _path("data", "vehicle", "plate")),
    "list": ("TEXT", _path("data", "vehicle", "list")),
    "direction": ("TEXT", _path("data", "vehicle", "direction")),
    "occupied": ("INTEGER", _path("data", "parking", "occupied")),
    "person": ("TEXT", _path("data", "access", "person")),
    "door": ("TEXT", _path("data", "access", "door")),
    "granted": ("INTEGER", _path("data", "access", "granted")),
    "json": ("TEXT NOT NULL", lambda event: None),
}
"""Name to type and where in the event it stands; the last is the event itself."""

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

_GETTERS: Final = [get for _, get in COLUMNS.values()][:-1]
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
    return [*[get(event) for get in _GETTERS], record.body.decode()]


def upsert(rows: int) -> str:
    """One statement for that many rows; what is there already is written over."""
    one = "(" + ",".join("?" * WIDTH) + ")"
    return (
        f"INSERT INTO events({_NAMES}) VALUES {','.join([one] * rows)}"
        f" ON CONFLICT(event_source, id) DO UPDATE SET {_UPDATES}"
    )
