"""All that the daemon does with pictures: their store, its upkeep, the fetcher of what is only linked, and /media."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pump.config import Config
from pump.core.clock import Clock
from pump.ingest.evictions import Early
from pump.ingest.fetch.fetcher import Fetcher, FetchLimits
from pump.ingest.intake import Intake
from pump.ops.media import MediaPages
from pump.runtime.build import Parts, media_of
from pump.runtime.supervisor import Supervisor
from pump.spool import Spool
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics


class Pictures:
    """The daemon's. Makes nothing on disk before `start`."""

    def __init__(self, config: Config, *, clock: Clock, metrics: Metrics, health: Health) -> None:
        self.media = media_of(config.media, clock, metrics)
        self.fetcher: Fetcher | None = None
        """None before the start, and without `[media] fetch`."""
        self.intakes: dict[str, Intake] = {}
        """By the name of their source; the daemon adds each."""
        tokens = [token.get_secret_value() for token in config.ops.tokens.values()]
        self.pages = MediaPages(self.media.folder, config.state_dir, self.media.threads, tokens)
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._health = health

    def start(
        self, supervisor: Supervisor, spool: Spool, parts: Parts, make: Callable[[str, Spool], Intake],
        on_evicted: Callable[[Early], object],
    ) -> None:  # fmt: skip
        """Have the supervisor run them; before there is an event, so that no link is left out.

        `make` makes the intake of a source that is not configured any more, whose links still wait; `on_evicted` is
        called with what went early.
        """
        component = self._health.component("media")
        supervisor.add(component.name, partial(self._keep, on_evicted), component)
        keep = self._config.media
        if not keep.fetch:
            return
        component = self._health.component("media fetcher")
        self.fetcher = Fetcher(
            spool,
            self.media,
            lambda name: self.intakes.get(name) or self.intakes.setdefault(name, make(name, spool)),
            {name: source.pictures() for name, source in parts.sources.items()},
            limits=FetchLimits(keep.hosts, keep.per_host, keep.at_once, keep.max_file, keep.timeout),
            clock=self._clock,
            metrics=self._metrics,
            component=component,
        )
        supervisor.add(component.name, self.fetcher.run, component)

    async def _keep(self, on_evicted: Callable[[Early], object]) -> None:
        self._health.component("media").up()
        await self.media.run(on_evicted)
