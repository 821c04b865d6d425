"""Who is not reachable: what events said, put right by the table of devices, which is there longer than events are."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pump.ingest.devices import PREFIX
from pump.ops.page.board.fold import Thing
from pump.ops.page.rows import mapping, text
from pump.spool.offline import state


class Listed(NamedTuple):
    """A device as its source's table has it."""

    online: bool
    name: str
    seen: str
    """RFC 3339; "" where it never was."""


Table = Mapping[tuple[str, str], Listed]
"""By source and the device's key."""


def table(folder: Path) -> Table:
    """As it is stored. In a thread; empty where the spool cannot be read now."""
    found: dict[tuple[str, str], Listed] = {}
    with suppress(sqlite3.Error, OSError):
        for source, key, value in state(folder, PREFIX):
            if isinstance(value, dict) and isinstance(value.get("online"), bool) and value.get("since") is None:
                device = key.removeprefix(PREFIX)
                name = text(mapping(value.get("facts")).get("name")) or text(device)
                found[source, device] = Listed(value["online"], name, text(value.get("seen")))
    return found


def unreachable(said: Mapping[str, Thing], devices: Table) -> dict[str, Thing]:
    """The things that are away, by source and subject as in Board.offline."""
    away: dict[str, Thing] = {}
    named: set[tuple[str, str]] = set()
    for key, thing in list(said.items()):
        source, _, subject = key.partition(" ")
        device = source, subject.partition("/")[2]
        listed = devices.get(device)
        if listed is None or not listed.online:
            away[key] = thing
            named.add(device)
    for (source, key), listed in devices.items():
        if not listed.online and listed.seen and (source, key) not in named:
            away[f"{source} {key}"] = Thing(listed.name, source, "device.offline", listed.seen, 0)
    return away
