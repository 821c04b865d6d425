"""Searches in an archive (a sink of type sqlite), by a connection that only reads, in a thread of the page's own."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from pump.core.taxonomy import SEVERITIES
from pump.ops.page.filters import Filter
from pump.ops.page.reading import Hits, Unreadable

LONGEST: Final = 10.0
"""Seconds that a search may take; what it has found by then is shown."""
_LOOK: Final = 20_000
"""Steps of SQLite's machine from one look at the time to the next."""
_PLACES: Final = ("zone", "area", "lot")
_DEVICES: Final = ("subject", "device", "device_name", "channel", "space")


def search(path: Path, wanted: Filter, zone: ZoneInfo, limit: int, before: str = "") -> Hits:
    """The newest `limit` events that are wanted, below the place `before` ("TIME NUMBER", as `reached` gives it).

    In a thread. Raises Unreadable.
    """
    terms = [*_terms(wanted, zone)]
    at, _, number = before.partition(" ")
    if number.isascii() and number.isdigit():
        terms.append(("(time, number) < (?, ?)", [at, int(number)]))
    where = " AND ".join(term for term, _ in terms) or "TRUE"
    values = [value for _, several in terms for value in several]
    query = f"SELECT time, number, json FROM events WHERE {where} ORDER BY time DESC, number DESC LIMIT ?"
    found = Hits()
    last = None
    try:
        with closing(_open(path)) as db:
            end = time.monotonic() + LONGEST
            db.set_progress_handler(lambda: time.monotonic() > end, _LOOK)
            for moment, id_, body in db.execute(query, (*values, limit)):
                found.events.append((None, orjson.loads(body), body.encode()))
                last = f"{moment} {id_}"
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise Unreadable(f"{path.name}: {error}") from error
        found.cut = True
    except (sqlite3.Error, ValueError) as error:
        raise Unreadable(f"{path.name}: {error}") from error
    if len(found.events) == limit:
        found.place = last
    return found


def event_in(path: Path, source: str, id_: str) -> dict[str, Any] | None:
    """The event of this name, None where the archive has none. In a thread. Raises Unreadable."""
    try:
        with closing(_open(path)) as db:
            row = db.execute("SELECT json FROM events WHERE event_source = ? AND id = ?", (source, id_)).fetchone()
        found = None if row is None else orjson.loads(row[0])
    except (sqlite3.Error, ValueError) as error:
        raise Unreadable(f"{path.name}: {error}") from error
    return found if isinstance(found, dict) else None


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)
    db.execute("PRAGMA query_only=1")
    return db


def _terms(wanted: Filter, zone: ZoneInfo) -> Iterator[tuple[str, list[Any]]]:
    """Each part of the filter as SQL, with its values."""
    if wanted.type:
        yield "type GLOB ?", [wanted.type if "*" in wanted.type else f"{wanted.type}*"]
    if wanted.severity:
        yield "level >= ?", [SEVERITIES[wanted.severity]]
    if wanted.source:
        yield "source = ?", [wanted.source]
    if wanted.device:
        yield _any(_DEVICES), [_like(wanted.device)] * len(_DEVICES)
    if wanted.plate:
        # as `plain_plate` has it
        plain = "plate"
        for noise in " -·.":
            plain = f"replace({plain}, '{noise}', '')"
        yield f"plate IS NOT NULL AND upper({plain}) LIKE ? ESCAPE '\\'", [_like(_plain(wanted.plate))]
    if wanted.zone:
        yield _any(_PLACES), [_like(wanted.zone)] * len(_PLACES)
    if wanted.person:
        yield _any(("person",)), [_like(wanted.person)]
    if wanted.text:
        yield _any(("json",)), [_like(wanted.text)]
    if wanted.quiet:
        yield "type NOT IN ('device.measure', 'device.status', 'driving.position') AND type NOT GLOB 'media.*'", []
    since, until = wanted.moments(zone)
    if since is not None:
        yield "time >= ?", [_time(since)]
    if until is not None:
        yield "time < ?", [_time(until)]


def _any(columns: tuple[str, ...]) -> str:
    return "(" + " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in columns) + ")"


def _like(text: str) -> str:
    for sign in "\\%_":
        text = text.replace(sign, f"\\{sign}")
    return f"%{text}%"


def _plain(plate: str) -> str:
    return plate.translate({ord(noise): None for noise in " -·."}).upper()


def _time(moment: datetime) -> str:
    # without "Z": so it sorts before every fraction of its second
    return moment.strftime("%Y-%m-%dT%H:%M:%S")
