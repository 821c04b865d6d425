"""The ways in for commands that sinks' peers offer: parts of the daemon, between those peers and the desk."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from typing import Any, Final

from pump.commands.ways import WayIn
from pump.core.clock import Clock
from pump.core.settings import SinkSettings
from pump.ops.commands.desk import CommandDesk
from pump.ops.commands.reception import MessageReception
from pump.runtime.supervisor import Supervisor
from pump.sink import Sink
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics

ANSWERED: Final = 1.0
"""Seconds that a stop leaves for answers that are still to be sent, and for each connection's end."""
ENDING: Final = 5.0
"""Seconds that a reload leaves for the same: commands are under way, and who asked waits for their results."""
_WAY: Final = "commands "
_SINK: Final = "sink "


class CommandWays:
    """The daemon's: each follows its sink, which is taken in, begins anew and is taken out. None runs before `open`."""

    def __init__(self, supervisor: Supervisor, *, site: str, clock: Clock, metrics: Metrics, health: Health) -> None:
        self._supervisor = supervisor
        self._site = site
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._desk: CommandDesk | None = None
        self._early: list[tuple[str, WayIn]] = []
        """Those that wait for the desk."""
        self._receptions: dict[str, MessageReception] = {}
        """By the part's name, of those that run."""

    @property
    def names(self) -> Collection[str]:
        """The parts' names; a view that goes with them."""
        return self._receptions.keys()

    def open(self, desk: CommandDesk) -> None:
        """Commands are taken from now on."""
        self._desk = desk
        early, self._early = self._early, []
        for name, way in early:
            self._run(name, way, desk)

    def take_in(self, name: str, kind: type[Sink[Any]], settings: SinkSettings, behind: Collection[str] = ()) -> None:
        """Run the way of this sink, where its settings ask for one; `behind` as for `LiveParts.run_sink`."""
        way = kind.way_in(name, settings, clock=self._clock, site=self._site)
        if way is None:
            self.forget(name)
        elif self._desk is None:
            self._early.append((name, way))
        else:
            self._run(name, way, self._desk, behind)

    async def end(self, name: str) -> bool:
        """Have what is in hand answered, and disconnect the way of this sink; False where it does not end."""
        part = _WAY + name
        reception = self._receptions.get(part)
        if reception is None:
            return True
        await reception.close(ENDING)
        ended = await self._supervisor.remove(part, deadline=ENDING)
        del self._receptions[part]  # not before: a stop that comes meanwhile closes it too
        return ended

    def forget(self, name: str) -> None:
        """The sink has no way any more: show none. Does nothing where it had none."""
        self._health.remove(_WAY + name)
        with suppress(KeyError):
            self._metrics.up.remove(_WAY + name)

    async def close(self) -> None:
        """Have what is in hand answered, and disconnect. The desk is to be closed before: then all has its result."""
        await asyncio.gather(*(one.close(ANSWERED) for one in self._receptions.values()))
        await self._supervisor.stop([*self._receptions], ANSWERED)

    def _run(self, name: str, way: WayIn, desk: CommandDesk, behind: Collection[str] = ()) -> None:
        component = self._health.component(_WAY + name)
        if component.state == "stopped":
            component.begin_anew()
        reception = MessageReception(name, desk, clock=self._clock, metrics=self._metrics)
        self._receptions[component.name] = reception
        # who has a sink's account has its way's too
        others = [*behind, *(_WAY + one.removeprefix(_SINK) for one in behind if one.startswith(_SINK))]
        self._supervisor.add(component.name, partial(way.run, reception, component.up), component, behind=others)
