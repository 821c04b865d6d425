"""The state of each part, for /healthz, /readyz, /status and systemd."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pump.clock import Clock

State = Literal["starting", "up", "down", "stalled", "stopped"]


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
    details: dict[str, Any] = field(default_factory=dict)
    """What else /status shows of it, the owner's own words; never a secret."""

    def __post_init__(self) -> None:
        self.since = self.clock.now()
        self.active = self.clock.monotonic()

    def up(self) -> bool:
        """It works. True where that is news."""
        self.activity()
        return self._turn("up", "")

    def down(self, reason: str) -> bool:
        """It does not; `reason` says what is wrong and what can be done. True where the state is news."""
        return self._turn("down", reason)

    def activity(self) -> None:
        """A sign of life."""
        self.active = self.clock.monotonic()
        if self.state == "stalled":
            self._turn("up", "")

    def _turn(self, state: State, reason: str) -> bool:
        changed = state != self.state
        if changed:
            self.since = self.clock.now()
        self.state, self.reason = state, reason
        return changed


class Health:
    """All components, in the order in which they were made."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.components: dict[str, Component] = {}

    def component(self, name: str) -> Component:
        """The component of this name ("source teams", "sink out", "spool"), made at its first use."""
        if name not in self.components:
            self.components[name] = Component(name, self.clock)
        return self.components[name]

    def remove(self, name: str) -> None:
        """Forget a part that the configuration no longer has."""
        self.components.pop(name, None)
