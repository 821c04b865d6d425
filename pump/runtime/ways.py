"""The ways in for commands that sinks' peers offer: parts of the daemon, between those peers and the desk."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, Final

from pump.config import Config
from pump.core.clock import Clock
from pump.ops.commands.desk import CommandDesk
from pump.ops.commands.reception import MessageReception
from pump.runtime.supervisor import Supervisor
from pump.sink import Sink
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics

ANSWERED: Final = 1.0
"""Seconds that a stop leaves for answers that are still to be sent, and for each connection's end."""


class CommandWays:
    """The daemon's. Makes nothing before `start`."""

    def __init__(
        self, config: Config, supervisor: Supervisor, *, clock: Clock, metrics: Metrics, health: Health
    ) -> None:
        self._config = config
        self._supervisor = supervisor
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._receptions: dict[str, MessageReception] = {}
        """By the part's name."""

    @property
    def names(self) -> Collection[str]:
        """The parts' names; a view that grows with them."""
        return self._receptions.keys()

    def start(self, sinks: Mapping[str, type[Sink[Any]]], desk: CommandDesk) -> None:
        """Have the supervisor run those that the settings ask for."""
        for name, kind in sinks.items():
            way = kind.way_in(name, self._config.sinks[name], clock=self._clock, site=self._config.site)
            if way is None:
                continue
            component = self._health.component(f"commands {name}")
            reception = MessageReception(name, desk, clock=self._clock, metrics=self._metrics)
            self._receptions[component.name] = reception
            self._supervisor.add(component.name, partial(way.run, reception, component.up), component)

    async def close(self) -> None:
        """Have what is in hand answered, and disconnect. The desk is to be closed before: then all has its result."""
        await asyncio.gather(*(one.close(ANSWERED) for one in self._receptions.values()))
        await self._supervisor.stop([*self._receptions], ANSWERED)
