"""A source's side of the gap ledger: its gaps are opened with their events, and filled by what its vendor still has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import orjson

from pump.core.clock import Clock
from pump.core.errors import Refusal
from pump.core.event import Event, Sighting, Unparsed
from pump.spool import Along, Gap, GapChange, GapOpened, Receipt, Row, Seen, Spool
from pump.spool.gaps.ledger import GapState

TYPE: Final = "pump.gap"
BY_HAND: Final = "asked for by hand"
"""The reason of a record that an operator has opened: pump backfill."""
BUG: Final = "its filling met a bug; the daemon's log has it whole"
REPORT: Final = 0.5
"""Seconds between two reports of its progress."""
_NOBODY: Final = "the vendor keeps nothing that could be asked for"
_SINK: Final = "the events were stored and removed; the sink alone has not had them"
_SPOOL: Final = "lost on this machine's disk; a source whose vendor keeps a log has a record of its own"


class _Put(Protocol):
    """The intake's own way into the spool."""

    def __call__(
        self, items: Sequence[Event | Unparsed], state: Mapping[str, Any] | None, along: Along, fills: int
    ) -> Awaitable[Receipt]: ...


class SourceGaps:
    """The records of one source. Times are aware."""

    def __init__(self, name: str, *, spool: Spool, clock: Clock, put: _Put) -> None:
        self._name = name
        self._spool = spool
        self._clock = clock
        self._put = put
        self._fills = False

    def fills(self) -> None:
        """The source fills its gaps itself: from now on they open as such, and not as unfillable."""
        self._fills = True

    def opening(self, rows: Sequence[Row]) -> None:
        """Have each gap among the rows open its record."""
        for row in rows:
            if row.type == TYPE:
                data = orjson.loads(row.body)["data"]
                try:
                    since, until = (_milliseconds(datetime.fromisoformat(data[name])) for name in ("from", "to"))
                except (KeyError, TypeError, ValueError):  # made by a source itself, in another form
                    since = until = row.recorded
                # A sink's gap lost nothing that a vendor could give, one of no width does not say what to ask for.
                sink = data.get("sink")
                own = self._fills and sink is None and since < until
                notes = "" if own else _SINK if sink else _SPOOL if self._name == "pump" else _NOBODY
                row.gap = GapOpened(
                    since, until, str(data.get("reason", "")), row.recorded, data.get("count"), not own, notes
                )

    @property
    def waiting(self) -> int:
        """The number of records that are to be filled."""
        return self._spool.gaps.counts.get(self._name, {}).get("open", 0)

    async def open(self) -> list[Gap]:
        """Those that are to be filled, the oldest first. Raises `Unavailable`."""
        found: list[Gap] = []
        after = 0
        while more := await self._spool.gaps.read(source=self._name, state="open", after=after):
            found += more
            after = more[-1].id
        return found

    async def get(self, gap: int) -> Gap | None:
        """The record of this number; None where it is too old to be kept. Raises `Unavailable`."""
        return await self._spool.gaps.get(gap)

    async def lost(self, after: int) -> list[Gap]:
        """The losses of the spool itself, of records above the number `after`. Raises `Unavailable`."""
        found: list[Gap] = []
        while more := await self._spool.gaps.read(source="pump", after=after):
            found += [gap for gap in more if gap.notes == _SPOOL and gap.since < gap.until]
            after = more[-1].id
        return found

    async def note(self, name: str, begin: datetime, end: datetime, reason: str, notes: str = "") -> Gap:
        """Open a record that no event opens; one of this name that is there already is given back as it is.

        Raises `Unavailable`.
        """
        opened = GapOpened(
            _milliseconds(begin), _milliseconds(end), reason, self._clock.now_ms(), unfillable=False, notes=notes
        )
        await self._put((), None, Along(opened=[(self._name, name, opened)]), 0)
        found = await self._spool.gaps.named(self._name, name)
        assert found is not None  # the newest of a source is never one that is removed
        return found

    async def by_hand(
        self, since: datetime, until: datetime, looked: Callable[[int], dict[str, Any]],
        report: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> dict[str, Any]:  # fmt: skip
        """Open a record for this time, and wait until the source's filler is done with it; see
        `pump.ops.backfill.Backfillable`. `looked` gives, of a record's number, what it knows of
        `looked` and `of` (how far it is) and `waiting` (why). Raises Refusal."""
        gap = await self.note(f"by hand {self._clock.now_ms()}", since, until, BY_HAND)
        far: dict[str, Any] = {"looked": 0.0, "of": (until - since).total_seconds()}
        while (kept := await self.get(gap.id)) is not None and kept.state == "open":
            now = looked(gap.id)
            far |= {name: now[name] for name in far if name in now}
            await report({**now, **far, "filled": kept.filled})
            await self._clock.sleep(REPORT)
        if kept is None:
            raise Refusal("its record is gone from the ledger, which keeps the newest of each source")
        return {"gap": kept.id, "state": kept.state, "filled": kept.filled, "notes": kept.notes}

    async def fill(
        self, gap: Gap | None, items: Sequence[Event | Unparsed], state: Mapping[str, Any] | None = None, *,
        seen: Sequence[Seen] = (), become: GapState | None = None, notes: str | None = None,
    ) -> Receipt:  # fmt: skip
        """Store what was missing, with the source's state, sightings of other events, and the record's new state and
        notes, all in one transaction; what was stored is added to the record. As `Intake.put` otherwise.
        """
        changes = []
        if gap is not None and (become is not None or notes is not None):
            changes.append(GapChange(gap.id, self._clock.now_ms(), become, notes))
        along = Along(changes=changes, seen=[(self._name, each) for each in seen])
        return await self._put(items, state, along, 0 if gap is None else gap.id)

    async def seen(self, wanted: Collection[Sighting]) -> list[Seen]:
        """What is stored of these names, on any side. Raises `Unavailable`."""
        return await self._spool.gaps.seen(self._name, wanted)


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
