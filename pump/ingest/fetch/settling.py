"""The results' way into the spool: as many as have come go in one transaction, with the links that they end."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.ingest.fetch import results
from pump.ingest.fetch.errors import FetchFailed
from pump.ingest.fetch.incoming import Arrived
from pump.ingest.intake import Intake
from pump.spool import Fetch
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

GROUP: Final = 256
"""Results of one transaction at the most."""
ENOUGH: Final = 32
"""Results that wait for no other's."""
GATHER: Final = 0.05
"""Seconds for which the first result waits for those whose pictures are on their way."""
LOUD: Final = 60.0
"""Seconds between two warnings of one source's pictures that are lost in one way."""

Key = tuple[str, bool]
"""(source, whether they are a stranger's): results of two keys never wait for each other."""


@dataclass(slots=True)
class _Line:
    """The results of one key."""

    waiting: deque[tuple[Fetch, Arrived | FetchFailed]] = field(default_factory=deque)
    going: bool = False
    """A task stores them."""


class Settler:
    """One for each run of the fetcher. Belongs to the event loop."""

    def __init__(
        self, intake: Callable[[str], Intake], *, clock: Clock, metrics: Metrics, rng: random.Random,
        on_stored: Callable[[Fetch], object],
    ) -> None:  # fmt: skip
        """`on_stored` is called for each picture whose result is on disk."""
        self.unstored = 0
        """Results that are not on disk yet."""
        self._intake = intake
        self._clock = clock
        self._metrics = metrics
        self._rng = rng
        self._on_stored = on_stored
        self._lines: defaultdict[Key, _Line] = defaultdict(_Line)
        self._logged: dict[tuple[str, str], float] = {}
        self._coming = 0
        self._gathered = asyncio.Event()

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Within, a picture is on its way whose result may go with those that are there."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            if not self._coming:
                self._gathered.set()

    def add(self, fetch: Fetch, outcome: Arrived | FetchFailed) -> Key | None:
        """Note a result; the key for which `store` is to be run, None where it runs."""
        key = fetch.source, fetch.stranger
        line = self._lines[key]
        line.waiting.append((fetch, outcome))
        if len(line.waiting) == ENOUGH:
            self._gathered.set()
        self.unstored += 1
        if line.going:
            return None
        line.going = True
        return key

    async def store(self, key: Key) -> None:
        """Store the key's results until none is left; what comes meanwhile goes together."""
        line = self._lines[key]
        while line.waiting:
            if self._coming and len(line.waiting) < ENOUGH:
                await self._gather()
            group = [line.waiting.popleft() for _ in range(min(GROUP, len(line.waiting)))]
            await self._settle(key, group)
            self.unstored -= len(group)
        del self._lines[key]

    async def _gather(self) -> None:
        self._gathered.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER):
                await self._gathered.wait()

    async def _settle(self, key: Key, group: list[tuple[Fetch, Arrived | FetchFailed]]) -> None:
        """Wait while the spool refuses: a link must not go without its result."""
        source, stranger = key
        now = self._clock.now()
        settled = [(results.of(fetch, outcome, now), fetch.medium) for fetch, outcome in group]
        backoff = Backoff(rng=self._rng)
        while True:
            try:
                await self._intake(source).settle(settled, stranger=stranger)
                break
            except Unavailable:
                await self._clock.sleep(backoff.next())
        sizes: list[int] = []
        for fetch, outcome in group:
            if isinstance(outcome, FetchFailed):
                self._lost(fetch, outcome)
            else:
                self._on_stored(fetch)
                sizes.append(outcome.stored.bytes)
        if sizes:
            self._metrics.media_fetched.labels(source).inc(len(sizes))
            self._metrics.media_fetched_bytes.labels(source).inc(sum(sizes))

    def _lost(self, fetch: Fetch, failure: FetchFailed) -> None:
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
