"""The state of each part, for /healthz, /readyz, /status, /metrics and systemd; who has fallen silent is found here.

Durations are monotonic: a wall clock that jumps stalls nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from pump.core.clock import Clock

log = structlog.get_logger()

State = Literal["starting", "up", "down", "stalled", "stopped"]
STATES: Final[tuple[State, ...]] = ("starting", "up", "down", "stalled", "stopped")

_WATCHED: Final = frozenset({"starting", "up"})
"""States in which silence is news; a part that is down is waited for by its own retries."""


@dataclass(slots=True, frozen=True)
class Failing:
    """Calls to a peer that fail, before the part counts as down: a single one is no outage."""

    since: datetime
    reason: str
    again: datetime
    """When the next attempt is due."""


@dataclass
class Component:
    """One part: a source, a sink, the spool, a listener. Its owner calls `up`, `down` and `activity`."""

    name: str
    clock: Clock
    state: State = "starting"
    reason: str = ""
    since: datetime = field(init=False)
    active: float = field(init=False)
    """Monotonic seconds of the last sign of life."""
    expects: float | None = None
    """Seconds within which a sign of life is due; None: it may be silent for ever. The owner sets it."""
    details: dict[str, Any] = field(default_factory=dict)
    """Details that /status shows of it, the owner's own words; never a secret."""
    failing: Failing | None = None
    """Set by an owner whose calls fail and who waits with `down`; ended by each of `up`, `down` and `stopped`."""
    stalls: int = 0
    """Times that it has fallen silent."""
    words: int = 0
    """Times that its state was given, whether or not it was news: who waits long and says so is not stuck."""
    _signs: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    """Of loops that each owe one: the name, and the last, monotonic seconds."""
    _rose: float | None = field(default=None, init=False, repr=False)
    _fell: float | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.since = self.clock.now()
        self.active = self.clock.monotonic()

    def expect(self, seconds: float, *loops: str) -> None:
        """A sign of life is due within so many seconds, of each of these loops where there are several: one that is
        stuck is not hidden by the others."""
        self.expects = seconds
        self._signs = dict.fromkeys(loops, self.clock.monotonic())

    def up(self) -> bool:
        """It works. True where that is news; a loop that is silent keeps it stalled."""
        self.active = self.clock.monotonic()
        return not (self.state == "stalled" and self._silent_loops()) and self._turn("up", "")

    def down(self, reason: str) -> bool:
        """It does not; `reason` says what is wrong and what can be done. True where the state is news."""
        return self._turn("down", reason)

    def begin_anew(self) -> None:
        """Another part takes its place under this name: what its former owner said of it no longer counts."""
        self.expects = None
        self._signs.clear()
        self.details.clear()
        self.active = self.clock.monotonic()
        self._turn("starting", "")

    def stopped(self) -> bool:
        """It was stopped, as asked. True where that is news."""
        return self._turn("stopped", "")

    def activity(self, loop: str = "") -> None:
        """A sign of life, of one of the loops where they owe one each."""
        self.active = self.clock.monotonic()
        if loop in self._signs:
            self._signs[loop] = self.active
        if self.state == "stalled" and not self._silent_loops():
            self._turn("up", "")

    @property
    def idle(self) -> float:
        """Seconds since the last sign of life, of the loop that is silent for longest."""
        return self.clock.monotonic() - min(self._signs.values(), default=self.active)

    def _silent_loops(self) -> list[str]:
        now, expects = self.clock.monotonic(), self.expects
        return [] if expects is None else [loop for loop, last in self._signs.items() if now - last > expects]

    def lasted(self, begin: float) -> float:
        """Seconds that the current or last spell of "up" has lasted, not counting what lies before `begin`."""
        if self._rose is None:
            return 0.0
        end = self._fell if self._fell is not None else self.clock.monotonic()
        return max(0.0, end - max(self._rose, begin))

    def stall(self) -> bool:
        """Turn "stalled" where a sign of life is overdue. True where that is news. `Health.check` calls it."""
        if self.expects is None or self.state not in _WATCHED or self.idle <= self.expects:
            return False
        self.stalls += 1
        of = f" of {', '.join(loops)}" if (loops := self._silent_loops()) else ""
        return self._turn("stalled", f"no sign of life{of} for {self.expects:g} s")

    def _turn(self, state: State, reason: str) -> bool:
        changed = state != self.state
        if changed:
            self.since = self.clock.now()
            if state == "up":
                self._rose, self._fell = self.clock.monotonic(), None
            elif self.state == "up":
                self._fell = self.clock.monotonic()
        self.state, self.reason, self.failing = state, reason, None
        self.words += 1
        return changed


class Health:
    """All components, in the order in which they were made."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.components: dict[str, Component] = {}
        self.stood: float = 0.0
        """The longest that the event loop was seen standing still, seconds."""
        self._silent: set[str] = set()
        self._checked: float | None = None

    def component(self, name: str) -> Component:
        """The component of this name ("source teams", "sink out", "spool"), made at its first use."""
        if name not in self.components:
            self.components[name] = Component(name, self.clock)
        return self.components[name]

    def remove(self, name: str) -> None:
        """Forget a part that the configuration no longer has."""
        self.components.pop(name, None)
        self._silent.discard(name)

    def check(self, interval: float) -> bool:
        """Find who has fallen silent and who is back, and log it. Called every `interval` seconds.

        Where the call comes late the loop itself stood still, so that nobody could give a sign of life: that is
        logged, the parts get one more interval, and False is returned.
        """
        now = self.clock.monotonic()
        late = 0.0 if self._checked is None else now - self._checked - interval
        self._checked = now
        self.stood = max(self.stood, late)
        if late > max(1.0, interval):
            log.warning("The event loop stood still", seconds=round(late, 3))
            return False
        for component in self.components.values():
            if component.stall():
                self._silent.add(component.name)
                log.warning(
                    "A part has stalled",
                    part=component.name,
                    idle_s=round(component.idle, 1),
                    expects_s=component.expects,
                )
            elif component.name in self._silent and component.state != "stalled":
                self._silent.discard(component.name)
                if component.state != "down":
                    log.info("A stalled part has come back", part=component.name, state=component.state)
        return True

    def reasons(self) -> list[str]:
        """Why the daemon is not ready: one sentence for each part that is down or stalled."""
        return [
            f"{component.name} is {component.state}" + (f": {component.reason}" if component.reason else "")
            for component in self.components.values()
            if component.state in ("down", "stalled")
        ]

    def failing(self) -> list[str]:
        """One sentence for each part whose calls fail and which does not count as down yet: no reason to be unready."""
        return [
            f"{component.name} fails: {component.failing.reason}"
            for component in self.components.values()
            if component.failing is not None
        ]


class HealthCollector(Collector):
    """The components as /metrics shows them: `metrics.registry.register(HealthCollector(health))`."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Made afresh for each scrape, so that a part which is gone leaves no series behind.

        One after the other: of a thousand parts each takes milliseconds, and who collects lets the loop go on between.
        """
        parts = list(self._health.components.values())
        state = GaugeMetricFamily("pump_component_state", "1 for the state that a part is in", labels=["part", "state"])
        state.samples = [
            Sample(state.name, {"part": part.name, "state": name}, float(part.state == name))
            for part in parts
            for name in STATES
        ]
        yield state
        idle = GaugeMetricFamily("pump_component_idle_seconds", "Since the part's last sign of life", labels=["part"])
        for part in parts:
            idle.add_metric([part.name], part.idle)
        yield idle
        stalls = CounterMetricFamily("pump_component_stalls", "How often the part fell silent", labels=["part"])
        for part in parts:
            stalls.add_metric([part.name], part.stalls)
        yield stalls
        failing = GaugeMetricFamily(
            "pump_component_failing", "1 while the part's calls fail and it does not count as down yet", labels=["part"]
        )
        for part in parts:
            failing.add_metric([part.name], float(part.failing is not None))
        yield failing
        stood = GaugeMetricFamily("pump_loop_stood_seconds", "The longest that the event loop was seen standing still")
        stood.add_metric([], self._health.stood)
        yield stood
