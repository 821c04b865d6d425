"""The book of what the media store has removed: counted by its reason, and an event where it went before its time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pump.core.clock import Clock
from pump.telemetry.metrics import Metrics

AGE: Final = "age"
"""Older than `retention`."""
SIZE: Final = "size"
"""More than `max_bytes`."""
STRANGERS: Final = "strangers"
"""More than strangers may hold, or than known devices leave them."""
UNFINISHED: Final = "unfinished"
"""Left half written by a process that was killed."""
EVERY: Final = 3600.0
"""Seconds between two events; what goes meanwhile is in the next one."""


@dataclass(slots=True)
class Early:
    """Files that were removed though they were younger than `retention`."""

    count: int = 0
    bytes: int = 0
    strangers: int = 0
    """How many of them strangers had sent."""
    youngest_s: float | None = None
    """The age of the youngest of them, seconds."""


class Evictions:
    """Written by the threads that remove, read by the event loop."""

    def __init__(self, clock: Clock, metrics: Metrics | None = None) -> None:
        self._clock = clock
        self._metrics = metrics
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._early = Early()
        self._taken = -EVERY

    @property
    def counts(self) -> Mapping[str, int]:
        """Files removed since the start, by reason."""
        with self._lock:
            return dict(self._counts)

    def add(self, reason: str, size: int, age_s: float | None) -> None:
        """A file went; `age_s` is its age where it was younger than `retention`, else None."""
        with self._lock:
            self._counts[reason] += 1
            if age_s is not None:
                early = self._early
                early.count += 1
                early.bytes += size
                early.strangers += reason == STRANGERS
                early.youngest_s = age_s if early.youngest_s is None else min(early.youngest_s, age_s)
        if self._metrics is not None:
            self._metrics.media_evicted.labels(reason).inc()

    def take(self) -> Early | None:
        """What went too early since the last event, where the next one is due; None where there is none."""
        now = self._clock.monotonic()
        with self._lock:
            if not self._early.count or now - self._taken < EVERY:
                return None
            early, self._early, self._taken = self._early, Early(), now
            return early
