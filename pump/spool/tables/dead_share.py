"""The share of dead letters: a receiver that refuses everything fills no spool; its oldest letters go first.

Whoever has most makes room, so that one sink's letters cost no other's. Letters about strangers' events, which whoever
makes up devices can have refused, are few, and go before any other.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson
import structlog

from pump.core.clock import Clock
from pump.spool.state import News, SpoolState
from pump.spool.statements import LETTER_COST, dead_letters
from pump.spool.tables.dead_letters import GONE, STRANGE
from pump.spool.tables.dead_letters import gone as gone_before
from pump.spool.writer import Writer

if TYPE_CHECKING:  # a spool is read by commands too, which count nothing
    from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

PART: Final = 8
"""Dead letters may hold an eighth of `max_bytes`."""
LEFT: Final = 15 / 16
"""Share of that which is left after some had to go, so that not each further one has another go."""
STRANGERS: Final = 1000
"""Letters about strangers' events, of all sinks."""
EVERY: Final = 3600.0
"""Seconds between two events about a sink's letters; what goes meanwhile is in the next one."""
_SLICE: Final = 200
"""Rows removed at a time."""


def share(max_bytes: int) -> int:
    """Bytes that dead letters may hold in a spool of this size."""
    return max_bytes // PART


@dataclass(slots=True)
class _Gone:
    """Letters that went, by sink."""

    count: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    through: int = 0
    """The number of the last one."""

    def __bool__(self) -> bool:
        return bool(self.count)


class DeadShare:
    """Belongs to the event loop, and to who keeps the spool in bounds."""

    def __init__(
        self, state: SpoolState, writer: Writer, max_bytes: int, *, clock: Clock, news: News, metrics: Metrics
    ) -> None:
        """`max_bytes` are the spool's."""
        self._state = state
        self._writer = writer
        self._share = share(max_bytes)
        self._clock = clock
        self._news = news
        self._metrics = metrics
        self._evicting = False
        self._unreported = _Gone()
        self._reported: dict[str, float] = {}

    async def keep(self) -> bool:
        """Remove a slice where there are too many; True where more must go. Raises sqlite3.Error."""
        self._report()
        state = self._state
        holding = sum(state.dead_bytes.values())
        self._evicting = holding > self._share * (LEFT if self._evicting else 1)
        noted = state.value(STRANGE)
        strange: list[int] = noted if isinstance(noted, list) else []
        more = holding - int(self._share * LEFT) if self._evicting else 0
        if not more and len(strange) <= STRANGERS:
            return False
        if strange:
            ids = strange[: _SLICE if more else min(_SLICE, len(strange) - STRANGERS)]
            gone = await self._writer.run(partial(evict, ids=ids, least=more or None))
            strange = state.value(STRANGE)  # more may have come meanwhile
            # Those that are there no more are not counted any more.
            through = gone.through if more and gone else ids[-1]
            self._writer.remember(STRANGE, [id_ for id_ in strange if id_ > through])
        else:
            sink = max(state.dead_bytes, key=lambda name: state.dead_bytes[name])
            gone = await self._writer.run(partial(evict, sink=sink, least=more))
            if not gone:  # what was counted is not there
                state.recount_dead(await self._writer.run(dead_letters))
                return False
        self._note(gone)
        return True

    def _note(self, gone: _Gone) -> None:
        for sink, count in gone.count.items():
            self._state.count_dead(sink, -count, -gone.bytes[sink])
            self._metrics.dead_evicted.labels(sink=sink).inc(count)
            key = ("pump", GONE + sink)
            before, _ = gone_before(self._state.value(key))
            self._writer.remember(key, [before + count, self._clock.now_ms()])
        self._unreported.count += gone.count
        self._unreported.bytes += gone.bytes
        self._report()

    def _report(self) -> None:
        """Have what went become an event, at once and then hourly at the most, sink by sink."""
        now = self._clock.monotonic()
        for sink in [*self._unreported.count]:
            if now - self._reported.get(sink, -EVERY) >= EVERY:
                self._reported[sink] = now
                count, size = self._unreported.count.pop(sink), self._unreported.bytes.pop(sink)
                log.warning(
                    "Dead letters are more than their share of the spool; the oldest are removed",
                    sink=sink, count=count, bytes=size, max_bytes=self._share,
                )  # fmt: skip
                self._news.buried(sink, count, size)


def evict(
    db: sqlite3.Connection, *, sink: str | None = None, ids: Sequence[int] | None = None, least: int | None
) -> _Gone:
    """Remove a slice of a sink's oldest letters, or of these, until `least` bytes went; None: all of the slice."""
    where, values = ("sink = ?", sink) if ids is None else ("id IN (SELECT value FROM json_each(?))", _json(ids))
    rows = db.execute(
        f"SELECT id, CAST(sink AS TEXT), {LETTER_COST} FROM dead WHERE {where} ORDER BY id LIMIT {_SLICE}", (values,)
    )
    gone, chosen, size = _Gone(), list[int](), 0
    for id_, name, cost in rows.fetchall():
        if least is not None and size >= least:
            break
        chosen.append(id_)
        gone.count[name] += 1
        gone.bytes[name] += cost
        gone.through = id_
        size += cost
    if chosen:
        db.execute("DELETE FROM dead WHERE id IN (SELECT value FROM json_each(?))", (_json(chosen),))
    return gone


def _json(ids: Sequence[int]) -> str:
    return orjson.dumps(list(ids)).decode()
