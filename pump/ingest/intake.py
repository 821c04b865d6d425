"""The sources' side of the spool: what a source calls, and nothing else of the pump.

Each event is encoded exactly once (`encoding`) and stored before the vendor is answered.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

import structlog

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import AHEAD, Event, Unparsed, event_id
from pump.core.groups import BOUNDS
from pump.core.naming import Names
from pump.core.text import bounded
from pump.ingest.device_clock import PREFIX as CLOCKS
from pump.ingest.device_clock import SPENT, DeviceClocks
from pump.ingest.encoding import Encoder
from pump.ingest.gaps import SourceGaps
from pump.ingest.listening import Beat
from pump.ingest.media import Media
from pump.ingest.recording.tap import Tap
from pump.ingest.strangers import ACCEPTED, Table
from pump.spool import Along, Receipt, Row, RowRefused, Spool
from pump.spool.gaps.along import NOTHING
from pump.telemetry.health import Component, Health
from pump.telemetry.metrics import Metrics, label, refusal

log = structlog.get_logger()

ALIVE_SECONDS = 10.0
TOLD = 3600.0
"""Seconds from one event about a full table of devices to the next."""
NEWS_KEPT = 100
"""Ups and downs that may wait for a spool that takes nothing; beyond it the oldest go, which the log has."""


class Intake:
    """The one place where a source puts its events. The daemon makes one a source, and one of its own named "pump"."""

    def __init__(
        self, name: str, *, spool: Spool, site: str, clock: Clock, metrics: Metrics, health: Health,
        media: Media | None = None, beat: Beat | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.clock = clock
        self.beat = beat or Beat(clock, spool.folder)
        """By which the source counts the time that it listens."""
        self.ahead = AHEAD
        """How far a device's time may be ahead of its arrival and still be believed."""
        self._health = health
        self.last_activity = _alive(spool, name)
        """The last sign of life behind which nothing is missing, also that of the run before; stored every 10 s."""
        self.known_until: Callable[[], datetime | None] = clock.now
        """That of now. Set by who reads what may have lain unread for long."""
        self._spool = spool
        self._metrics = metrics
        self._names: Names | None = None
        spent = spool.state(name, SPENT).get(SPENT)
        self._clocks = DeviceClocks(name, spool.state(name, CLOCKS), spent if isinstance(spent, int) else 0)
        self.remembers: Callable[[str], bool] = lambda device: True
        """Set by who keeps a table of the source's devices: nothing is stored of those that are not in it."""
        self.table: Table | None = None
        """Set by who keeps one."""
        self._media = media or Media(spool.folder / "media")
        self._encoder = Encoder(name, f"/{site}/{name}", spool=spool, media=self._media, clock=clock, metrics=metrics)
        self.instance = _instance(spool)
        """Twelve hexadecimal digits that distinguish this pump from another of the same site."""
        self.tap = Tap(clock)
        """Where the source's boundaries report what they receive, for a recording."""
        self._alive_stored = -ALIVE_SECONDS
        self.gaps = SourceGaps(name, spool=spool, clock=clock, put=self._put)
        """The source's records of the gap ledger."""
        self._own: list[Event] = []
        """The pump's own events about this source, which go with the next put."""
        self._told: float | None = None
        """When a full table of devices was reported, monotonic seconds."""
        self.accepted = {key.removeprefix(ACCEPTED) for key in spool.state(name, ACCEPTED)}
        """Keys of the device table that an operator accepted."""
        if (offset := self._clocks.largest) is not None:
            metrics.clock_offset.labels(name).set(offset)
        self._events, self._duplicates = metrics.events.labels(name), metrics.duplicates.labels(name)

    def use_names(self, names: Names) -> None:
        """Name what the vendor does not by this table from now on."""
        self.ahead = names.ahead
        self._names = names or None

    @cached_property
    def component(self) -> Component:
        """The source's part in /status."""
        return self._health.component(f"source {self.name}")

    @property
    def media(self) -> Media:
        """The store for binaries: store them before the event that names them."""
        return self._media

    def put(
        self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None, stranger: bool = False
    ) -> Coroutine[Any, Any, Receipt]:
        """Store the items in order, and `state` in the same transaction; returns after the fsync.

        The line after it is the acknowledgement. `state` holds JSON values by key; None removes a key. `stranger`: they
        come of a device that nobody knows, and count against the strangers' share of the spool and of media. Raises
        `Unavailable` where the spool refuses: nothing was stored then, answer the vendor with its failure form.
        Cancelled, it may have stored them: their ids make a second put harmless.
        """
        return self._put(items, state, stranger=stranger)

    async def _put(
        self, items: Sequence[Event | Unparsed], state: Mapping[str, Any] | None, along: Along = NOTHING,
        fills: int = 0, *, stranger: bool = False,
    ) -> Receipt:  # fmt: skip
        """`fills` is the number of the record in the gap ledger that the items help to fill."""
        recorded = self.clock.now()
        state = state and {bounded(key, BOUNDS["state key"]): value for key, value in state.items()}
        own: list[Event] = []
        if not stranger:  # the source's own news must not be evicted with a stranger's events
            own, self._own = self._own, []
        for item in items:
            if isinstance(item, Event):
                item.believe(recorded, self.ahead)
                if self._names is not None:
                    self._names.fill(item)
        try:
            rows = await self._encoder.rows([*own, *items] if own else items, recorded, stranger=stranger)
            self.gaps.opening(rows)
            if fills:
                for row in rows[len(own) :]:
                    row.fills = fills
            try:
                receipt = await self._spool.append(rows, source=self.name, state=state, along=along)
            except RowRefused as refused:
                receipt = await self._put_refused(rows, refused, state, recorded, along)
        except Unavailable as error:
            self._own = own + self._own
            self._metrics.refused.labels(self.name, refusal(error.reason)).inc()
            raise
        except BaseException:
            self._own = own + self._own  # ids make those that were stored all the same harmless
            raise
        self._count(receipt)
        if fills:
            self._metrics.gap_events.labels(self.name).inc(max(0, receipt.stored - len(own)))
        if receipt.stored and not receipt.duplicates:
            await self._watch_clocks(items, recorded, stranger=stranger)
        return receipt

    async def unparsed(self, raw: Any, error: str, *, stranger: bool = False) -> Receipt:
        """Keep what could not be parsed, as `pump.record.unparsed`; as `put` otherwise."""
        put = partial(self.put, stranger=True) if stranger else self.put
        return await put(Unparsed(raw, error))

    async def gap(self, begin: datetime, end: datetime, reason: str, count: int | None = None) -> Receipt:
        """Report that events between `begin` and `end` may be missing. The same gap reported twice is one event.

        Times from before a jump of the clock are given by the clock of now; a beginning that still lies after the end,
        for the clock was set back while the pump did not run, is given as the end. Counted and logged once it is
        stored: who waits for a spool that refuses asks again and again.
        """
        end = self._presently(end)
        begin = min(self._presently(begin), end)
        span = {"from": _stamp(begin), "to": _stamp(end)}
        event = self.own("pump.gap", "Gap", "warning", **span, reason=reason, count=count)
        event.id = f"{self.instance}-{event_id('gap', self.name, *span.values(), reason)[:16]}"
        receipt = await self.put(event)
        self._metrics.gaps.labels(self.name).inc()
        log.warning(
            "Events may be missing", source=self.name, begin=str(begin), end=str(end), reason=reason, count=count
        )
        return receipt

    def _presently(self, moment: datetime) -> datetime:
        at = int(moment.timestamp() * 1000)
        return moment + timedelta(milliseconds=self.clock.ages.present(at) - at)

    def own(self, type_: str, name: str, severity: str, **facts: Any) -> Event:
        """One of the pump's own events, not put yet: its id carries the instance; facts that are None are left out."""
        data: dict[str, Any] = {"vendor": "pump", "code": type_, "name": name, "phase": "pulse", "severity": severity}
        data.update((key, value) for key, value in facts.items() if value is not None)
        return Event(type=type_, id=f"{self.instance}-{uuid.uuid4().hex[:16]}", data=data, time=self.clock.now())

    async def put_own(self, event: Event, state: Mapping[str, Any] | None = None) -> Receipt:
        """Store one of the daemon's own events, with `state` as `put` has it; taken from the reserve while the spool
        refuses others."""
        rows = await self._encoder.rows([event], self.clock.now())
        self.gaps.opening(rows)
        receipt = await self._spool.append(rows, source=self.name, state=state, urgent=True)
        self._count(receipt)
        return receipt

    async def settle(self, settled: Sequence[tuple[Event, str]], *, stranger: bool = False) -> Receipt:
        """Store the events that say what became of media, each with its medium's id; from the same transaction on their
        links wait no more. Raises `Unavailable` where the spool refuses.
        """
        recorded = self.clock.now()
        rows: list[Row] = []
        for event, medium in settled:
            for row in await self._encoder.rows([event], recorded, stranger=stranger):
                row.settles = medium
                rows.append(row)
        try:
            receipt = await self._spool.append(rows, source=self.name)
        except RowRefused as refused:
            receipt = await self._put_refused(rows, refused, None, recorded, NOTHING)
        self._count(receipt)
        return receipt

    def state(self, prefix: str = "") -> dict[str, Any]:
        """State that `put` stored, for the keys that begin with `prefix`."""
        return self._spool.state(self.name, prefix)

    def remember(self, key: str, value: Any) -> None:
        """Store a piece of state within a second, without waiting for it; None removes it."""
        self._spool.remember(self.name, key, value)

    def forget(self, key: str, device: str) -> None:
        """Have the device's row removed, and what is known of its clock."""
        self.remember(key, None)
        if self._clocks.forget(device):
            self.remember(CLOCKS + device, None)
            self.remember(SPENT, self._clocks.spent)
            self._metrics.clock_offset.labels(self.name).set(self._clocks.largest or 0.0)

    async def accept(self, keys: Sequence[str]) -> None:
        """These devices are known from now on, over restarts. Raises `Unavailable`, as `put` does."""
        await self.put(state=dict.fromkeys((ACCEPTED + key for key in keys), True))
        self.accepted.update(keys)

    async def disown(self, keys: Sequence[str]) -> None:
        """These devices are known no more: without a row, and heard again they are strangers. Raises `Unavailable`."""
        self.accepted.difference_update(keys)
        if self.table is not None:
            for key in keys:
                await self.table.forget(key)
        await self.put(state=dict.fromkeys((ACCEPTED + key for key in keys), None))

    def up(self) -> None:
        """The vendor is reached. News of it goes with the next put as `pump.source.up`."""
        self.activity()
        if self.component.up():
            log.info("The source is up", source=self.name)
            self._metrics.up.labels(self.component.name).set(1)
            self._news(self.own("pump.source.up", "Source up", "info"))

    def down(self, reason: str) -> None:
        """The vendor is not reached; `reason` says why, what the pump does about it, and what can be done."""
        if self.component.down(reason):
            log.warning("The source is down", source=self.name, reason=reason)
            self._metrics.up.labels(self.component.name).set(0)
            self._news(self.own("pump.source.down", "Source down", "warning", reason=reason))

    def report(self, type_: str, name: str, severity: str, **facts: Any) -> None:
        """Have one of the pump's own events about this source stored, without waiting for it; as `own` makes it."""
        self._news(self.own(type_, name, severity, **facts))

    def devices_full(self, reason: str, *, known: int, strangers: int) -> None:
        """The table of the source's devices is full: an event, once an hour at the most."""
        now = self.clock.monotonic()
        if self._told is not None and now - self._told < TOLD:
            return
        self._told = now
        log.warning(
            "The device table is full; name the devices in the configuration, or take them in: pump devices accept",
            source=self.name, reason=reason, known=known, strangers=strangers,
        )  # fmt: skip
        counts = {"known": known, "strangers": strangers}
        self.report("pump.devices.full", "Device table full", "warning", reason=reason, **counts)

    def _news(self, event: Event) -> None:
        self._own.append(event)
        del self._own[:-NEWS_KEPT]

    def activity(self, loop: str = "") -> None:
        """A sign of life of the vendor; stored every 10 s, so that a gap after a kill -9 has its beginning.

        `loop` names which of the source's loops had it, where `component.expect` named them.
        """
        self.component.activity(loop)
        now = self.component.active
        if now - self._alive_stored >= ALIVE_SECONDS:
            self._alive_stored = now
            self._metrics.last_activity.labels(self.name).set(self.clock.now().timestamp())
            self.last_activity = self.known_until() or self.last_activity
            if self.last_activity is not None:
                self._spool.remember(self.name, "alive", _stamp(self.last_activity))

    def count(self, what: str, n: int = 1) -> None:
        """Count an incident of the source's life: "retry", "reconnect", "login" …"""
        self._metrics.source_incidents.labels(self.name, label(what)).inc(n)

    async def flush(self) -> None:
        """Store news (up, down) that no put has carried yet. The daemon calls it; sources need not."""
        while self._own:
            event = self._own[0]
            try:
                await self.put_own(event)
            except Unavailable:
                return  # they wait for the next put or flush
            if self._own and self._own[0] is event:  # a put may have taken them meanwhile; ids make that harmless
                self._own.pop(0)

    async def _watch_clocks(
        self, items: Sequence[Event | Unparsed], arrived: datetime, *, stranger: bool = False
    ) -> None:
        """See whose clock the stored events show to be off; where duplicates are among them nobody knows which are new.

        A turn has a commit of its own, for it is known only once its event is stored. Where the spool refuses it the
        device's next event finds it again.
        """
        for item in items:
            found = self._clocks.hear(item, arrived) if isinstance(item, Event) else None
            if found is None or not (found.device == self.name or self.remembers(found.device)):
                continue
            key, value = CLOCKS + found.device, found.verdict.json()
            if found.event is None:
                self._spool.remember(self.name, key, value)
            else:
                rows = await self._encoder.rows([found.event], arrived, stranger=stranger)
                try:
                    self._count(await self._spool.append(rows, source=self.name, state={key: value}))
                except Unavailable:
                    return
                level, state = (log.warning, "off") if found.verdict.off else (log.info, "right again")
                level(
                    f"The clock of a device is {state}", source=self.name, device=found.device, offset_s=value["offset"]
                )
            self._clocks.noted(found)
            self._metrics.clock_offset.labels(self.name).set(self._clocks.largest or 0.0)

    async def _put_refused(
        self, rows: Sequence[Row], refused: RowRefused, state: Mapping[str, Any] | None, recorded: datetime,
        along: Along,
    ) -> Receipt:  # fmt: skip
        """The rest of the put is stored; keep the rows that SQLite would not take as unparsed records."""
        log.error(
            "Events could not be stored as they are; they are kept as unparsed", source=self.name, why=refused.reason
        )
        kept = await self._encoder.again([rows[place] for place in refused.rows], refused.reason, recorded)
        receipt = await self._spool.append(kept, source=self.name, state=state, along=along)
        others = refused.others
        return Receipt(
            others.stored + receipt.stored,
            others.duplicates + receipt.duplicates,
            others.quarantined + receipt.quarantined,
        )

    def _count(self, receipt: Receipt) -> None:
        self._events.inc(receipt.stored)
        if receipt.duplicates:
            self._duplicates.inc(receipt.duplicates)
        if receipt.quarantined:
            self._metrics.unparsed.labels(self.name).inc(receipt.quarantined)


def _instance(spool: Spool) -> str:
    """Made once, kept in the spool."""
    known = spool.state("pump").get("instance")
    if not isinstance(known, str):
        known = uuid.uuid4().hex[:12]
        spool.remember("pump", "instance", known)
    return known


def _alive(spool: Spool, name: str) -> datetime | None:
    """As the run before stored it."""
    known = spool.state(name, "alive").get("alive")
    return datetime.fromisoformat(known) if isinstance(known, str) else None


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
