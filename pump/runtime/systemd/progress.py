"""The parts that make no progress: those that a cancellation helps begin anew; where nothing inside the process helps,
for a disk hangs or a cancellation is swallowed, they are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pump.delivery.delivery import Delivery
from pump.runtime.supervisor import Supervisor
from pump.telemetry.health import Health

LONGEST: Final = 30.0
"""Seconds without progress after which a part counts as stuck, where systemd's watchdog is slow or there is none."""
SHORTEST: Final = 1.0


class Progress:
    """Looks at the spool's writer, the sinks' loops, and parts that were cancelled."""

    def __init__(
        self, *, health: Health, supervisor: Supervisor, sinks: Mapping[str, Delivery], watchdog_interval: float | None
    ) -> None:
        """`watchdog_interval`: half of what the service manager allows; None: it does not ask."""
        self.limit = LONGEST if watchdog_interval is None else max(SHORTEST, min(LONGEST, watchdog_interval))
        """Seconds without progress after which a part is stuck."""
        self._health = health
        self._supervisor = supervisor
        self._sinks = sinks
        self._last: set[str] = set()

    def revive(self, seconds: float) -> None:
        """Have parts begin anew that have long been silent. Called after each so many seconds in which the event loop
        ran; those in which the spool took nothing do not count, for then all who put wait by right."""
        if self._health.component("spool").state == "up":
            self._supervisor.revive(seconds)

    def stuck(self) -> list[str]:
        """A sentence for each part that is stuck, and was at the last look: where the event loop itself stood still,
        all others did too. Called every second or so."""
        found = list(self._find())
        stuck = [sentence for sentence in found if sentence in self._last]
        self._last = set(found)
        return stuck

    def _find(self) -> list[str]:
        found: list[str] = []
        if self._health.component("spool").idle > self.limit:
            found.append("the spool's writer makes no progress")
        for name, delivery in self._sinks.items():
            if delivery.gave_up:
                found.append(f"the sink {name} hangs, again and again, and cannot be cancelled")
            elif delivery.standing() > self.limit:
                found.append(f"the loop of the sink {name} makes no progress")
        found += [f"{name} was cancelled and does not end" for name in self._supervisor.stuck(self.limit)]
        found += [f"{name} has lost its task" for name in self._supervisor.lost]
        return found
