"""The sources and sinks that run: added at the start, and one by one replaced and removed while the others run on."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final

from pump.config import Config
from pump.core.naming import Names
from pump.core.settings import SinkSettings
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.ingest.intake import Intake
from pump.ingest.push.listener import Route
from pump.runtime.announcer import Announcer
from pump.runtime.pictures import Pictures
from pump.runtime.supervisor import Supervisor
from pump.sink import Sink
from pump.source import PushSource, Source
from pump.spool import Spool
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics

ENDING: Final = 5.0
"""Seconds that a part which is taken out has to end what it has in hand, and as long again once it is cancelled."""


class LiveParts:
    """The daemon's. The mappings stay the same objects, so that whoever was given one sees what runs now."""

    def __init__(
        self, spool: Spool, pictures: Pictures, supervisor: Supervisor, *, sinks: dict[str, Delivery], site: str,
        metrics: Metrics, health: Health,
    ) -> None:  # fmt: skip
        """`sinks` is empty yet."""
        self.sources: dict[str, Source[Any]] = {}
        self.sinks = sinks
        self.intakes: dict[str, Intake] = {}
        """Of the sources that run."""
        self._spool = spool
        self._pictures = pictures
        self._supervisor = supervisor
        self._site = site
        self._clock = health.clock
        self._metrics = metrics
        self._health = health
        self.announcer = Announcer(self.intake("pump"), spool, clock=health.clock, metrics=metrics)

    def intake(self, name: str, names: Names | None = None) -> Intake:
        """One more intake of this name; the daemon's own is "pump"."""
        return Intake(
            name, spool=self._spool, site=self._site, clock=self._clock, metrics=self._metrics, health=self._health,
            media=self._pictures.media, names=names,
        )  # fmt: skip

    def routes(self, config: Config) -> list[Route]:
        """The sources that are pushed to, in the configuration's order."""
        running = ((self.sources[name], self.intakes[name]) for name in config.sources if name in self.sources)
        return [Route(source, intake) for source, intake in running if isinstance(source, PushSource)]

    # --- sources ----------------------------------------------------------------------------------------------------

    def add_source(self, name: str, source: Source[Any], ahead: timedelta) -> None:
        """Run it; `ahead`: how far its devices' times may be ahead of their arrival and still be believed."""
        intake = self.intake(name, Names(source.settings.named(), ahead))
        self.announcer.carry(intake)
        self.intakes[name] = intake
        self.sources[name] = source
        self._pictures.know(name, intake, source.pictures())
        self._supervisor.add(f"source {name}", partial(source.run, intake), intake.component, down=intake.down)

    async def replace_source(self, name: str, source: Source[Any], ahead: timedelta) -> bool:
        """Run it in the place of the one of this name: on that one's state, and with its intake, so that what a device
        is just sending is stored once whichever takes it. False where that one does not end: it begins once it does."""
        intake = self.intakes[name]
        intake.use_names(Names(source.settings.named(), ahead))
        self.sources[name] = source
        self._pictures.know(name, intake, source.pictures())
        run = partial(source.run, intake)
        return await self._supervisor.replace(
            f"source {name}", run, intake.component, deadline=ENDING, down=intake.down
        )

    async def remove_source(self, name: str) -> bool:
        """Stop it, and show it no more; False where it does not end. What it has stored stays, its place too."""
        del self.sources[name]
        intake = self.intakes.pop(name)
        ended = await self._supervisor.remove(f"source {name}", deadline=ENDING)
        await intake.flush()
        self.announcer.forget(intake)
        self._pictures.forget(name)
        self._forget(intake.component.name)
        return ended

    # --- sinks ------------------------------------------------------------------------------------------------------

    def add_sink(self, name: str, kind: type[Sink[Any]], settings: SinkSettings) -> None:
        """Run it. `Delivery.run` restarts the sink itself; the supervisor is there for a bug in it."""
        self.sinks[name] = delivery = self._delivery(name, kind, settings)
        component = self._health.component(f"sink {name}")
        self._supervisor.add(component.name, delivery.run, component)

    async def replace_sink(self, name: str, kind: type[Sink[Any]], settings: SinkSettings) -> bool:
        """Run it in the place of the one of this name, from that one's cursor on, which ends with the batch that it has
        in hand. False where that one does not end: it begins once it does."""
        await self._let_go(name)
        self.sinks[name] = delivery = self._delivery(name, kind, settings)
        component = self._health.component(f"sink {name}")
        return await self._supervisor.replace(component.name, delivery.run, component, deadline=ENDING)

    async def remove_sink(self, name: str) -> bool:
        """Stop it after the batch in hand, and show it no more; False where it does not end.

        Its cursor stays, for the day on which it is there again; nothing is held for it meanwhile.
        """
        await self._let_go(name)
        del self.sinks[name]
        ended = await self._supervisor.remove(f"sink {name}", deadline=ENDING)
        with suppress(KeyError):
            self._metrics.lag.remove(name)
        self._forget(f"sink {name}")
        return ended

    def hold_for(self, config: Config) -> None:
        """Have retention wait for the sinks of this configuration that hold, and for no others."""
        self._spool.set_holders({name: sink.hold for name, sink in config.sinks.items() if sink.enabled})

    def _delivery(self, name: str, kind: type[Sink[Any]], settings: SinkSettings) -> Delivery:
        announcer = self.announcer
        around = Surroundings(
            self._spool, self._clock, self._metrics, self._site, *announcer.of_sinks,
            on_evicted=announcer.sink_evicted,
        )  # fmt: skip
        return Delivery(around, kind, name, settings, self._health.component(f"sink {name}"))

    async def _let_go(self, name: str) -> None:
        self.sinks[name].stop(drain=False)
        await self._supervisor.let_end([f"sink {name}"], ENDING)

    def _forget(self, part: str) -> None:
        """Show a part no more."""
        self._health.remove(part)
        with suppress(KeyError):
            self._metrics.up.remove(part)
