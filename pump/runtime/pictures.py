"""All that the daemon does with pictures: their store, its upkeep, the fetcher of what is only linked, and /media."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pump.config import Config
from pump.config.model import MediaSettings
from pump.core.clock import Clock
from pump.ingest.evictions import Early
from pump.ingest.fetch.access import PictureAccess
from pump.ingest.fetch.fetcher import Fetcher, FetchLimits
from pump.ingest.intake import Intake
from pump.ops.media import MediaPages
from pump.runtime.build import media_of
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
        """By the name of their source."""
        self._access: dict[str, PictureAccess] = {}
        """The same: where each source's links may be fetched from."""
        tokens = [token.get_secret_value() for token in config.ops.tokens.values()]
        self.pages = MediaPages(self.media.folder, config.state_dir, self.media.threads, tokens)
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._health = health

    def know(self, name: str, intake: Intake, access: PictureAccess) -> None:
        """Fetch the source's links as it says, and have what becomes of them stored by its intake."""
        self.intakes[name] = intake
        self._access[name] = access

    def forget(self, name: str) -> None:
        """The source has gone; what waits of its links is asked for with no login."""
        self.intakes.pop(name, None)
        self._access.pop(name, None)

    async def adjust(self, config: Config, supervisor: Supervisor) -> None:
        """Keep and fetch by other settings from now on."""
        self._config, keep = config, config.media
        self.media.adjust(max_bytes=keep.max_bytes, retention=keep.retention)
        if self.fetcher is not None:
            self.fetcher.adjust(limits_of(keep))
            await supervisor.restart("media fetcher")

    def start(
        self, supervisor: Supervisor, spool: Spool, make: Callable[[str], Intake],
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
            lambda name: self.intakes.get(name) or self.intakes.setdefault(name, make(name)),
            self._access,
            limits=limits_of(keep),
            clock=self._clock,
            metrics=self._metrics,
            component=component,
        )
        supervisor.add(component.name, self.fetcher.run, component)

    async def _keep(self, on_evicted: Callable[[Early], object]) -> None:
        self._health.component("media").up()
        await self.media.run(on_evicted)


def limits_of(settings: MediaSettings) -> FetchLimits:
    """How much is fetched at a time, as [media] says."""
    return FetchLimits(settings.hosts, settings.per_host, settings.at_once, settings.max_file, settings.timeout)
