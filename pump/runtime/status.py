"""The running daemon as the ops listener shows it: /status, the reasons of /readyz, the gauges of /metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import pump
from pump.config import Config
from pump.core.clock import Clock
from pump.core.tasks import Threads, in_slices
from pump.delivery.delivery import Delivery
from pump.ops.control import Tell
from pump.spool import Spool
from pump.spool.gaps.ledger import STATES
from pump.spool.tables.dead_share import share as dead_share
from pump.spool.tables.strangers import share as strangers_share
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics

BEHIND_LIMIT: Final = 300.0
"""Seconds since an event's arrival that a sink may still be busy with it before the daemon is no longer ready."""
_COUNTED: Final = ("events", "duplicates", "unparsed", "refused", "gaps")
"""Counters of `Metrics` that /status shows for each source."""
_COUNTING: Final = Threads("counts", 1)
_SLICE: Final = 500
"""Sources or parts whose gauges are set in one pass of the event loop: 1 or 2 ms."""


class Status:
    """Reads the daemon's parts; changes nothing but gauges."""

    def __init__(
        self, config: Config, sinks: Mapping[str, Delivery], *, spool: Callable[[], Spool | None],
        phase: Callable[[], str], clock: Clock, health: Health, metrics: Metrics,
        media: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:  # fmt: skip
        """`sinks` fills as they are added. `spool` gives None until it is open; `media` gives the store's figures.

        `phase` gives why the daemon as a whole is not ready; empty while it runs.
        """
        self._config = config
        self._sinks = sinks
        self._spool = spool
        self._phase = phase
        self._clock = clock
        self._health = health
        self._metrics = metrics
        self._media = media
        self._begun = clock.monotonic()
        self._reload: dict[str, Any] | None = None
        self._seen: tuple[int, float] | None = None
        """The spool's head at the last line for the service manager, and when that was."""
        self._oldest: tuple[int, datetime] | None = None
        """The floor at which the oldest event was looked up, and when that event arrived."""

    def use(self, config: Config) -> None:
        """Another configuration runs from now on."""
        self._config = config

    def note_reload(self, outcome: Mapping[str, Any]) -> None:
        """The last reading of the configuration: "ok", "reasons" and what was changed."""
        self._reload = {"at": self._clock.now(), **outcome}

    def sick(self) -> list[str]:
        """Why /healthz is 503."""
        spool = self._spool()
        if spool is not None and spool.failed.is_set():
            return [f"the spool has failed: {spool.fatal}"]
        watch = self._health.components.get("watch")
        stuck = [watch.reason] if watch is not None and watch.state == "down" else []
        return stuck or (["the spool makes no progress"] if self._health.component("spool").state == "stalled" else [])

    def unready(self) -> list[str]:
        """Why /readyz is 503, beside what makes it sick."""
        phase = self._phase()
        if phase or self._spool() is None:
            return [phase]
        reasons = self._health.reasons()
        reasons += [
            f"sink {name} is {delivery.delay_s:.0f} s behind"
            for name, delivery in self._sinks.items()
            if delivery.delay_s > BEHIND_LIMIT
        ]
        return reasons

    def troubles(self) -> list[str]:
        """Why not all is well: as the probes have it, and whose calls fail though it does not count as down yet."""
        return self.sick() + self.unready() + self._health.failing()

    async def look(self) -> None:
        """Find the oldest stored event where the floor has moved. Called every second or so; may raise Unavailable."""
        spool = self._spool()
        if spool is None or (self._oldest is not None and self._oldest[0] == spool.floor):
            return
        floor = spool.floor
        found = await spool.read(floor, limit=1)
        self._oldest = (floor, datetime.fromtimestamp(found[0].recorded / 1000, UTC)) if found else None

    async def whole(self) -> dict[str, Any]:
        """`body`, counted in a thread: of two thousand sources that takes 50 ms, in which the loop goes on."""
        return self.body(await _COUNTING.run(self._counts))

    def body(self, counts: Mapping[str, Mapping[str, int]] | None = None) -> dict[str, Any]:
        """/status; `counts` are those of its sources, made anew where they are None."""
        spool = self._spool()
        return {
            "site": self._config.site,
            "version": pump.__version__,
            "uptime_s": round(self._clock.monotonic() - self._begun, 3),
            "phase": self._phase() or "it runs",
            "reasons": self.sick() + self.unready(),
            "reload": self._reload,
            "spool": {
                "head": spool.head if spool else 0,
                "floor": spool.floor if spool else 0,
                "bytes": spool.used if spool else 0,
                "max_bytes": self._config.spool.max_bytes,
                "strangers": {
                    "bytes": spool.strangers if spool else 0,
                    "max_bytes": strangers_share(self._config.spool.max_bytes),
                },
                "dead": {
                    "bytes": sum(spool.dead_letters.bytes.values()) if spool else 0,
                    "max_bytes": dead_share(self._config.spool.max_bytes),
                },
                "full": bool(spool and spool.refusing),
                "oldest": self._oldest[1] if spool and self._oldest and spool.head > spool.floor else None,
            },
            "media": self._media(),
            "gaps": {name: dict(states) for name, states in spool.gaps.counts.items()} if spool else {},
            "components": [
                {
                    "name": component.name,
                    "state": component.state,
                    "reason": component.reason,
                    "since": component.since,
                    "idle_s": round(component.idle, 3),
                    "failing": None if component.failing is None else asdict(component.failing),
                    "details": component.details,
                }
                for component in self._health.components.values()
            ],
            "sources": self._counts() if counts is None else counts,
            "sinks": {
                name: {
                    "position": delivery.position,
                    "lag": delivery.lag,
                    "dead": spool.dead_letters.counts.get(name, 0) if spool else 0,
                    **({"dead_removed": gone} if spool and (gone := spool.dead_letters.removed(name)) else {}),
                    **({"off": delivery.shutoff.reason} if delivery.shutoff.reason else {}),
                }
                for name, delivery in self._sinks.items()
            },
        }

    def _counts(self) -> dict[str, dict[str, int]]:
        """Of each source what was counted since the start. Safe in a thread."""
        running = [name for name, source in self._config.sources.items() if source.enabled]
        counts = {name: dict.fromkeys(_COUNTED, 0) for name in running}
        for what in _COUNTED:
            for metric in getattr(self._metrics, what).collect():
                for sample in metric.samples:
                    if sample.name.endswith("_total") and (found := counts.get(sample.labels["source"])) is not None:
                        found[what] += int(sample.value)
        return counts

    def line(self) -> str:
        """One line for the service manager: events a second since the line before, the worst lag, who is down."""
        spool, now = self._spool(), self._clock.monotonic()
        head = spool.head if spool else 0
        seen, since = self._seen or (head, now)
        self._seen = head, now
        rate = (head - seen) / (now - since) if now > since else 0.0
        words = [f"{rate:.1f} events/s"]
        if self._sinks:
            name, worst = max(((name, delivery.lag) for name, delivery in self._sinks.items()), key=lambda one: one[1])
            words.append(f"worst lag {worst}" + (f" (sink {name})" if worst else ""))
        down = [part.name for part in self._health.components.values() if part.state in ("down", "stalled")]
        return ", ".join([*words, f"down: {', '.join(down)}" if down else "all up"])

    async def show(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """The control socket's command `status`: what /status shows."""
        return await self.whole()

    async def refresh(self) -> None:
        """Set the gauges that are known only when they are scraped; a part that goes meanwhile gets none."""
        components = self._health.components
        async for name in in_slices(list(components), _SLICE):
            if (component := components.get(name)) is not None:
                self._metrics.up.labels(part=name).set(component.state == "up")
        if (spool := self._spool()) is not None:
            counts = spool.gaps.counts
            async for source in in_slices(list(counts), _SLICE):
                if (states := counts.get(source)) is not None:
                    for state in STATES:
                        self._metrics.gap_records.labels(source, state).set(states.get(state, 0))
