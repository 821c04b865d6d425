"""What the ops listener shows of a running daemon: /status, the reasons of /readyz, the gauges of /metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pump
from pump.core.clock import Clock
from pump.delivery.delivery import Delivery
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics

BEHIND_LIMIT: Final = 300.0
"""Seconds since an event's arrival that a sink may still be busy with it before the daemon is no longer ready."""


@dataclass(slots=True)
class Status:
    """Reads the daemon's parts; changes nothing but gauges. `spool` is None until it is open."""

    site: str
    settings: SpoolSettings
    clock: Clock
    health: Health
    metrics: Metrics
    sinks: dict[str, Delivery] = field(default_factory=dict)
    spool: Spool | None = None
    phase: str = "it is starting"
    """Why the daemon as a whole is not ready; empty while it runs."""
    _begun: float = field(init=False)
    _oldest: tuple[int, datetime] | None = field(default=None, init=False)
    """The floor at which the oldest event was looked up, and when that event arrived."""

    def __post_init__(self) -> None:
        self._begun = self.clock.monotonic()

    def sick(self) -> list[str]:
        """Why /healthz is 503."""
        spool = self.spool
        if spool is not None and spool.failed.is_set():
            return [f"the spool has failed: {spool.fatal}"]
        return ["the spool makes no progress"] if self.health.component("spool").state == "stalled" else []

    def unready(self) -> list[str]:
        """Why /readyz is 503, beside what makes it sick."""
        if self.phase or self.spool is None:
            return [self.phase]
        reasons = self.health.reasons()
        reasons += [
            f"sink {name} is {delivery.delay_s:.0f} s behind"
            for name, delivery in self.sinks.items()
            if delivery.delay_s > BEHIND_LIMIT
        ]
        return reasons

    async def look(self) -> None:
        """Find the oldest stored event where the floor has moved. Called every second or so; may raise Unavailable."""
        spool = self.spool
        if spool is None or (self._oldest is not None and self._oldest[0] == spool.floor):
            return
        floor = spool.floor
        found = await spool.read(floor, limit=1)
        self._oldest = (floor, datetime.fromtimestamp(found[0].recorded / 1000, UTC)) if found else None

    def body(self) -> dict[str, Any]:
        """/status."""
        spool = self.spool
        return {
            "site": self.site,
            "version": pump.__version__,
            "uptime_s": round(self.clock.monotonic() - self._begun, 3),
            "phase": self.phase or "it runs",
            "spool": {
                "head": spool.head if spool else 0,
                "floor": spool.floor if spool else 0,
                "bytes": spool.used if spool else 0,
                "max_bytes": self.settings.max_bytes,
                "full": bool(spool and spool.refusing),
                "oldest": self._oldest[1] if spool and self._oldest and spool.head > spool.floor else None,
            },
            "components": [
                {
                    "name": component.name,
                    "state": component.state,
                    "reason": component.reason,
                    "since": component.since,
                    "idle_s": round(component.idle, 3),
                    "details": component.details,
                }
                for component in self.health.components.values()
            ],
            "sinks": {
                name: {
                    "position": delivery.position,
                    "lag": delivery.lag,
                    "dead": spool.dead_letters.counts.get(name, 0) if spool else 0,
                    **({"off": delivery.shutoff.reason} if delivery.shutoff.reason else {}),
                }
                for name, delivery in self.sinks.items()
            },
        }

    def refresh(self) -> None:
        """Set the gauges that are known only when asked for."""
        for component in self.health.components.values():
            self.metrics.up.labels(part=component.name).set(component.state == "up")
