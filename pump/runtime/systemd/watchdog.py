"""Watching the daemon while it runs: for systemd, for parts that fall silent, for a spool that refuses or hangs, its
memory."""

from __future__ import annotations

import contextlib
from typing import Final

import structlog

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.tasks import Threads
from pump.runtime.status import Status
from pump.runtime.systemd.notify import Notifier
from pump.runtime.systemd.progress import Progress
from pump.runtime.tuning import Collecting, give_back
from pump.spool import Spool
from pump.telemetry.health import Health

log = structlog.get_logger()

LOOKS: Final = 3
"""Looks whether the spool's writer makes progress, in the time after which it is stuck."""
TOLD: Final = 5.0
"""Seconds between two status lines for the service manager."""
GIVING: Final = 60.0
"""Seconds between two looks for memory that nobody uses any more."""
_HEAP: Final = Threads("heap", 1)


class Watch:
    """Two loops, each of which the supervisor runs as a part."""

    def __init__(
        self, spool: Spool, *, clock: Clock, health: Health, status: Status, notifier: Notifier, progress: Progress
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._health = health
        self._status = status
        self._notifier = notifier
        self._progress = progress

    async def run(self) -> None:
        """Ping systemd from the loop itself, while all that must makes progress: a process that hangs is killed and
        started again. Find who is silent or full."""
        interval = min(1.0, self._notifier.watchdog_interval or 1.0)
        watch, store = self._health.component("watch"), self._health.component("spool")
        told = self._clock.monotonic()
        while True:
            ran = self._health.check(interval)
            if self._spool.refusing:
                store.down(self._spool.refusing)
            elif store.state == "down":
                store.up()
            if ran:
                self._progress.revive(interval)
            watch.activity()
            if stuck := self._progress.stuck():
                reason = "; ".join(stuck)
                if watch.down(reason):
                    log.critical(
                        "The process is to be ended and started again, for a part of it is stuck: systemd does so, "
                        "others go by /healthz", reason=reason,
                    )  # fmt: skip
                    self._notifier.status(f"stuck: {reason}")
            else:
                if watch.up():
                    log.info("All parts make progress")
                self._notifier.watchdog()
            if self._clock.monotonic() - told >= min(TOLD, self._progress.limit):
                told = self._clock.monotonic()
                self._notifier.status(f"stuck: {watch.reason}" if stuck else self._status.line())
            await self._clock.sleep(interval)

    async def probe(self) -> None:
        """Have the spool's writer do nothing, and see that it does: "stalled" is what a hung disk looks like.

        Free what only the collector can, and give back what memory bursts have left, too.
        """
        component = self._health.component("spool")
        component.expects = self._progress.limit
        given, collecting = self._clock.monotonic(), Collecting()
        while True:
            with contextlib.suppress(Unavailable):  # it refuses, so it lives
                await self._spool.flush()
                await self._status.look()
            component.activity()
            if self._clock.monotonic() - given >= GIVING:
                given = self._clock.monotonic()
                collecting.collect()  # in this thread, to which what it frees belongs
                await _HEAP.run(give_back)
            await self._clock.sleep(self._progress.limit / LOOKS)
