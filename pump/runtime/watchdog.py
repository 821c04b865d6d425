"""Watching the daemon while it runs: for systemd, parts that fall silent, a spool that refuses or hangs, its memory."""

from __future__ import annotations

import contextlib
from typing import Final

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.tasks import Threads
from pump.runtime.sd_notify import Notifier
from pump.runtime.status import Status
from pump.runtime.tuning import give_back
from pump.spool import Spool
from pump.telemetry.health import Health

PROBING: Final = 10.0
"""Seconds between two looks whether the spool's writer makes progress."""
GIVING: Final = 60.0
"""Seconds between two looks for memory that a burst has left."""
_HEAP: Final = Threads("heap", 1)


class Watch:
    """Two loops, each of which the supervisor runs as a part."""

    def __init__(self, spool: Spool, *, clock: Clock, health: Health, status: Status, notifier: Notifier) -> None:
        self._spool = spool
        self._clock = clock
        self._health = health
        self._status = status
        self._notifier = notifier

    async def run(self) -> None:
        """Ping systemd from the loop itself, so that a process that hangs is killed; find who is silent or full."""
        interval = min(1.0, self._notifier.watchdog_interval or 1.0)
        watch, store = self._health.component("watch"), self._health.component("spool")
        watch.up()
        while True:
            self._notifier.watchdog()
            self._health.check(interval)
            if self._spool.refusing:
                store.down(self._spool.refusing)
            elif store.state == "down":
                store.up()
            watch.activity()
            await self._clock.sleep(interval)

    async def probe(self) -> None:
        """Have the spool's writer do nothing, and see that it does: "stalled" is what a hung disk looks like.

        Give back what memory bursts have left, too.
        """
        component = self._health.component("spool")
        component.expects = 3 * PROBING
        given = self._clock.monotonic()
        while True:
            with contextlib.suppress(Unavailable):  # it refuses, so it lives
                await self._spool.flush()
                await self._status.look()
            component.activity()
            if self._clock.monotonic() - given >= GIVING:
                given = self._clock.monotonic()
                await _HEAP.run(give_back)
            await self._clock.sleep(PROBING)
