"""The ways into the daemon: the ops listener, the push listener, the control socket, and commands to devices."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog

from pump.config import Config
from pump.ingest.push.listener import PushListener, Route
from pump.ops.accept import Accept
from pump.ops.backfill import Backfill
from pump.ops.commands.desk import CommandDesk
from pump.ops.commands.socket import CommandSocket
from pump.ops.commands.web import CommandPage
from pump.ops.control import Control, Handler
from pump.ops.http import Ops, Views
from pump.ops.resend import Resend
from pump.ops.restart import Restart
from pump.ops.subscribe import Subscribe
from pump.runtime.build import control_of
from pump.runtime.descriptors import bounded, soft_limit
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
        self, config: Config, supervisor: Supervisor, *, status: Status, pictures: Pictures, health: Health,
        metrics: Metrics,
    ) -> None:  # fmt: skip
        self.desk: CommandDesk | None = None
        """None until commands to devices are taken."""
        self._supervisor = supervisor
        self._status = status
        self._pictures = pictures
        self._health = health
        self._clock = health.clock
        self._metrics = metrics
        self._page = CommandPage(lambda: self.desk, config.ops.tokens)
        self._ops: Ops | None = None
        self._push: PushListener | None = None
        self._control: Control | None = None
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
        status, listen = self._status, config.ops.listen
        views = Views(
            status.sick, status.unready, status.body, status.refresh, self._metrics.registry, self._pictures.pages
        )
        ops = Ops(listen.host, listen.port, views, self._page.pages())
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
        desk = self.desk = CommandDesk(
            config.commands, sources, parts.intakes, parts.intake("pump"), clock=self._clock, metrics=self._metrics
        )
        self._add_up("commands", desk.run)
        for commands in (
            Resend(spool, sinks, self._clock, self._metrics),
            Subscribe(sources),
            Backfill(sources, self._clock),
            Restart(sources, sinks, self._supervisor.restart),
            Accept(parts.intakes),
            CommandSocket(desk),
        ):
            control.commands |= commands.commands()
        control.commands |= {"status": self._status.show, **others}
        try:
            await control.open()
        except OSError as error:  # a file system without sockets: events matter more than commands
            log.error("The control socket cannot be opened; dead letters and replays wait", error=str(error))
            return
        self._control = control

    def adjust(self, config: Config) -> None:
        """Go by other settings from now on, as far as a daemon that runs can: see `pump.config.changes`."""
        self._page.use_tokens(config.ops.tokens)
        self._pictures.pages.use_tokens(token.get_secret_value() for token in config.ops.tokens.values())
        if self.desk is not None:
            self.desk.adjust(config.commands)
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
