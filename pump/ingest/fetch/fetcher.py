"""The fetcher: asks for each link that waits, as often as need be until it dies, and says what became of it.

It stands beside the events' path: an event goes out with its link, and a second event of its own follows it. What
waits lies in the spool, so that a kill loses nothing; the link goes in the transaction that stores the result.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiohttp.abc import AbstractResolver

from pump.core.clock import Clock
from pump.core.errors import bare
from pump.core.tasks import Alarm
from pump.ingest.fetch import results
from pump.ingest.fetch.access import PictureAccess
from pump.ingest.fetch.download import Downloader, address_of
from pump.ingest.fetch.errors import FetchFailed, FetchLater
from pump.ingest.fetch.expiry import expiry_of
from pump.ingest.fetch.hosts import HostRule
from pump.ingest.fetch.incoming import Arrived, sweep
from pump.ingest.fetch.schedule import Job, Schedule
from pump.ingest.fetch.settling import LOUD, Key, Settler
from pump.ingest.intake import Intake
from pump.ingest.media import Media
from pump.spool import Fetch, Spool
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

LIFE: Final = 86400.0
"""Seconds for which a link is tried of which nobody says how long it lives."""
REFUSING: Final = 1.0
"""Seconds between two looks at a spool that takes nothing."""
_NOBODY: Final = PictureAccess()


@dataclass(slots=True, frozen=True)
class FetchLimits:
    """How much is fetched at a time, and from where beside the vendors' own hosts."""

    hosts: tuple[HostRule, ...] = ()
    per_host: int = 4
    at_once: int = 16
    largest: int = 64 << 20
    """Bytes of one file."""
    timeout: float = 30.0
    """Seconds of silence after which an answer is given up."""


class Fetcher:
    """One for the daemon. `run` may be cancelled at any moment and called again."""

    def __init__(
        self, spool: Spool, media: Media, intake: Callable[[str], Intake], access: Mapping[str, PictureAccess], *,
        limits: FetchLimits, clock: Clock, metrics: Metrics, component: Component,
    ) -> None:  # fmt: skip
        """`intake` gives a source's own by its name, also of one that is not configured any more. From here on the
        spool takes links."""
        self.resolver: AbstractResolver | None = None
        """Looks names up, where it is not the system's; before `run`."""
        self.rng = random.Random()
        """Of the waits; before `run`."""
        self._spool = spool
        self._queue = spool.fetches
        self._media = media
        self._intake = intake
        self._access = access
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._component = component
        self._alarm = Alarm(clock, self._wake)
        self._news = asyncio.Event()
        self._warned = -LOUD
        self._quiet = asyncio.Event()
        self._schedule = Schedule(per_host=limits.per_host, at_once=limits.at_once)
        self._settler = self._new_settler()
        metrics.media_waiting.set_function(lambda: float(len(self._queue)))
        self._queue.begin(self._wake)

    def adjust(self, limits: FetchLimits) -> None:
        """Go by other limits from the next `run` on."""
        self._limits = limits

    @property
    def active(self) -> int:
        """Links that are being asked now."""
        return self._schedule.active

    async def quiet(self) -> None:
        """Return when nothing is being asked or stored: what is left waits for its time."""
        await self._quiet.wait()

    def _new_settler(self) -> Settler:
        return Settler(
            self._intake, clock=self._clock, metrics=self._metrics, rng=self.rng,
            on_stored=lambda fetch: self._schedule.drop(fetch.name),  # a link signed afresh meanwhile
        )  # fmt: skip

    def _wake(self) -> None:
        """Something has changed."""
        self._quiet.clear()
        self._news.set()

    async def run(self) -> None:
        """Fetch for as long as the task lives."""
        limits = self._limits
        await self._media.threads.run(sweep, self._media)
        self._schedule = Schedule(per_host=limits.per_host, at_once=limits.at_once, rng=self.rng)
        self._settler = self._new_settler()
        self._queue.again()
        async with (
            Downloader(
                self._media, hosts=limits.hosts, largest=limits.largest, timeout=limits.timeout, clock=self._clock,
                connections=limits.at_once, resolver=self.resolver,
            ) as downloader,
            asyncio.TaskGroup() as group,
        ):  # fmt: skip
            group.create_task(self._alarm.run(), name="what is due next")
            self._component.up()
            while True:
                self._news.clear()
                now = self._clock.monotonic()
                self._admit(now)
                wait = self._start(group, downloader, now)
                self._component.details.update(self.status())
                if self._schedule.active or self._settler.unstored:
                    self._quiet.clear()
                else:
                    self._quiet.set()
                if wait is not None:
                    self._alarm.within(wait)
                await self._news.wait()

    def _admit(self, now: float) -> None:
        for fetch in self._queue.take():
            try:
                host = address_of(fetch.url).authority.lower()
            except ValueError:
                host = ""
            self._schedule.add(fetch, host, self._deadline(fetch, now), now)

    def _deadline(self, fetch: Fetch, now: float) -> float:
        """By the time that has passed, for the wall clock may have jumped since the link came."""
        end = expiry_of(fetch.url) or fetch.expires
        life = (end - fetch.recorded) / 1000 if end else LIFE
        age = self._clock.ages.age(fetch.recorded, down=True) or 0.0
        return now + min(life, 7 * LIFE) - age

    def _start(self, group: asyncio.TaskGroup, downloader: Downloader, now: float) -> float | None:
        """Begin what is due; seconds until something else is, None where nothing will be by itself."""
        if self._spool.refusing:
            return REFUSING  # what became of it could not be stored
        ask, dead = self._schedule.ready(now)
        for fetch in self._queue.overdue():
            if self._schedule.drop(fetch.name):
                self._settle(group, fetch, FetchFailed("too many", "too many links wait; the oldest are given up"))
        for job in dead:
            self._settle(group, job.fetch, FetchFailed("expired", self._dead(job)))
        for job in ask:
            group.create_task(self._ask(group, downloader, job), name=f"fetch from {job.host}")
        upcoming = self._schedule.next(now)
        return None if upcoming is None else max(0.0, upcoming - now)

    def _dead(self, job: Job) -> str:
        return f"its link died before it could be fetched: {job.reason or f'{job.host} is away'} ({job.tries} tries)"

    def _settle(self, group: asyncio.TaskGroup, fetch: Fetch, outcome: Arrived | FetchFailed) -> None:
        if (key := self._settler.add(fetch, outcome)) is not None:
            group.create_task(self._store(key), name=f"results of {key[0]}")

    async def _store(self, key: Key) -> None:
        try:
            await self._settler.store(key)
        finally:
            self._wake()

    async def _ask(self, group: asyncio.TaskGroup, downloader: Downloader, job: Job) -> None:
        fetch, there, wait = job.fetch, True, None
        outcome: Arrived | FetchFailed | None = None
        job.tries += 1
        try:
            access = self._access.get(fetch.source, _NOBODY)
            if results.vouched(fetch):
                access = access.vouched
            incoming = downloader.incoming()
            with self._settler.coming():
                try:
                    await downloader.receive(fetch.url, access, incoming)
                    self._schedule.answered(job)  # its host may be asked for another while the disk works
                    self._wake()
                    kind, stranger = results.kind_of(fetch), fetch.stranger
                    outcome = await downloader.keep(incoming, kind, access, stranger=stranger)
                finally:
                    await downloader.let_go(incoming)
        except FetchFailed as error:
            outcome = bare(error)
        except FetchLater as error:
            there, wait = not error.away, error.wait
            outcome = self._later(job, error)
        except OSError as error:
            reason = error.strerror or str(error)
            self._warn_of_disk(reason)
            outcome = self._later(job, FetchLater("disk", f"the media store refuses: {reason}"))
        except Exception:
            log.exception("A link could not be asked; it is tried again", source=fetch.source)
            outcome = self._later(job, FetchLater("bug", "asking it failed unexpectedly; the log has it whole"))
        finally:
            self._schedule.ended(job, there=there)
            if not there:
                self._schedule.close(job.host, self._clock.monotonic(), wait)
            self._wake()
        if outcome is not None:
            self._settle(group, fetch, outcome)

    def _warn_of_disk(self, reason: str) -> None:
        now = self._clock.monotonic()
        if now - self._warned >= LOUD:
            self._warned = now
            log.warning(
                "The media store takes no picture; each is fetched again until its link dies: make room, or see to the "
                "folder's rights", folder=str(self._media.folder), reason=reason,
            )  # fmt: skip

    def _later(self, job: Job, error: FetchLater) -> FetchFailed | None:
        """Try again; what it means where it would be too late."""
        fetch = job.fetch
        self._metrics.media_retries.labels(fetch.source, error.label).inc()
        if error.reason != job.reason:
            log.debug("A picture could not be fetched yet", source=fetch.source, reason=error.reason, tries=job.tries)
        job.reason = error.reason
        if self._queue.get(fetch.name) is not fetch:
            return None  # a link signed afresh stands in its place, or it is settled
        if self._schedule.again(job, self._clock.monotonic(), None if error.away else error.wait, away=error.away):
            return None
        return FetchFailed("expired", self._dead(job))

    def status(self) -> dict[str, Any]:
        """What /status shows."""
        return {"waiting": len(self._queue), "active": self._schedule.active, "hosts_away": sorted(self._schedule.away)}
