"""The spool's part of a bundle: sizes and counts, cursors, gaps, dead letters; no event, and nothing out of one."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from pump.cli.bundle.cleaning import Cleaner
from pump.core.record import Record
from pump.spool.connection import connect_reading
from pump.spool.offline import blocks_before, events, gaps, newest_letters, state

_COUNTED: Final = 300_000
"""Events that are looked through, the newest ones."""
_SECONDS: Final = 30.0
"""For that."""
_LISTED: Final = 500
"""Gaps and dead letters that are listed."""
_REASON: Final = 200
"""Characters of a reason."""


def summary(folder: Path, cleaner: Cleaner) -> dict[str, Any]:
    """All of it; `cleaner` learns who is named in the events. Raises FileNotFoundError, sqlite3.Error, OSError."""
    found: dict[str, Any] = {"files": _files(folder), **_counted(folder, cleaner)}
    first = next(iter(events(folder)), None)
    found["oldest"] = None if first is None else {"number": first.seq, "arrived": _time(first.recorded)}
    with closing(connect_reading(folder / "spool.db")) as db:
        found["version"] = db.execute("PRAGMA user_version").fetchone()[0]
        rows = db.execute("SELECT sink, seq FROM cursors ORDER BY sink").fetchall()
    found["cursors"] = {_text(sink): seq for sink, seq in rows if sink}
    letters = newest_letters(folder, _LISTED)
    for letter in letters:
        _learn(letter.record, cleaner)
    found["dead_letters"] = [
        {
            "id": letter.id, "sink": letter.sink, "number": letter.record.seq, "source": letter.record.source,
            "type": letter.record.type, "attempts": letter.attempts, "at": _time(letter.at),
            "reason": letter.reason.partition(": ")[0][:_REASON],
        }
        for letter in letters
    ]  # fmt: skip
    ledger = list(gaps(folder))[-_LISTED:]
    found["gaps"] = [
        {
            "id": gap.id, "source": gap.source, "from": _time(gap.since), "to": _time(gap.until), "state": gap.state,
            "missing": gap.count, "filled": gap.filled, "reason": gap.reason[:_REASON], "notes": gap.notes[:_REASON],
        }
        for gap in ledger
    ]  # fmt: skip
    kept = Counter(f"{source}: {key.partition('/')[0]}" for source, key, _ in state(folder))
    found["state_rows"] = dict(sorted(kept.items()))
    return found


def _counted(folder: Path, cleaner: Cleaner) -> dict[str, Any]:
    """By type and source, of the newest events."""
    types: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    newest: Record | None = None
    seen, until = 0, time.monotonic() + _SECONDS
    with closing(blocks_before(folder)) as blocks:
        for block in blocks:
            for record in block:
                newest = newest or record
                types[record.type] += 1
                sources[record.source] += 1
                _learn(record, cleaner)
            seen += len(block)
            if seen >= _COUNTED or time.monotonic() > until:
                break
    return {
        "newest": None if newest is None else {"number": newest.seq, "arrived": _time(newest.recorded)},
        "counted": seen,
        "types": dict(types.most_common()),
        "sources": dict(sources.most_common()),
    }


def _learn(record: Record, cleaner: Cleaner) -> None:
    with suppress(orjson.JSONDecodeError):
        cleaner.learn(orjson.loads(record.body))


def _files(folder: Path) -> dict[str, int]:
    """Bytes of what lies in the state directory itself."""
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}


def _time(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return str(ms)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
