"""The fetcher: asks for each link that waits, as often as need be until it dies, and says what became of it.

It stands beside the events' path: an event goes out with its link, and a second event of its own follows it. What
waits lies in the spool, so that a kill loses nothing; the link goes in the transaction that stores the result.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio
import structlog
from aiohttp.abc import AbstractResolver
from anyio.abc import TaskGroup
from yarl import URL

from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event
from pump.core.tasks import Nap
from pump.ingest.fetch import results
from pump.ingest.fetch.access import PictureAccess
from pump.ingest.fetch.download import Downloader
from pump.ingest.fetch.errors import FetchFailed, FetchLater
from pump.ingest.fetch.expiry import expiry_of
from pump.ingest.fetch.hosts import HostRule
from pump.ingest.fetch.incoming import Arrived, sweep
from pump.ingest.fetch.schedule import Job, Schedule
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
LOUD: Final = 60.0
"""Seconds between two warnings of one source's pictures that are lost in one way."""
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
        self._nap = Nap(clock)
        self._quiet = asyncio.Event()
        self._settling = 0
        self._logged: dict[tuple[str, str], float] = {}
        self._schedule = Schedule(per_host=limits.per_host, at_once=limits.at_once)
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

    def _wake(self) -> None:
        """Something has changed."""
        self._quiet.clear()
        self._nap.cut()

    async def run(self) -> None:
        """Fetch for as long as the task lives."""
        limits = self._limits
        await self._media.threads.run(sweep, self._media)
        self._schedule = Schedule(per_host=limits.per_host, at_once=limits.at_once, rng=self.rng)
        self._queue.again()
        async with (
            Downloader(
                self._media, hosts=limits.hosts, largest=limits.largest, timeout=limits.timeout, clock=self._clock,
                connections=limits.at_once, resolver=self.resolver,
            ) as downloader,
            anyio.create_task_group() as group,
        ):  # fmt: skip
            self._component.up()
            while True:
                now = self._clock.monotonic()
                self._admit(now)
                wait = self._start(group, downloader, now)
                self._component.details.update(self.status())
                if self._schedule.active or self._settling:
                    self._quiet.clear()
                else:
                    self._quiet.set()
                # Nothing is awaited between the look at the queue and here, so that no cut is missed.
                await (self._nap.until(anyio.sleep_forever()) if wait is None else self._nap.sleep(wait))

    def _admit(self, now: float) -> None:
        for fetch in self._queue.take():
            try:
                host = URL(fetch.url).authority.rpartition("@")[2].lower()
            except ValueError:
                host = ""
            self._schedule.add(fetch, host, self._deadline(fetch, now))

    def _deadline(self, fetch: Fetch, now: float) -> float:
        """By the time that has passed, for the wall clock may have jumped since the link came."""
        end = expiry_of(fetch.url) or fetch.expires
        life = (end - fetch.recorded) / 1000 if end else LIFE
        age = self._clock.ages.age(fetch.recorded, down=True) or 0.0
        return now + min(life, 7 * LIFE) - age

    def _start(self, group: TaskGroup, downloader: Downloader, now: float) -> float | None:
        """Begin what is due; seconds until something else is, None where nothing will be by itself."""
        if self._spool.refusing:
            return REFUSING  # what became of it could not be stored
        ask, dead = self._schedule.ready(now)
        for fetch in self._queue.overdue():
            if self._schedule.drop(fetch.name):
                self._give_up(group, fetch, "too many", "too many links wait; the oldest are given up")
        for job in dead:
            self._give_up(group, job.fetch, "expired", self._dead(job))
        for job in ask:
            group.start_soon(self._ask, downloader, job, name=f"fetch from {job.host}")
        upcoming = self._schedule.next(now)
        return None if upcoming is None else max(0.0, upcoming - now)

    def _dead(self, job: Job) -> str:
        return f"its link died before it could be fetched: {job.reason or f'{job.host} is away'} ({job.tries} tries)"

    def _give_up(self, group: TaskGroup, fetch: Fetch, label: str, reason: str) -> None:
        self._settling += 1  # from now on: the task begins later
        group.start_soon(self._given_up, fetch, FetchFailed(label, reason), name="a link given up")

    async def _given_up(self, fetch: Fetch, failure: FetchFailed) -> None:
        try:
            await self._settle_failed(fetch, failure)
        finally:
            self._settling -= 1
            self._wake()

    async def _ask(self, downloader: Downloader, job: Job) -> None:
        fetch, there, wait = job.fetch, True, None
        arrived: Arrived | None = None
        failure: FetchFailed | None = None
        job.tries += 1
        try:
            access = self._access.get(fetch.source, _NOBODY)
            if results.vouched(fetch):
                access = access.vouched
            incoming = await downloader.receive(fetch.url, access)
            self._schedule.answered(job)  # its host may be asked for another while the disk works
            self._wake()
            kind, stranger = results.kind_of(fetch), results.stranger(fetch)
            arrived = await downloader.keep(incoming, kind, access, stranger=stranger)
        except FetchFailed as error:
            failure = error
        except FetchLater as error:
            there, wait = not error.away, error.wait
            failure = self._later(job, error)
        except OSError as error:
            failure = self._later(job, FetchLater("disk", f"the media store refuses: {error.strerror or error}"))
        except Exception:
            log.exception("A link could not be asked; it is tried again", source=fetch.source)
            failure = self._later(job, FetchLater("bug", "asking it failed unexpectedly; the log has it whole"))
        finally:
            self._schedule.ended(job, there=there)
            if not there:
                self._schedule.close(job.host, self._clock.monotonic(), wait)
            self._wake()
        if arrived is not None:
            await self._settle_stored(fetch, arrived)
        elif failure is not None:
            await self._settle_failed(fetch, failure)

    def _later(self, job: Job, error: FetchLater) -> FetchFailed | None:
        """Try again; what it means where it would be too late."""
        fetch = job.fetch
        self._metrics.media_retries.labels(fetch.source, error.label).inc()
        if error.reason != job.reason:
            log.debug("A picture could not be fetched yet", source=fetch.source, reason=error.reason, tries=job.tries)
        job.reason = error.reason
        if self._queue.get(fetch.name) is not fetch:
            return None  # a link signed afresh stands in its place, or it is settled
        if self._schedule.again(job, self._clock.monotonic(), None if error.away else error.wait):
            return None
        return FetchFailed("expired", self._dead(job))

    # --- results --------------------------------------------------------------------------------------------------

    async def _settle_stored(self, fetch: Fetch, arrived: Arrived) -> None:
        await self._settle(fetch, results.stored(fetch, arrived, self._clock.now()))
        self._schedule.drop(fetch.name)  # of a link signed afresh meanwhile
        self._metrics.media_fetched.labels(fetch.source).inc()
        self._metrics.media_fetched_bytes.labels(fetch.source).inc(arrived.stored.bytes)

    async def _settle_failed(self, fetch: Fetch, failure: FetchFailed) -> None:
        await self._settle(fetch, results.failed(fetch, failure.reason, self._clock.now(), failure.kept))
        self._metrics.media_failed.labels(fetch.source, failure.label).inc()
        now = self._clock.monotonic()
        known = (fetch.source, failure.label)
        news = now - self._logged.get(known, -LOUD) >= LOUD  # each has its event and is counted
        if news:
            self._logged[known] = now
        log.log(
            logging.WARNING if news else logging.DEBUG,
            "A picture is lost; media.failed says so to whoever has its event",
            source=fetch.source, reason=failure.reason, medium=fetch.medium,
        )  # fmt: skip

    async def _settle(self, fetch: Fetch, event: Event) -> None:
        """Store the result, waiting while the spool refuses: the link must not go without it."""
        backoff = Backoff(rng=self.rng)
        self._settling += 1
        try:
            while True:
                try:
                    await self._intake(fetch.source).settle(event, fetch.medium, stranger=results.stranger(fetch))
                except Unavailable:
                    await self._clock.sleep(backoff.next())
                else:
                    return
        finally:
            self._settling -= 1
            self._wake()

    def status(self) -> dict[str, Any]:
        """What /status shows."""
        return {"waiting": len(self._queue), "active": self._schedule.active, "hosts_away": sorted(self._schedule.away)}
