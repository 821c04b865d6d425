"""A sink that its receiver has switched off by wanting no more: remembered in the spool, until it is switched on.

Off, it holds nothing, as a disabled sink: what retention removes meanwhile is reported as a gap when it is on again.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from prometheus_client import Gauge

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.settings import SinkSettings
from pump.spool import Spool
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

KEY: Final = "off/"
"""Of the daemon's own state in the spool, followed by the sink's name: {"peer", "reason", "since"}."""


def standing(stored: Any, settings: SinkSettings) -> tuple[str, str] | None:
    """(Reason, since when) of what is stored, None where it is not about the receiver that the settings name now."""
    if not isinstance(stored, dict) or stored.get("peer") != settings.endpoint_digest():
        return None
    return str(stored.get("reason")), str(stored.get("since"))


def words(name: str, reason: str, since: str) -> str:
    """The sentence that a person reads of it."""
    return (
        f"switched off since {since}, for {reason}. Its events wait as long as retention keeps them; "
        f"another address in its settings switches it on, or: pump enable {name}"
    )


class SinkShutoff:
    """One sink's. On unless the spool says otherwise; a receiver by another name finds it on."""

    def __init__(self, spool: Spool, name: str, settings: SinkSettings, *, clock: Clock, metrics: Metrics) -> None:
        self.reason = ""
        """Why it is off, and what can be done; empty while it is on."""
        self._spool = spool
        self._name = name
        self._settings = settings
        self._clock = clock
        self._shown: Gauge = metrics.sink_off.labels(sink=name)
        self._on = asyncio.Event()
        self._shown.set(0)

    def restore(self) -> None:
        """Take up what a former run has stored."""
        stored = self._spool.state("pump").get(KEY + self._name)
        if (found := standing(stored, self._settings)) is not None:
            self._turn_off(*found)
        elif stored is not None:
            log.info("A sink is on again, for its settings name another receiver", sink=self._name)
            self._spool.remember("pump", KEY + self._name, None)

    async def shut_off(self, reason: str) -> None:
        """Switch it off, on disk when this returns, if the disk takes it."""
        since = self._clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
        stored = {"peer": self._settings.endpoint_digest(), "reason": reason, "since": since}
        self._spool.remember("pump", KEY + self._name, stored)
        self._turn_off(reason, since)
        try:
            await self._spool.flush()
        except Unavailable as error:  # it is off all the same, and stored when the spool takes something again
            log.warning("That a sink is off is not stored yet", sink=self._name, reason=error.reason)

    async def turn_on(self) -> None:
        """Switch it on, as a person asks. Raises `Unavailable` where that cannot be stored; it is on all the same."""
        self.reason = ""
        self._shown.set(0)
        self._spool.set_holders({self._name: self._settings.hold})
        self._on.set()
        log.info("A sink was switched on, as asked", sink=self._name)
        self._spool.remember("pump", KEY + self._name, None)
        await self._spool.flush()

    async def until_on(self) -> None:
        """Return once it is on."""
        while self.reason:
            await self._on.wait()

    def _turn_off(self, reason: str, since: str) -> None:
        self.reason = words(self._name, reason, since)
        self._on.clear()
        self._shown.set(1)
        self._spool.set_holders({self._name: False})
        log.error("A sink is switched off, for its receiver wants no more events", sink=self._name, reason=self.reason)
