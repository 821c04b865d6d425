"""Fleets: one `[sources.NAME]` that names many devices, each of which becomes a source of its own, "NAME-device".

`devices` is a table with a row for each, or the path of a CSV or TOML file with such rows. A row has the device's
address, and whatever else of the type's settings differs from those of the table; and its name and place.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pump.core.errors import Absent
from pump.core.files import given
from pump.core.naming import ANY, KEYS, PLACES, read_lines
from pump.core.settings import SourceSettings
from pump.core.text import words_of
from pump.core.vocabulary import did_you_mean, nearest

KEY: Final = "devices"
ADDRESS: Final = "address"
"""Of a row, in the place of `url`: the host alone, or with a port."""
SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string", "pattern": r"\.(csv|toml)$", "description": "path of a CSV or TOML file"},
        {
            "type": "object",
            "minProperties": 1,
            "description": "a fleet: settings by the device's name, or its address alone",
            "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "object"}]},
        },
    ]
}
_LARGEST: Final = 16 << 20
_SWITCHES: Final = {"true": True, "false": False}

Row = dict[str, Any]


def is_fleet(table: Mapping[str, Any], model: type[SourceSettings]) -> bool:
    """True where the table of a source names a fleet; in a type that has its own `devices`, these are lists."""
    devices = table.get(KEY)
    if not model.fleet:
        return False
    return isinstance(devices, str) or (
        isinstance(devices, dict) and any(isinstance(row, (str, dict)) for row in devices.values())
    )


def tables(
    table: Mapping[str, Any], model: type[SourceSettings], folder: Path
) -> dict[str, tuple[Row, frozenset[str]]]:
    """By the device's name: its whole table, and which keys of it are the row's own.

    A relative path is under `folder`. Raises ValueError with what is wrong with the file or the rows.
    """
    devices = table[KEY]
    rows = _read(folder / devices, devices, model) if isinstance(devices, str) else devices
    if not rows:
        raise ValueError("no device is named")
    shared = {key: value for key, value in table.items() if key != KEY}
    found: dict[str, tuple[Row, frozenset[str]]] = {}
    for name, row in rows.items():
        own = _own({ADDRESS: row} if isinstance(row, str) else row, shared, model, name)
        found[name] = {**shared, **own}, frozenset(own)
    return found


def _own(row: object, shared: Mapping[str, Any], model: type[SourceSettings], name: str) -> Row:
    """A row as settings: an address is a URL, a name and a place are a row of `names`."""
    if not isinstance(row, dict):
        raise ValueError(f"{name}: an address or a table is wanted")
    own = dict(row)
    if (address := own.pop(ADDRESS, None)) is not None:
        if "url" in own or not isinstance(address, str):
            raise ValueError(f'{name}: an address such as "192.0.2.10", or a url, is wanted')
        own["url"] = address if "://" in address else f"http://{address}"
    words = [key for key in ("name", *PLACES) if key in own and key not in model.model_fields]
    if "name" in words and model.fleet != "devices":
        raise ValueError(f"{name}: name is no key here, for there are many devices behind it: names has their rows")
    if words:
        names = own.get("names", shared.get("names", {}))
        if not isinstance(names, dict):
            raise ValueError(f"{name}: {words[0]} and a file of names do not go together: name it there")
        own["names"] = {**names, ANY: {key: own.pop(key) for key in words}}
    return own


def _read(path: Path, called: str, model: type[SourceSettings]) -> dict[str, Any]:
    try:
        content = given.read(path, _LARGEST)
    except OSError as error:
        raise Absent(f"the file {called} cannot be read: {words_of(error)}") from None
    try:
        if len(content) > _LARGEST:
            raise ValueError(f"more than {_LARGEST >> 20} MiB")
        text = content.decode("utf-8-sig")
        return tomllib.loads(text) if path.suffix == ".toml" else dict(_csv(text, model))
    except (ValueError, csv.Error) as error:  # of TOML and UTF-8 too
        raise ValueError(f"the file {called}: {words_of(error)}") from None


def _csv(text: str, model: type[SourceSettings]) -> Iterator[tuple[str, Row]]:
    """Name and row of each line. The first line names the columns, the first of them the device."""
    lines = read_lines(text)
    _, header = next(lines, (0, [""]))
    columns = [cell.lower() for cell in header]
    known = [ADDRESS, "name", *PLACES, *model.model_fields]
    if columns[0] not in KEYS:
        raise ValueError(f'the first column is "{columns[0]}", and must be the device: one of {", ".join(KEYS)}')
    for column in columns[1:]:
        if column not in known:
            raise ValueError(f'no column "{column}" is known{did_you_mean(nearest(column, known))}')
    seen: set[str] = set()
    for number, cells in lines:
        if len(cells) != len(columns):
            raise ValueError(f"line {number}: {len(cells)} cells where the first line names {len(columns)} columns")
        if cells[0] in seen:
            raise ValueError(f'line {number}: "{cells[0]}" again')
        seen.add(cells[0])
        row = {column: cell for column, cell in zip(columns[1:], cells[1:], strict=True) if cell}
        yield cells[0], {column: _SWITCHES.get(cell, cell) for column, cell in row.items()}
