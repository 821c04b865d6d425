"""The daemon's own events on their way into the spool: in order, and again while even the reserve refuses."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import structlog

import pump
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event
from pump.delivery.cursor import OnDamaged
from pump.delivery.evicted import OnLost
from pump.ingest.evictions import Early
from pump.ingest.intake import Intake
from pump.sink import Damage
from pump.spool import Repaired, Spool
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

TICK: Final = 1.0
"""Seconds between two offers of a refused event, and of the sources' news."""
KEPT: Final = 1000
"""Events that may wait; beyond it the oldest go, named in the log: a spool that takes nothing must not fill memory."""


def note_run(spool: Spool, *, clean: bool) -> None:
    """Note for the next start how this run ended."""
    spool.remember("pump", "run", {"clean": clean})


class Announcer:
    """Takes events from anywhere on the event loop, without waiting; `run` stores them."""

    def __init__(self, intake: Intake, spool: Spool, *, clock: Clock, metrics: Metrics) -> None:
        """`intake` is the daemon's own, named "pump". What the spool found and finds become events, from here on."""
        self._intake = intake
        self._spool = spool
        self._clock = clock
        self._metrics = metrics
        self._sources: list[Intake] = []
        self._waiting: deque[Event] = deque()
        self._unreported = spool.repaired is not None
        if spool.repaired is not None:
            self._tell_repaired(spool.repaired)
        spool.listen(filling=self._tell_filling, damaged=self._tell_damaged, buried=self._report_buried)

    def carry(self, source: Intake) -> None:
        """Have this source's news (up, down) that no put carried stored every second."""
        self._sources.append(source)

    def forget(self, source: Intake) -> None:
        """The source has gone, and its news are stored."""
        if source in self._sources:
            self._sources.remove(source)

    def started(self, sources: Sequence[str], sinks: Sequence[str]) -> None:
        """The pump runs these parts. The event gives how the last run ended; this one is unclean until `note_run`."""
        former = self._spool.state("pump", "run").get("run")
        previous = "none" if former is None else "clean" if former["clean"] else "unclean"
        note_run(self._spool, clean=False)
        self.tell(
            "pump.started",
            "Pump started",
            "warning" if previous == "unclean" else "info",
            version=pump.__version__,
            instance=self._intake.instance,
            previous=previous,
            sources=sources,
            sinks=sinks,
        )

    def stopping(self) -> None:
        """The pump was asked to stop."""
        self.tell("pump.stopping", "Pump stopping", "info", instance=self._intake.instance)

    def tell(self, type_: str, name: str, severity: str, **facts: Any) -> None:
        """Have an event of this type and English name stored, its data the `facts` that are not None."""
        event = self._intake.own(type_, name, severity, **facts)
        if len(self._waiting) >= KEPT:
            given_up = self._waiting.popleft()
            log.warning("An event of the daemon's own is given up, for the spool takes none", type=given_up.type)
        self._waiting.append(event)

    def gap(
        self, begin: datetime | None, reason: str, count: int, sink: str | None = None, end: datetime | None = None
    ) -> None:
        """Events between `begin` and `end` (None: now) are lost, to one sink or to all.

        `begin` None, or after the end, for the clock was set back: since when is not known, and the gap has no width.
        """
        end = end if end is not None else self._clock.now()
        span = {"from": end if begin is None else min(begin, end), "to": end}
        self._metrics.gaps.labels("pump").inc()
        self.tell("pump.gap", "Gap", "warning", **span, reason=reason, count=count, sink=sink)

    async def sink_lost(self, sink: str, first: int, last: int, count: int) -> None:
        """Tell that `count` events at the most, numbered `first` to `last`, were removed before `sink` had them."""
        await self._lost(sink, first, last, count, "removed before the sink had them")

    async def sink_evicted(self, sink: str, first: int, last: int, count: int) -> None:
        """The same for events of strangers, who sent more than their share of the spool."""
        reason = "events of devices that nobody knows, more than their share, were removed before the sink had them"
        await self._lost(sink, first, last, count, reason)

    async def _lost(self, sink: str, first: int, last: int, count: int, reason: str) -> None:
        begin = end = None
        with suppress(Unavailable):  # announced without times rather than not at all
            after, before = await self._spool.span(first, last)
            begin = None if after is None else datetime.fromtimestamp(after / 1000, UTC)
            end = datetime.fromtimestamp(before / 1000, UTC)
        self.gap(begin, reason, count, sink, end)

    def media_evicted(self, early: Early) -> None:
        """Pictures went before their retention was over, for want of room; `strangers` of them were strangers'."""
        youngest = None if early.youngest_s is None else round(early.youngest_s)
        self.tell(
            "pump.media.evicted", "Pictures removed early", "warning",
            count=early.count, bytes=early.bytes, youngest_s=youngest, strangers=early.strangers,
        )  # fmt: skip

    @property
    def of_sinks(self) -> tuple[OnLost, OnDamaged]:
        """The calls for what was removed before a sink had it, and for what a sink found damaged."""
        return self.sink_lost, self.sink_damaged

    def sink_damaged(self, sink: str, damage: Damage) -> None:
        """Report what a sink found damaged in what it keeps."""
        facts = {"reason": damage.reason, "lost": damage.lost, "carried": damage.carried, "aside": damage.aside or None}
        self.tell("pump.sink.repaired", "Sink repaired", "critical", sink=sink, **facts)
        if damage.lost:
            self.gap(None, "what the sink keeps was damaged", damage.lost, sink)

    def _tell_filling(self, holder: str, used: int, limit: int) -> None:
        self.tell("pump.spool.filling", "Spool filling", "warning", holder=holder or None, bytes=used, max_bytes=limit)

    def _report_buried(self, sink: str, count: int, size: int) -> None:
        facts = {"sink": sink, "count": count, "bytes": size}
        self.tell("pump.dead.evicted", "Dead letters removed", "warning", **facts)

    def _tell_damaged(self, numbers: list[int]) -> None:
        reason = "stored events are damaged on disk"
        self.tell("pump.spool.repaired", "Spool damaged", "critical", reason=reason, lost=len(numbers))
        self.gap(None, reason, len(numbers))

    def _tell_repaired(self, found: Repaired) -> None:
        facts = {"reason": found.reason, "lost": found.lost, "carried": found.carried, "aside": found.aside}
        self.tell("pump.spool.repaired", "Spool repaired", "critical", **facts)
        if found.lost:
            begin = None if found.since is None else datetime.fromtimestamp(found.since / 1000, UTC)
            self.gap(begin, "the spool was damaged", found.lost)

    def _look_at_clock(self) -> None:
        """Each jump of the wall clock becomes an event, also one that happened while the pump did not run."""
        for jump in self._clock.ages.jumps():
            before, after = (datetime.fromtimestamp(at / 1000, UTC) for at in (jump.before, jump.after))
            by = (jump.after - jump.before) / 1000
            self.tell("pump.clock.jumped", "Clock jumped", "warning", before=before, after=after, by_s=by)

    async def run(self) -> None:
        """Store what is given, for ever."""
        while True:
            await self.flush()
            await self._clock.sleep(TICK)

    async def flush(self) -> None:
        """Store all that waits; what the spool refuses goes on waiting."""
        self._look_at_clock()
        while self._waiting:
            event = self._waiting[0]
            try:
                await self._intake.put_own(event)
            except Unavailable:
                return
            except Exception:
                self._drop(event)  # a bug about this one event must not keep the others waiting
                raise
            self._drop(event)
        if self._unreported:
            self._unreported = False
            self._spool.repair_told()
        for intake in list(self._sources):
            await intake.flush()

    def _drop(self, event: Event) -> None:
        # while it was being stored it may have been given up, or stored by a flush beside this one
        if self._waiting and self._waiting[0] is event:
            self._waiting.popleft()
