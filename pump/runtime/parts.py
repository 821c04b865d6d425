"""The sources and sinks that run: added at the start, and ended and begun anew one by one, while the others run on."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final

from prometheus_client import Gauge

from pump.config import Config
from pump.core.naming import Names
from pump.core.settings import SinkSettings
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.delivery.timeouts import GRACE
from pump.ingest.intake import Intake
from pump.ingest.listening import Beat
from pump.ingest.push.listener import Route
from pump.runtime.announcer import Announcer
from pump.runtime.pictures import Pictures
from pump.runtime.supervisor import Supervisor
from pump.runtime.ways import CommandWays
from pump.sink import Sink
from pump.source import PushSource, Source
from pump.spool import Spool
from pump.telemetry.health import Component, Health
from pump.telemetry.metrics import Metrics

ENDING: Final = 5.0
"""Seconds that a part which is taken out has to end: a source once it is cancelled, a sink what it has in hand."""


class LiveParts:
    """The daemon's. The mappings stay the same objects, so that whoever was given one sees what runs now."""

    def __init__(
        self, spool: Spool, pictures: Pictures, supervisor: Supervisor, ways: CommandWays, *,
        sinks: dict[str, Delivery], site: str, metrics: Metrics, health: Health,
    ) -> None:  # fmt: skip
        """`sinks` is empty yet."""
        self.ways = ways
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
        self._beat = Beat(health.clock, spool.folder)
        self.announcer = Announcer(self.intake("pump"), spool, clock=health.clock, metrics=metrics)

    def intake(self, name: str) -> Intake:
        """One more intake of this name; the daemon's own is "pump"."""
        return Intake(
            name, spool=self._spool, site=self._site, clock=self._clock, metrics=self._metrics, health=self._health,
            media=self._pictures.media, beat=self._beat,
        )  # fmt: skip

    def routes(self, config: Config) -> list[Route]:
        """The sources that are pushed to, in the configuration's order."""
        running = ((self.sources[name], self.intakes[name]) for name in config.sources if name in self.sources)
        return [Route(source, intake) for source, intake in running if isinstance(source, PushSource)]

    # --- sources ----------------------------------------------------------------------------------------------------

    def place_source(self, name: str, source: Source[Any], ahead: timedelta) -> None:
        """Have pushes, commands and pictures go to it from now on, in the place of one of this name.

        It goes on with that one's intake, so that what a device is just sending is stored once whichever takes it; one
        of another type has its own. `ahead`: how far its devices' times may be ahead of their arrival and be believed.
        """
        names = Names(source.settings.named(), ahead)
        intake = self.intakes.get(name)
        if intake is None or type(self.sources[name]) is not type(source):
            if intake is not None:
                self.announcer.forget(intake)
            intake = self.intakes[name] = self.intake(name)
            self.announcer.carry(intake)
        intake.use_names(names)
        self.sources[name] = source
        self._pictures.know(name, intake, source.pictures())

    def run_source(self, name: str, behind: Collection[str] = ()) -> None:
        """Run it; where a part of its name was ended and has not, or one of `behind`, once that has."""
        source, intake = self.sources[name], self.intakes[name]
        _begin_anew(intake.component)
        self._supervisor.add(
            f"source {name}", partial(_run, source, intake), intake.component, down=intake.down, behind=behind
        )

    def withdraw_source(self, name: str) -> Intake:
        """Have nothing go to it any more; its intake."""
        del self.sources[name]
        self._pictures.forget(name)
        intake = self.intakes.pop(name)
        intake.tap.end("the source was taken out of the configuration")
        return intake

    async def end_source(self, name: str) -> bool:
        """Stop running it; False where it does not end. What it has stored stays, its place too."""
        return await self._supervisor.remove(f"source {name}", deadline=ENDING)

    async def forget_source(self, intake: Intake) -> None:
        """Store its last news, and show it no more."""
        await intake.flush()
        self.announcer.forget(intake)
        self._forget(intake.component.name, intake.name, self._metrics.last_activity, self._metrics.clock_offset)

    # --- sinks ------------------------------------------------------------------------------------------------------

    def run_sink(self, name: str, kind: type[Sink[Any]], settings: SinkSettings, behind: Collection[str] = ()) -> None:
        """Run it, as `run_source`, and its way in for commands; from its cursor on, if it ever had one.

        `Delivery.run` restarts the sink itself; the supervisor is there for a bug in it.
        """
        component = self._health.component(f"sink {name}")
        _begin_anew(component)
        around = Surroundings(
            self._spool, self._clock, self._metrics, self._site, *self.announcer.of_sinks,
            on_evicted=self.announcer.sink_evicted,
        )  # fmt: skip
        self.sinks[name] = delivery = Delivery(around, kind, name, settings, component)
        self._supervisor.add(component.name, delivery.run, component, behind=behind)
        self.ways.take_in(name, kind, settings, behind)

    async def end_sink(self, name: str) -> bool:
        """Stop running it, after the batch that it has in hand; False where it does not end. Its cursor stays."""
        self.sinks[name].stop(drain=False)
        await self._supervisor.let_end([f"sink {name}"], ENDING)
        return await self._supervisor.remove(f"sink {name}", deadline=ENDING + GRACE)

    def forget_sink(self, name: str) -> None:
        """Show it no more. Nothing is held for it; its cursor stays, for the day on which it is there again."""
        del self.sinks[name]
        self._forget(f"sink {name}", name, self._metrics.lag, self._metrics.sink_off)
        self.ways.forget(name)

    def hold_for(self, config: Config) -> None:
        """Have retention wait for the sinks of this configuration that hold, and for no others."""
        self._spool.set_holders({name: sink.hold for name, sink in config.sinks.items() if sink.enabled})

    def _forget(self, part: str, name: str, *gauges: Gauge) -> None:
        """Show a part no more: what a gauge says of it would be an alert for ever. Counters stay, as counters do."""
        self._health.remove(part)
        for gauge, label in ((self._metrics.up, part), *((gauge, name) for gauge in gauges)):
            with suppress(KeyError):
                gauge.remove(label)


async def _run(source: Source[Any], intake: Intake) -> None:
    intake.tap.begun()
    await source.run(intake)


def _begin_anew(component: Component) -> None:
    """Where its former part has ended; one that does not end is shown until it does."""
    if component.state == "stopped":
        component.begin_anew()
