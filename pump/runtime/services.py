"""The ways into the daemon: the ops listener, the push listener, the control socket, and commands to devices."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog

from pump.config import Config
from pump.config.model import RESERVED
from pump.ingest.intake import Intake
from pump.ingest.push.listener import PushListener, Route
from pump.ops.accept import Accept
from pump.ops.backfill import Backfill
from pump.ops.commands.calls import RawCalls
from pump.ops.commands.desk import CommandDesk
from pump.ops.commands.socket import CommandSocket
from pump.ops.control import Control, Handler
from pump.ops.http import Views
from pump.ops.page.behind import Behind
from pump.ops.record import Recorder
from pump.ops.resend import Resend
from pump.ops.restart import Restart
from pump.ops.subscribe import Subscribe
from pump.runtime.build import control_of
from pump.runtime.descriptors import bounded, soft_limit
from pump.runtime.ops import OpsListener
from pump.runtime.parts import LiveParts
from pump.runtime.pictures import Pictures
from pump.runtime.status import Status
from pump.runtime.supervisor import Supervisor
from pump.runtime.systemd.sockets import PUSH, inherited
from pump.spool import Spool
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()


class Services:
    """The daemon's, each opened in its turn. What a reload changes of them is changed under the connections there."""

    def __init__(
        self, supervisor: Supervisor, *, spool: Callable[[], Spool | None], status: Status, pictures: Pictures,
        health: Health, metrics: Metrics,
    ) -> None:  # fmt: skip
        self.desk: CommandDesk | None = None
        """None until commands to devices are taken."""
        self._supervisor = supervisor
        self._spool = spool
        self._status = status
        self._pictures = pictures
        self._health = health
        self._clock = health.clock
        self._metrics = metrics
        self._ops: OpsListener | None = None
        self._push: PushListener | None = None
        self._control: Control | None = None
        self._own: Intake | None = None
        """Of the daemon's own events, among them what belongs to no source."""
        self._calls: RawCalls | None = None
        self._commands: Mapping[str, Handler] = {}
        """Those of the control socket, whether it is open or not."""
        self._sockets = inherited()
        for name in self._sockets.keys() - {PUSH}:
            log.warning("A socket of the service manager is not used: name it FileDescriptorName=push", name=name)

    @property
    def ops_url(self) -> str:
        """Where the ops listener answers; empty until it does."""
        return "" if self._ops is None else self._ops.url

    @property
    def push_url(self) -> str:
        """Where devices push to; empty until they may."""
        return "" if self._push is None else self._push.url

    async def open_ops(self, config: Config) -> None:
        """Answer operators and probes. OSError where that cannot be."""
        status, media = self._status, self._pictures.pages
        metrics = self._metrics
        views = Views(
            status.sick, status.unready, status.whole, status.refresh, metrics.registry, media,
            closed=lambda reason: metrics.ops_closed.labels(reason).inc(),
        )  # fmt: skip
        behind = Behind(
            config, self._clock, status.whole, status.troubles, spool=self._spool,
            desk=lambda: self.desk, intake=lambda: self._own, commands=lambda: self._commands,
        )  # fmt: skip
        ops = OpsListener(behind, views)
        await ops.open()
        self._ops = ops

    async def open_push(self, config: Config, routes: Sequence[Route], *, wanted: bool = False) -> None:
        """Answer devices from here on, where a source wants it, or one is about to (`wanted`); or, where they are
        answered, by these sources from the next request on. OSError where that cannot be."""
        if self._push is not None:
            self._push.swap(routes)
        elif routes or wanted:
            settings = bounded(config.server, soft_limit())
            listener = PushListener(settings, clock=self._clock, registry=self._metrics.registry)
            listener.swap(routes)
            await listener.open(self._sockets.pop(PUSH, ()))
            self._push = listener
            self._add_up("push listener", listener.run)

    async def open_commands(
        self, config: Config, parts: LiveParts, spool: Spool, others: Mapping[str, Handler]
    ) -> None:
        """Take commands, to devices and to the daemon; `others` are those of whom this knows nothing."""
        control = control_of(config, os.environ)
        sources, sinks = parts.sources, parts.sinks
        own = self._own = parts.intake(RESERVED)
        desk = self.desk = CommandDesk(
            config.commands, sources, parts.intakes, own, clock=self._clock, metrics=self._metrics
        )
        calls = self._calls = RawCalls(desk, config.commands, sources, sinks)
        self._add_up("commands", desk.run)
        parts.ways.open(desk)
        for commands in (
            Resend(spool, sinks, self._clock, self._metrics),
            Subscribe(sources),
            Backfill(sources, self._clock),
            Restart(sources, sinks, self._supervisor.restart, parts.ways.names),
            Accept(parts.intakes),
            Recorder(sources, parts.intakes, self._supervisor.restart, self._clock),
            CommandSocket(desk),
            calls,
        ):
            control.commands |= commands.commands()
        control.commands |= {"status": self._status.show, **others}
        self._commands = control.commands
        try:
            await control.open()
        except OSError as error:  # a file system without sockets: events matter more than commands
            log.error("The control socket cannot be opened; dead letters and replays wait", error=str(error))
            return
        self._control = control

    def use(self, config: Config) -> None:
        """Another configuration runs from now on."""
        if self._ops is not None:
            self._ops.use(config)

    def adjust(self, config: Config) -> None:
        """Go by other settings from now on, as far as a daemon that runs can: see `pump.config.changes`."""
        if self._ops is not None:
            self._ops.adjust(config)
        if self.desk is not None:
            self.desk.adjust(config.commands)
        if self._calls is not None:
            self._calls.adjust(config.commands)
        if self._push is not None:
            self._push.adjust(bounded(config.server, soft_limit()))
            self._push.reload_certificate()

    async def take_no_more(self) -> None:
        """Close the ways in: what is in hand is stored and answered."""
        await self.close_control()
        await self.close_push()
        if self.desk is not None:
            await self.desk.close()

    async def close_control(self) -> None:
        """Close the control socket; again it does nothing."""
        if self._control is not None:
            await self._control.close()

    async def close_push(self) -> None:
        """Close the push listener; again it does nothing."""
        if self._push is not None:
            await self._push.close()

    async def close_ops(self) -> None:
        """Close the ops listener."""
        if self._ops is not None:
            await self._ops.close()

    def _add_up(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A part of the daemon's own that is up as soon as it is there."""
        component = self._health.component(name)
        self._supervisor.add(name, run, component)
        component.up()
