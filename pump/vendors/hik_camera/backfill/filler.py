"""The filling of one device's gaps with what its search for access events still has: record after record, page after
page, beside the stream.

Whatever is under way when the process ends is asked anew, a day of the log at the most: its rows are known then.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, Protocol

import structlog

from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event, Sighting, Unparsed
from pump.core.failure import MISCONFIGURED_WAIT
from pump.ingest.gaps import BUG, BY_HAND
from pump.ingest.stream.intake import StreamIntake
from pump.spool import Gap, Seen
from pump.vendors.hik_camera.backfill.rows import FORM, SEARCH, looked_for, names, offset_of, read
from pump.vendors.hik_camera.backfill.search import AcsSearch, Later, NotOffered, SearchRefused
from pump.vendors.hik_camera.fields import moment, text
from pump.vendors.hik_camera.parse import Alert, Facts

log = structlog.get_logger()

PROGRESS: Final = "search/gap/"
"""Begins the state keys of searches under way, one a record: milliseconds since 1970 up to which it has come."""
LOOK: Final = 1.0
"""Seconds from one look for work to the next."""
SETTLE: Final = timedelta(seconds=5)
"""After a gap's end: terminals send again what they had stored, which need not be searched for then."""
BEFORE: Final = timedelta(minutes=1)
"""Searched before a gap's beginning too: what was on its way then is lost with the link."""
PAUSE: Final = 0.2
"""Seconds from one page to the next."""
SLICE: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
MOST_PAGES: Final = 10_000
"""Pages of one slice: a device that says "MORE" for ever must not be asked for ever."""
_TRIES: Final = 3
"""Of one slice whose search the device forgets amid its pages."""
_BEYOND: Final = "only events of doors are searched for, and a device forgets its oldest"


class Matters(Protocol):
    """The stream's side: what has begun and not ended is one thing for both."""

    @property
    def facts(self) -> Facts:
        """The content of the device's lists."""

    @property
    def connections(self) -> int:
        """The number of links that came about."""

    def found(self, alert: Alert) -> tuple[list[Event], dict[str, Any]]:
        """The events of what a search has found, and the state to be stored with them."""


@dataclass(slots=True)
class _Search:
    """One under way."""

    gap: Gap
    begin: datetime
    end: datetime
    at: datetime
    known: int = 0
    outside: int = 0


@dataclass(slots=True)
class _Judged:
    new: list[Event | Unparsed] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)


class Filler:
    """One source's. `run` is a task beside the stream."""

    def __init__(self, store: StreamIntake, search: AcsSearch, matters: Matters, *, clock: Clock, zone: tzinfo) -> None:
        self._store = store
        self._intake = store.intake
        self._search = search
        self._matters = matters
        self._clock = clock
        self._zone = zone
        self._log = log.bind(source=store.intake.name)
        self._backoff = Backoff(first=5.0, cap=MISCONFIGURED_WAIT)
        self._absent: tuple[int, str] | None = None
        """The link at which the device said that it has no search, and its words."""
        self._timeless = False
        self._under_way: _Search | None = None
        self.trouble = ""
        """Why it waits; empty while it goes on."""

    def looked(self, gap: int) -> dict[str, Any]:
        """As `SourceGaps.by_hand` wants it: the seconds of the device's log that were searched for this record."""
        one = self._under_way
        found: dict[str, Any] = {"waiting": self.trouble} if self.trouble else {}
        if one is not None and one.gap.id == gap:
            found["looked"] = (one.at - one.begin).total_seconds()
        return found

    async def run(self) -> None:
        """For ever. Its own failures wait, and never stop the stream."""
        while True:
            try:
                if not await self._next():
                    await self._clock.sleep(LOOK)
            except Later as later:
                await self._wait(str(later), max(later.wait, self._backoff.next()))
            except Unavailable as refusal:
                await self._wait(refusal.reason, self._backoff.next())
            except Exception:  # noqa: BLE001  # logged whole; it must not take the source with it
                self._log.exception("The filling of gaps met a bug; the stream goes on")
                await self._wait(BUG, MISCONFIGURED_WAIT)
            else:
                self._backoff.reset()

    async def _next(self) -> bool:
        """Fill the next record that is due; False where there is none."""
        if not self._intake.gaps.waiting:
            return False
        if not self._store.connected or not self._matters.connections:
            self.trouble = "the device's stream is not up"
            return False
        self.trouble = ""
        now = self._clock.now()
        for gap in await self._intake.gaps.open():
            settle = timedelta() if gap.reason == BY_HAND else SETTLE
            if now >= _moment(gap.until) + settle:
                await self._fill(gap)
                return True
        return False

    async def _wait(self, reason: str, seconds: float) -> None:
        """Until then, or until the next link: the device may be another by then, and is asked anew."""
        if self.trouble != reason:
            self._log.warning("A gap cannot be filled now; it is tried again", reason=reason, wait=seconds)
        self.trouble = reason
        self._intake.count("backfill retry")
        one, self._under_way = self._under_way, None
        if one is not None:
            await self._store.fill(one.gap, (), notes=f"waits: {reason}")
        link, until = self._matters.connections, self._clock.monotonic() + seconds
        while self._clock.monotonic() < until and self._matters.connections == link:
            await self._clock.sleep(LOOK)

    # --- one record ---------------------------------------------------------------------------------------------------

    async def _fill(self, gap: Gap) -> None:
        key, link = f"{PROGRESS}{gap.id}", self._matters.connections
        if self._absent is not None and self._absent[0] == link:
            await self._close(gap, unfillable=self._absent[1])
            return
        since, until = _moment(gap.since), _moment(gap.until)
        self._under_way = one = _Search(gap, since, until, since)
        try:
            there = await self._time()
            offset = there.tzinfo if there is not None else self._there
            ahead = there - self._clock.now() if there is not None else timedelta()
            before, after = (timedelta(), timedelta()) if gap.reason == BY_HAND else (BEFORE, SETTLE)
            # By the device's clock, whenever it went wrong: a search of some more finds what is known, and no less.
            one.begin = (since + min(ahead, timedelta()) - before).astimezone(offset)
            one.end = (until + max(ahead, timedelta()) + after).astimezone(offset).replace(microsecond=0) + _SECOND
            done = self._intake.state(key).get(key)
            one.at = max(one.begin, _moment(done).astimezone(offset)) if isinstance(done, int) else one.begin
            self._log.info("A gap is being filled", gap=gap.id, begin=str(one.begin), end=str(one.end))
            while one.at < one.end:
                upto = min(one.at + SLICE, one.end)
                await self._slice(one, upto)
                one.at = upto
                await self._store.fill(gap, (), {key: round(upto.timestamp() * 1000)})
        except NotOffered as absent:
            self._absent = link, str(absent)
            self._log.info("The device has no search for what was missed", reason=str(absent))
            await self._close(gap, unfillable=str(absent))
        except SearchRefused as refusal:
            self._log.warning("A gap cannot be filled; pump backfill asks again", gap=gap.id, reason=str(refusal))
            await self._close(gap, unfillable=f"{refusal}; pump backfill asks again")
        else:
            await self._close(gap, known=one.known, outside=one.outside)
            self._log.info("A gap is filled", gap=gap.id, known=one.known)
        self._under_way = None

    @property
    def _there(self) -> tzinfo:
        """The zone of times without an offset: the stream's, where it says one."""
        return offset_of(self._form) or self._zone

    @property
    def _form(self) -> str | None:
        form = self._intake.state(FORM).get(FORM)
        return form if isinstance(form, str) else None

    async def _time(self) -> datetime | None:
        """The device's own, with its offset; not asked for again where the user may not read it."""
        if self._timeless:
            return None
        try:
            return await self._search.time(self._there)
        except Later as later:
            self._timeless = later.wait > 0
            raise

    async def _close(self, gap: Gap, *, known: int = 0, outside: int = 0, unfillable: str = "") -> None:
        strange = (
            f"; {outside} rows were left out, which were not asked for: look at the device's clock" if outside else ""
        )
        notes = unfillable or f"{known} events were known; {_BEYOND}{strange}"
        state = {f"{PROGRESS}{gap.id}": None}
        await self._store.fill(gap, (), state, become="unfillable" if unfillable else "filled", notes=notes)

    async def _slice(self, one: _Search, upto: datetime) -> None:
        for left in reversed(range(_TRIES)):
            search, position, pages, known = uuid.uuid4().hex, 0, 0, one.known
            while True:
                try:
                    page = await self._search.page(search, position, one.at, upto)
                except SearchRefused:
                    if not position or not left:
                        raise
                    self._intake.count("search forgotten")
                    one.known = known
                    break
                await self._take(one, page.rows)
                position += len(page.rows)
                if not page.more or not page.rows:
                    return
                if (pages := pages + 1) >= MOST_PAGES:
                    raise SearchRefused(f"the device's search of one day has no end after {position} rows")
                await self._clock.sleep(PAUSE)

    async def _take(self, one: _Search, rows: Iterable[Any]) -> None:
        """Store what is new of a page's rows."""
        facts, form, zone = self._matters.facts, self._form, self._there
        judged, alerts = _Judged(), list[Alert]()
        for row in rows:
            try:
                alert = read(row, facts, zone, form)
            except Exception as bug:  # noqa: BLE001  # whatever a row does to the parser, the others are taken
                judged.new.append(Unparsed(row, f"{type(bug).__name__}: {bug}"))
                continue
            time = moment(text(row, "time", "dateTime"), zone)  # as sent: the stream may write it without an offset
            if time is not None and not one.begin - BEFORE <= time <= one.end + BEFORE:
                one.outside += 1
                self._intake.count("outside")
            elif not alert.heartbeat:
                alerts.append(alert)
        index: dict[tuple[int, str], list[Seen]] = defaultdict(list)
        for each in await self._intake.gaps.seen(names(alert.event for alert in alerts)):
            index[each.sighting.at, each.sighting.key].append(each)
        for alert in alerts:
            event = alert.event
            twin = _known(event, index)
            accounts = [Seen(name, event.id, "" if twin == event.id else twin or "") for name in event.sightings]
            for account in accounts:
                index[account.sighting.at, account.sighting.key].append(account)
            if twin is not None:
                one.known += 1
                judged.seen += accounts
                continue
            event.believe(self._clock.now(), self._intake.ahead)
            events, state = self._matters.found(alert)
            judged.new += events
            judged.state |= state
        if judged.new or judged.seen:
            await self._store.fill(one.gap, judged.new, judged.state, seen=judged.seen)


def _known(event: Event, index: dict[tuple[int, str], list[Seen]]) -> str | None:
    """The id of the stored event that the row's record is, None where it is new."""
    for own in event.sightings:
        for each in index[own.at, own.key]:
            if event.id in (each.id, each.twin) or own.key.startswith("s "):
                return each.twin or each.id
    for name in looked_for(event):
        if (free := _free(name, index[name.at, name.key], index, event)) is not None:
            return free
    return None


def _free(name: Sighting, entries: list[Seen], index: dict[tuple[int, str], list[Seen]], event: Event) -> str | None:
    """One of the stream's events of this name that no row has been found to be."""
    taken = {each.twin for own in event.sightings for each in (*index[own.at, own.key], *entries) if each.twin}
    return next((each.id for each in entries if each.sighting.side != SEARCH and each.id not in taken), None)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
