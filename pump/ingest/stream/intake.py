"""Storing for those whom nobody can refuse: where the spool or the disk takes nothing, they wait and read nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event, Unparsed
from pump.core.text import words_of
from pump.ingest.intake import Intake
from pump.ingest.media import Stored
from pump.ingest.stream.gap import OutageTracker
from pump.ingest.stream.handler import Batch
from pump.spool import Gap, Receipt, Seen
from pump.spool.gaps.ledger import GapState

T = TypeVar("T")


class StreamIntake:
    """A stream's side of the intake."""

    def __init__(self, intake: Intake, clock: Clock) -> None:
        self.intake = intake
        self.outage = OutageTracker(clock)
        """The time without a link, over all links."""
        intake.known_until = self.outage.known_until
        self._clock = clock
        self.connected = False
        """True while the link is up."""

    def opened(self) -> None:
        """The link is up, and its gap is not stored yet."""
        self.connected = True

    def closed(self) -> bool:
        """The link is closed; was it up?"""
        opened, self.connected = self.connected, False
        return opened

    async def store(self, batch: Batch) -> None:
        """Store a batch, waiting as `put` does."""
        now = self._clock.now()
        for reason in batch.gaps:
            await self.gap(self.outage.before or now, now, reason)
        if batch.events or batch.state:
            await self.put(*batch.events, state=batch.state or None)

    async def put(self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None) -> Receipt:
        """Store; where the spool refuses wait, reading nothing, until it takes them. The link stands meanwhile."""
        return await self._patiently(lambda: self.intake.put(*items, state=state))

    async def gap(self, begin: datetime, end: datetime, reason: str) -> Receipt:
        """`Intake.gap`, waiting as `put` does."""
        return await self._patiently(lambda: self.intake.gap(begin, end, reason))

    async def fill(
        self, gap: Gap | None, items: Sequence[Event | Unparsed], state: Mapping[str, Any] | None = None, *,
        seen: Sequence[Seen] = (), become: GapState | None = None, notes: str | None = None,
    ) -> Receipt:  # fmt: skip
        """`SourceGaps.fill`, waiting as `put` does."""
        return await self._patiently(
            lambda: self.intake.gaps.fill(gap, items, state, seen=seen, become=become, notes=notes)
        )

    async def keep(self, content: bytes) -> Stored:
        """Store a binary; where the disk refuses wait, as `put` does."""

        async def store() -> Stored:
            try:
                return await self.intake.media.store(content)
            except OSError as error:
                raise Unavailable(words_of(error)) from error

        return await self._patiently(store, "the media store")

    async def _patiently(self, store: Callable[[], Awaitable[T]], who: str = "the spool") -> T:
        backoff, paused = Backoff(0.5, 5.0), False
        while True:
            try:
                stored = await store()
            except Unavailable as error:
                if not paused:
                    self.intake.count("pause")
                paused = True
                # each time: who waits for long by right says so, and is not taken for stuck
                self.intake.down(f"{who} refuses ({error.reason}); reading pauses until it takes events again")
                await self._clock.sleep(max(0.05, error.retry_after or backoff.next()))
                continue
            if paused and self.connected:
                self.intake.up()
            return stored
