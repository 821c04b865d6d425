"""What a commit stores of gaps beside its events: within one transaction, so that neither can be without the other."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pump.spool.gaps import ledger, sightings
from pump.spool.gaps.ledger import GapChange
from pump.spool.gaps.sightings import Seen
from pump.spool.types import GapOpened, Row


@dataclass(slots=True, frozen=True)
class Along:
    """All that goes along with the rows of one put, in their transaction."""

    opened: Sequence[tuple[str, str, GapOpened]] = ()
    """(source, name, gap): records that no event opens."""
    changes: Sequence[GapChange] = ()
    seen: Sequence[tuple[str, Seen]] = ()
    """(source, sighting) of events that are not among the rows."""

    def __bool__(self) -> bool:
        return bool(self.opened or self.changes or self.seen)


NOTHING: Final = Along()


def together(several: Sequence[Along]) -> Along:
    """What goes along with several puts, in their order."""
    if len(several) < 2:
        return several[0] if several else NOTHING
    return Along(
        [each for one in several for each in one.opened],
        [each for one in several for each in one.changes],
        [each for one in several for each in one.seen],
    )


def store(db: sqlite3.Connection, rows: Iterable[tuple[int, Row]], along: Along, first: int) -> bool:
    """What new rows and `along` say of gaps, within the transaction of a commit; True where the ledger has changed.

    `first` is the first number of the commit: by it sightings of events that are not among the rows are forgotten.
    """
    opened = list(along.opened)
    filled: Counter[int] = Counter()
    sighted: list[sightings.Stored] = [
        (each.sighting.at, source, each.sighting.key, each.sighting.side, each.id, each.twin, first)
        for source, each in along.seen
    ]
    latest = 0
    for seq, row in rows:
        if row.fills:
            filled[row.fills] += 1
            latest = max(latest, row.recorded)
        if row.sightings:
            sighted += [(at, row.source, key, side, row.id, "", seq) for at, key, side in row.sightings]
        if row.gap is not None:
            opened.append((row.source, row.id, row.gap))
    for source, name, gap in opened:
        ledger.open_(db, source, name, gap)
    for gap_id, count in filled.items():
        ledger.add_filled(db, gap_id, count, latest)
    for change in along.changes:
        ledger.change(db, change)
    sightings.add(db, sighted)
    return bool(opened or filled or along.changes)
