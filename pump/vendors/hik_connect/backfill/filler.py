"""The filling of one source's gaps: record after record of the ledger, page after page, resumable at any moment.

The place in a search is stored in the transaction of the page that it stands behind, with the page's events and the
record's count: a kill repeats one page at the most, whose rows are known then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog

from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event
from pump.core.failure import MISCONFIGURED_WAIT
from pump.ingest.gaps import BUG, BY_HAND
from pump.ingest.intake import Intake
from pump.spool import Gap
from pump.vendors.common.api import Action, CallFailed
from pump.vendors.common.values import member, whole
from pump.vendors.hik_connect.backfill.inventory import Inventory
from pump.vendors.hik_connect.backfill.matching import Matcher
from pump.vendors.hik_connect.backfill.reader import SLICE, LogReader, Page
from pump.vendors.hik_connect.backfill.rows import Found, alarm, record
from pump.vendors.hik_connect.backfill.sightings import ACCESS_RECORDS, ALARM_LOG, plain_code
from pump.vendors.hik_connect.clips.asking import Clips
from pump.vendors.hik_connect.settings import HikConnectSettings

log = structlog.get_logger()

LOOK: Final = 1.0
"""Seconds from one look for work to the next."""
BEFORE: Final = timedelta(minutes=5)
"""Searched before a gap's beginning too: what waited in the queue then may be lost with it."""
PROGRESS: Final = "backfill/gap/"
"""Begins the state keys of searches under way, one a record."""
VERIFIED: Final = "backfill/verified"
"""The piece of state that holds how far `verify` has come, milliseconds since 1970."""
LOSSES: Final = "backfill/losses"
"""The piece of state that holds the newest loss of the spool's own that was taken up, a record's number."""
_SLICES_OF_ROWS: Final = 50
_LOGS: Final[Mapping[str, tuple[str, ...]]] = {
    "combine": (ALARM_LOG, ACCESS_RECORDS), "alarm": (ALARM_LOG,), "rawmsg": (ACCESS_RECORDS,),
}  # fmt: skip
"""The logs that have what a queue brings."""
_BEYOND: Final[Mapping[str, str]] = {
    "rawmsg": "positions, on-board messages and calls, which only rawmsg carries, are in no log",
    "combine": "positions and calls are in no log",
    "alarm": "confirmations and marks are in no log but as an alarm's last state",
}


@dataclass(slots=True)
class Progress:
    """A place in a search."""

    log: int = 0
    """Of the logs that are searched, the number of the one at hand."""
    at: int = 0
    """Milliseconds since 1970: the beginning of the slice of time at hand; 0: none yet."""
    areas: int = 0
    page: int = 1
    known: int = 0
    """Rows' events that were stored before."""
    calls: int = 0
    refused: int = 0
    """Logs that the account may not read."""

    @classmethod
    def load(cls, stored: object) -> Progress:
        """As `asdict` gave it; what cannot be read begins anew."""
        return cls(**{name: whole(member(stored, name)) or default for name, default in asdict(cls()).items()})


@dataclass(slots=True)
class Search:
    """A time to be searched, for a record of the ledger; None where it is only looked whether anything is missing."""

    gap: Gap | None
    since: datetime
    until: datetime
    logs: tuple[str, ...]
    key: str | None
    progress: Progress

    @property
    def share(self) -> tuple[float, float]:
        """Seconds of log that were searched, and all there are."""
        whole_span = (self.until - self.since).total_seconds()
        here = self.progress.at / 1000 - self.since.timestamp() if self.progress.at else 0.0
        return self.progress.log * whole_span + here, len(self.logs) * whole_span


class Filler:
    """One run's of the source. `run` is a task beside the queues'."""

    def __init__(
        self, settings: HikConnectSettings, *, intake: Intake, reader: LogReader, matcher: Matcher,
        inventory: Inventory, clips: Clips, clock: Clock,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._intake = intake
        self._reader = reader
        self._matcher = matcher
        self._inventory = inventory
        self._clips = clips
        self._clock = clock
        self._zone = settings.time_zone or ZoneInfo("UTC")
        self._log = log.bind(source=intake.name)
        self._backoff = Backoff(first=5.0, cap=MISCONFIGURED_WAIT)
        self._wanted = _wanted(settings)
        self._settle = timedelta(seconds=settings.backfill_delay)
        self._done: list[tuple[int, int, tuple[str, ...], int]] = []
        """Times that were searched whole in this run: since, until, logs, and the record's number."""
        self._checks: list[tuple[datetime, datetime]] = []
        self._taken_up = False
        self.under_way: Search | None = None
        """The search that goes on now."""
        self.trouble = ""
        """Why it waits; empty while it goes on."""

    def looked(self, gap: int) -> dict[str, Any]:
        """As `SourceGaps.by_hand` wants it."""
        found: dict[str, Any] = {"waiting": self.trouble} if self.trouble else {}
        one = self.under_way
        if one is not None and one.gap is not None and one.gap.id == gap:
            found["looked"], found["of"] = one.share
        return found

    async def run(self) -> None:
        """For ever: fill what is open, check what is due. Its own failures wait, and never stop a queue."""
        while True:
            try:
                await self._take_up_losses()
                worked = await self._next()
                self.trouble = ""
                self._backoff.reset()
                if not worked:
                    await self._look_at_devices()
                    await self._clock.sleep(LOOK)
            except CallFailed as failure:
                wait = max(self._backoff.next(), failure.retry_after or 0.0)
                if failure.answer.action is Action.MISCONFIGURED:
                    wait = MISCONFIGURED_WAIT
                await self._troubled(str(failure), wait)
            except Unavailable as refused:
                await self._troubled(refused.reason, self._backoff.next())
            except Exception:  # noqa: BLE001  # logged whole; it must not take the source with it
                self._log.exception("The filling of gaps met a bug; the queues go on")
                await self._troubled(BUG, MISCONFIGURED_WAIT)

    async def _look_at_devices(self) -> None:
        try:
            await self._inventory.refresh()
        except CallFailed as failure:
            self._intake.count("inventory retry")
            self._log.warning("The devices cannot be read; the next reading will do", reason=str(failure))

    async def _troubled(self, reason: str, wait: float) -> None:
        self.trouble = reason
        self._intake.count("backfill retry")
        self._log.warning("A gap cannot be filled now; it will be tried again", reason=reason, wait_s=round(wait, 1))
        if self.under_way is not None and self.under_way.gap is not None:
            try:
                await self._intake.gaps.fill(self.under_way.gap, (), notes=f"waits: {reason}")
            except Unavailable:
                self._log.warning("The record of a gap could not be changed; the spool refuses")
        self.under_way = None
        await self._clock.sleep(wait)

    def check(self, begin: datetime, end: datetime) -> None:
        """Have it looked whether the queues brought all of this time: calls have failed for long."""
        self._checks.append((begin, end))

    # --- the work there is --------------------------------------------------------------------------------------------

    async def _take_up_losses(self) -> None:
        """What the spool itself has lost, this source's vendor may still have."""
        if self._taken_up:
            return
        newest = whole(self._intake.state(LOSSES).get(LOSSES)) or 0
        for loss in await self._intake.gaps.lost(newest):
            begin, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (loss.since, loss.until))
            await self._intake.gaps.note(f"loss {loss.id}", begin, end, f"the spool's own loss: {loss.reason}")
            await self._intake.put(state={LOSSES: loss.id})
        self._taken_up = True

    async def _next(self) -> bool:
        """Do the next piece of work there is; False where there is none."""
        now = self._clock.now()
        if self._intake.gaps.waiting:
            for gap in await self._intake.gaps.open():
                settle = timedelta() if gap.reason == BY_HAND else self._settle
                if now.timestamp() * 1000 >= gap.until + settle.total_seconds() * 1000:
                    await self._fill(gap)
                    return True
        if self._checks:
            begin, end = self._checks[0]
            if now >= end + self._settle:
                await self._search(self._plan(None, begin - BEFORE, end))
                self._checks.pop(0)
                return True
        return await self._verify(now)

    async def _verify(self, now: datetime) -> bool:
        every = self._settings.verify
        if not every:
            return False
        until = now - self._settle
        verified = whole(self._intake.state(VERIFIED).get(VERIFIED))
        since = until - timedelta(seconds=every) if verified is None else datetime.fromtimestamp(verified / 1000, UTC)
        # After an absence the gap's own search goes further back; the time never stands still for a wrong clock.
        since = max(since, until - timedelta(seconds=every) - SLICE)
        if verified is not None and 0 <= (until - since).total_seconds() < every:
            return False
        if since < until:
            await self._search(self._plan(None, since, until))
        await self._intake.put(state={VERIFIED: round(until.timestamp() * 1000)})
        return True

    def _plan(self, gap: Gap | None, since: datetime, until: datetime) -> Search:
        queues = [queue for queue in self._settings.queues if gap is not None and f"the {queue} queue" in gap.reason]
        logs = dict.fromkeys(name for queue in queues or self._settings.queues for name in _LOGS[queue])
        key = None if gap is None else f"{PROGRESS}{gap.id}"
        stored = None if key is None else self._intake.state(key).get(key)
        return Search(gap, since, until, tuple(logs), key, Progress.load(stored))

    # --- one record ---------------------------------------------------------------------------------------------------

    async def _fill(self, gap: Gap) -> None:
        since, until = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (gap.since, gap.until))
        search = self._plan(gap, since if gap.reason == BY_HAND else since - BEFORE, until)
        self.under_way = search
        over = next((one for one in self._done if self._covers(one, search)), None)
        if over is None:
            self._log.info("A gap is being filled", gap=gap.id, begin=str(since), end=str(until))
            await self._search(search)
        await self._close(gap, search, over)
        self._inventory.ask()
        self.under_way = None

    def _covers(self, done: tuple[int, int, tuple[str, ...], int], search: Search) -> bool:
        since, until, logs, _ = done
        return (
            since <= search.since.timestamp() * 1000
            and search.until.timestamp() * 1000 <= until
            and set(search.logs) <= set(logs)
        )

    async def _close(self, gap: Gap, search: Search, over: tuple[int, int, tuple[str, ...], int] | None) -> None:
        queues = [queue for queue in self._settings.queues if f"the {queue} queue" in gap.reason]
        beyond = [_BEYOND[queue] for queue in queues or self._settings.queues]
        known = f"filled with record {over[3]}" if over else f"{search.progress.known} events were known"
        if search.progress.refused:
            beyond.insert(
                0, "the key's account may not read all of the logs: give it the permission, then pump backfill"
            )
        # What the message queue brought beside access events is lost for good, and nothing may say otherwise.
        lost = queues == ["rawmsg"] or search.progress.refused > 0
        state = {search.key: None} if search.key is not None else {}
        await self._intake.gaps.fill(
            gap, (), state, become="unfillable" if lost else "filled", notes="; ".join([known, *beyond])
        )
        if over is None:
            span = (int(search.since.timestamp() * 1000), int(search.until.timestamp() * 1000))
            self._done = [*self._done[-20:], (*span, search.logs, gap.id)]
        self._log.info("A gap is filled", gap=gap.id, known=search.progress.known, calls=search.progress.calls)

    async def _search(self, search: Search) -> None:
        """All pages of a time, from where the search has come."""
        self._matcher.search(int(search.since.timestamp()) - 1, int(search.until.timestamp()) + 1)
        while search.progress.log < len(search.logs):
            place = search.progress
            name = search.logs[place.log]
            begin = datetime.fromtimestamp(place.at / 1000, UTC) if place.at else search.since
            end = min(begin + SLICE, search.until)
            try:
                groups = await self._reader.area_groups() if name == ALARM_LOG else [[]]
                page = await self._page(name, begin, end, groups, place)
            except CallFailed as failure:
                if failure.answer.action is not Action.MISCONFIGURED or failure.answer.account:
                    raise
                self._log.warning("A log may not be read; it fills no gap", log=name, reason=str(failure))
                after = replace(place, log=place.log + 1, at=0, areas=0, page=1, refused=place.refused + 1)
                page = Page([], more=False)
            else:
                after = _after(place, page, end, search, last_group=place.areas + 1 >= len(groups))
            after.calls += 1
            await self._store(search, name, page.rows, after)
            search.progress = after

    async def _page(
        self, name: str, begin: datetime, end: datetime, groups: Sequence[Sequence[str]], place: Progress
    ) -> Page:
        if name != ALARM_LOG:
            return await self._reader.records(begin, end, place.page)
        if place.areas >= len(groups):  # areas that are there no longer
            return Page([], more=False)
        return await self._reader.alarms(begin, end, groups[place.areas], place.page, self._wanted.alarms)

    async def _store(self, search: Search, name: str, rows: list[object], after: Progress) -> None:
        read = alarm if name == ALARM_LOG else record
        received = self._clock.now()
        found: list[Found] = []
        for start in range(0, len(rows), _SLICES_OF_ROWS):
            found += [read(row, self._zone, received) for row in rows[start : start + _SLICES_OF_ROWS]]
            await self._clock.sleep(0)
        found = [each for each in found if self._wanted.has(each.first)]
        async with self._matcher.alone():
            judged = await self._matcher.judge(found)
            after.known += judged.known
            if judged.new and search.gap is None:
                await self._missing(search, len(judged.new))
            self._inventory.name(judged.new)
            state = self._matcher.state()
            if search.key is not None:
                state[search.key] = asdict(after)
            clips = self._clips.wanted(judged.new, late=True)
            if judged.new or judged.seen or search.key is not None:
                await self._intake.gaps.fill(search.gap, judged.new, state | clips, seen=judged.seen)
                self._clips.take(clips)

    async def _missing(self, search: Search, count: int) -> None:
        """A check has found what the queues never brought: from here on it is a gap that is being filled."""
        self._intake.count("missing", count)
        name = f"check {int(search.since.timestamp())}"
        search.gap = await self._intake.gaps.note(name, search.since, search.until, "the queues did not bring it")
        search.key = f"{PROGRESS}{search.gap.id}"


def _after(place: Progress, page: Page, end: datetime, search: Search, *, last_group: bool) -> Progress:
    """The place behind a page."""
    after = replace(place)
    if page.more:
        after.page += 1
        return after
    after.page = 1
    if not last_group:
        after.areas += 1
        return after
    after.areas, after.at = 0, round(end.timestamp() * 1000)
    if end >= search.until:
        after.log, after.at = place.log + 1, 0
    return after


@dataclass(slots=True)
class _Wanted:
    """The codes that are subscribed to, each under its plain form; None: all."""

    plain: frozenset[str] | None
    alarms: tuple[str, ...]
    """As the alarm log wants them; empty for all."""

    def has(self, item: object) -> bool:
        """True for what the queues would have brought."""
        return self.plain is None or not isinstance(item, Event) or plain_code(item.data["code"]) in self.plain


def _wanted(settings: HikConnectSettings) -> _Wanted:
    types = [settings.types(queue) for queue in settings.queues]
    if not all(types):
        return _Wanted(None, ())
    plain = frozenset(plain_code(code) for codes in types for code in codes)
    return _Wanted(plain, tuple(sorted(plain)))
