"""The composition root: builds the parts that the configuration names, starts them, and stops them in order."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

import structlog
from anyio import CancelScope, move_on_after

import pump
from pump import registry
from pump.config import Config
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.naming import Names
from pump.core.tasks import first_of, wait_for
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.ingest.intake import Intake
from pump.ingest.push.listener import PushListener, Route
from pump.ops.accept import Accept
from pump.ops.backfill import Backfill
from pump.ops.commands.calls import RawCalls
from pump.ops.commands.desk import CommandDesk
from pump.ops.commands.socket import CommandSocket
from pump.ops.control import Control, Handler
from pump.ops.http import Ops, Views
from pump.ops.page.behind import Behind
from pump.ops.resend import Resend
from pump.ops.restart import Restart
from pump.ops.subscribe import Subscribe
from pump.registry import Registry
from pump.runtime.announcer import Announcer, note_run
from pump.runtime.build import NoStart, Parts, build_usable, control_of
from pump.runtime.descriptors import Lack, bounded, soft_limit
from pump.runtime.lock import FolderLock, Locked
from pump.runtime.numbering import qualify
from pump.runtime.ops import ops_of
from pump.runtime.pictures import Pictures
from pump.runtime.sd_notify import Notifier
from pump.runtime.signals import take_over
from pump.runtime.status import Status
from pump.runtime.supervisor import Supervisor
from pump.runtime.tuning import prepare_process, tuned
from pump.runtime.watchdog import Watch
from pump.runtime.ways import CommandWays
from pump.sink import Sink
from pump.source import PushSource, Source
from pump.spool import Spool
from pump.telemetry.health import Health, HealthCollector
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

STOPPED, FAILED, MISCONFIGURED = 0, 1, 78
"""Exit statuses."""

# A stop, in seconds; together less than WHOLE, which is less than what systemd grants and the 40 s that users rely on.
STARTING: Final = 5.0  # a start that is under way ends
TAKING: Final = 5.0  # sources end what they have in hand
DRAINING: Final = 10.0  # sinks catch up with the spool
LEAVING: Final = 5.0  # sinks close what they have open
CLOSING: Final = 8.0  # the spool stores cursors and closes
WHOLE: Final = 38.0
HURRIED: Final = 1.0  # each part's time after a second signal
EXITING: Final = 3.0  # the interpreter's own end; a hung thread would hold it up for ever


class Daemon:
    """One pump: `await Daemon(config).run()`. Runs once."""

    def __init__(self, config: Config, *, clock: Clock | None = None, kinds: Registry = registry.DEFAULT) -> None:
        """`kinds` is where sources and sinks of a type are looked for."""
        self.config = config
        self.clock = clock if clock is not None else Clock()
        self.metrics = Metrics()
        self.health = Health(self.clock)
        self.metrics.registry.register(HealthCollector(self.health))
        self.supervisor = Supervisor(clock=self.clock, metrics=self.metrics)
        self.sinks: dict[str, Delivery] = {}
        self.status = Status(
            config, self.sinks, spool=lambda: self._spool, phase=lambda: self._phase, clock=self.clock,
            health=self.health, metrics=self.metrics, media=lambda: self.media.figures(),
        )  # fmt: skip
        self.pictures = Pictures(config, clock=self.clock, metrics=self.metrics, health=self.health)
        self.media = self.pictures.media
        self.ready = asyncio.Event()
        """Set once every part had its first start."""
        self.ops_url = ""
        """The URL of the ops listener, once it answers."""
        self.push_url = ""
        """The URL that devices push to, once they may; stays empty without a source that is pushed to."""
        self._kinds = kinds
        self._notifier = Notifier()
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()
        self._code = FAILED
        self._phase = "it is starting"
        self._spool: Spool | None = None
        self._ops: Ops | None = None
        self._push: PushListener | None = None
        self._routes: list[Route] = []
        self._intakes: dict[str, Intake] = {}
        """Of the sources."""
        self._control: Control | None = None
        self._announcer: Announcer | None = None
        self._desk: CommandDesk | None = None
        self._ways = CommandWays(
            config, self.supervisor, clock=self.clock, metrics=self.metrics, health=self.health
        )  # fmt: skip
        self._own: Intake | None = None
        self._commands: Mapping[str, Handler] = {}

    @property
    def spool(self) -> Spool:
        """The open spool. RuntimeError before it is open."""
        if self._spool is None:
            raise RuntimeError("the spool is not open yet")
        return self._spool

    def stop(self) -> None:
        """Ask for the stop: in order, within 40 s. Asked again, what is still under way is cut short."""
        if self._asked.is_set():
            self._hurried.set()
        self._asked.set()

    async def run(self, *, signals: bool = True) -> int:
        """Run until asked to stop; the exit status: 0 stopped as asked, 78 configuration, 1 anything else.

        `signals`: the process is the daemon's own. SIGTERM and SIGINT ask for the stop, SIGHUP is heard, and the
        process ends at the stop's deadline, at the latest 3 s after this returned, even where a thread hangs.
        Without it the caller asks with `stop` and waits for `ready` or the end of this, whichever comes first; a
        part that cannot be stopped is left behind, named in the log.
        """
        last = None
        if signals:
            last = take_over(self._on_stop_signal, _on_reload_signal, within=WHOLE, code=lambda: self._code)
            prepare_process()
        try:
            asyncio.get_running_loop().set_exception_handler(Lack(self.clock))
            with tuned():
                self._code = await self._run(keep_lock=signals)
            log.info("The pump has stopped", code=self._code)
        finally:
            if last is not None:
                last.arm(EXITING)
        return self._code

    def _on_stop_signal(self, name: str) -> None:
        log.info("Stopping at once" if self._asked.is_set() else "Stopping", signal=name)
        self.stop()

    # --- the whole life ---------------------------------------------------------------------------------------------

    async def _run(self, *, keep_lock: bool) -> int:
        try:
            parts = build_usable(self.config, self._kinds, self.clock)
        except NoStart as error:
            return MISCONFIGURED if error.misconfigured else FAILED
        try:
            self.config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # vendors' tokens lie there
            lock = FolderLock(self.config.state_dir)
            lock.acquire()
        except Locked as error:
            log.error("Another daemon runs with this state directory", reason=str(error), pid=error.pid)
            return FAILED
        except OSError as error:
            log.error("The state directory cannot be used", error=str(error))
            return FAILED
        try:
            return await self._live(parts)
        finally:
            if not keep_lock:  # else the process's end releases it: a thread left behind may write until then
                lock.release()

    async def _live(self, parts: Parts) -> int:
        clean = False
        try:
            await self._begin(parts)
            if self._spool is not None:
                await first_of(self._asked.wait(), self._spool.failed.wait())
                await first_of(self._stop_in_order(), self._hurried.wait(), self._spool.failed.wait())
        except NoStart:
            return FAILED
        finally:
            with CancelScope(shield=True):
                clean = await self._end()
        return STOPPED if clean else FAILED

    async def _begin(self, parts: Parts) -> None:
        """Start; where the stop is asked for meanwhile, finish the start first if that is quick."""
        starting = asyncio.create_task(self._start(parts), name="start")
        try:
            await first_of(asyncio.wait({starting}), self._asked.wait())
        finally:
            # Cancelled in their middle, openings leave half-open files and sockets behind. Only the repair of a
            # damaged spool takes long, and that may be cut off: the next start begins it anew.
            if not await wait_for({starting}, STARTING, self.clock):
                starting.cancel()
                await asyncio.wait({starting})
        if not starting.cancelled():
            starting.result()

    # --- start ------------------------------------------------------------------------------------------------------

    async def _start(self, parts: Parts) -> None:
        await self._listen()
        spool = await self._open_spool()
        spool.set_holders({name: self.config.sinks[name].hold for name in parts.sinks})  # news of a full one names it
        qualify(parts.sources, self.config, spool)
        announcer = await self._begin_telling(spool, parts)
        watch = Watch(spool, clock=self.clock, health=self.health, status=self.status, notifier=self._notifier)
        self.supervisor.add("watch", watch.run, self.health.component("watch"))
        self.supervisor.add("spool probe", watch.probe, self.health.component("spool"))
        self.pictures.start(self.supervisor, spool, parts, self._intake, announcer.media_evicted)
        for name, kind in parts.sinks.items():
            self._add_sink(name, kind, spool, announcer)
        for name, source in parts.sources.items():
            self._add_source(name, source, spool, announcer)
        await self._take_pushes()
        await self._take_commands(spool, parts)
        await self.supervisor.started()
        # What start-up made stays for ever: the collector need not walk through it (docs/measurements.md).
        gc.collect()
        gc.freeze()
        self._phase = ""
        self.ready.set()
        self._notifier.ready(f"{len(parts.sources)} sources, {len(parts.sinks)} sinks")
        log.info(
            "The pump runs", version=pump.__version__, sources=[*parts.sources], sinks=[*parts.sinks], ops=self.ops_url
        )

    async def _listen(self) -> None:
        status, media = self.status, self.pictures.pages
        views = Views(status.sick, status.unready, status.body, status.refresh, self.metrics.registry, media)
        behind = Behind(
            self.config, self.clock, status.body, lambda: status.sick() + status.unready(), spool=lambda: self._spool,
            desk=lambda: self._desk, intake=lambda: self._own, commands=lambda: self._commands,
        )  # fmt: skip
        try:
            ops = ops_of(behind, views)
            await ops.open()
        except OSError as error:
            log.error("The ops listener cannot listen", address=str(self.config.ops.listen), error=str(error))
            raise NoStart from error
        self._ops, self.ops_url = ops, ops.url

    async def _take_pushes(self) -> None:
        """Open the push listener, where a source wants it: last of all, for from here on devices are answered."""
        if not self._routes:
            return
        settings = bounded(self.config.server, soft_limit())
        listener = PushListener(settings, clock=self.clock, registry=self.metrics.registry)
        listener.swap(self._routes)
        try:
            await listener.open()
        except OSError as error:
            log.error("The push listener cannot listen", address=str(settings.listen), error=str(error))
            raise NoStart from error
        self._push, self.push_url = listener, listener.url
        self._add_up("push listener", listener.run)

    async def _take_commands(self, spool: Spool, parts: Parts) -> None:
        """Open the control socket; whatever else can be commanded adds itself to `commands`."""
        control = control_of(self.config, os.environ)
        control.commands |= Resend(spool, self.sinks, self.clock, self.metrics).commands()
        control.commands |= Subscribe(parts.sources).commands() | Backfill(parts.sources, self.clock).commands()
        again = self.supervisor.restart
        control.commands |= Restart(parts.sources, self.sinks, again, self._ways.names).commands()
        control.commands |= Accept(self._intakes).commands()
        self._own = self._intake("pump", spool)
        desk = self._desk = CommandDesk(
            self.config.commands, parts.sources, self._intakes, self._own,
            clock=self.clock, metrics=self.metrics,
        )  # fmt: skip
        self._add_up("commands", desk.run)
        self._ways.start(parts.sinks, desk)
        control.commands |= {"status": self.status.show, **CommandSocket(desk).commands()}
        control.commands |= RawCalls(desk, self.config.commands, parts.sources, self.sinks).commands()
        self._commands = control.commands
        try:
            await control.open()
        except OSError as error:  # a file system without sockets: events matter more than commands
            log.error("The control socket cannot be opened; dead letters and replays wait", error=str(error))
            return
        self._control = control

    async def _open_spool(self) -> Spool:
        config = self.config
        try:
            spool = await Spool.open(config.state_dir, config.spool, clock=self.clock, metrics=self.metrics)
        except (OSError, ValueError, sqlite3.Error) as error:
            log.error("The spool cannot be opened", error=str(error))
            raise NoStart from error
        self._spool = spool
        self.health.component("spool").up()
        return spool

    async def _begin_telling(self, spool: Spool, parts: Parts) -> Announcer:
        """Start the daemon's own events with what this start knows of the last run."""
        announcer = self._announcer = Announcer(
            self._intake("pump", spool), spool, clock=self.clock, metrics=self.metrics
        )
        announcer.started([*parts.sources], [*parts.sinks])
        self._add_up("announcer", announcer.run)
        try:
            await spool.flush()  # from here on an end without a word is known as one
        except Unavailable as error:
            log.warning("The start could not be noted; the spool refuses", reason=error.reason)
        return announcer

    def _add_up(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A part of the daemon's own that is up as soon as it is there."""
        component = self.health.component(name)
        self.supervisor.add(name, run, component)
        component.up()

    def _intake(self, name: str, spool: Spool, names: Names | None = None) -> Intake:
        return Intake(
            name, spool=spool, site=self.config.site, clock=self.clock, metrics=self.metrics, health=self.health,
            media=self.media, names=names,
        )  # fmt: skip

    def _add_source(self, name: str, source: Source[Any], spool: Spool, announcer: Announcer) -> None:
        intake = self._intake(name, spool, Names(source.settings.named(), self.config.clock_ahead))
        self.pictures.intakes[name] = intake
        announcer.carry(intake)
        self._intakes[name] = intake
        if isinstance(source, PushSource):
            self._routes.append(Route(source, intake))
        self.supervisor.add(f"source {name}", partial(source.run, intake), intake.component, down=intake.down)

    def _add_sink(self, name: str, kind: type[Sink[Any]], spool: Spool, announcer: Announcer) -> None:
        """`run` restarts the sink itself; the supervisor is there for a bug in it."""
        component = self.health.component(f"sink {name}")
        around = Surroundings(
            spool, self.clock, self.metrics, self.config.site, *announcer.of_sinks, on_evicted=announcer.sink_evicted
        )
        self.sinks[name] = delivery = Delivery(around, kind, name, self.config.sinks[name], component)
        self.supervisor.add(component.name, delivery.run, component)

    # --- stop -------------------------------------------------------------------------------------------------------

    async def _stop_in_order(self) -> None:
        """Stop taking, drain, close; who is late is named. Cut short by a cancellation at any point.

        Parts are the supervisor's, which can leave a stuck one behind and name it; last words have a scope.
        """
        self._notifier.stopping("draining")
        self._phase = "it is stopping"
        if self._announcer is not None:
            self._announcer.stopping()
        if self._control is not None:
            await self._control.close()
        if self._push is not None:
            await self._push.close()  # what is in hand is stored and answered; nothing new is taken
        if self._desk is not None:
            await self._desk.close()
        # The fetcher puts events too; what it leaves it finds again.
        taking = self.supervisor.stop([*self._named("source "), *self._named("media fetcher")], TAKING)
        await asyncio.gather(taking, self._ways.close())
        await self.supervisor.stop(["announcer"], HURRIED)
        if self._announcer is not None:
            with move_on_after(HURRIED, shield=True):
                await self._announcer.flush()
        for delivery in self.sinks.values():
            delivery.stop()
        if late := await self.supervisor.let_end(self._named("sink "), DRAINING):
            log.warning("Sinks have not had everything and go on from there at the next start", parts=late)
        await self.supervisor.stop(self._named("sink "), LEAVING)

    async def _end(self) -> bool:
        """Close whatever is open; True where the spool was closed with everything in it, or never opened.

        Shielded: a cancelled scope around the daemon would cut each await short. Each has a deadline instead.
        """
        if self._control is not None:
            await self._control.close()
        await self.supervisor.stop(self.supervisor.names, HURRIED)
        if self._push is not None:
            await self._push.close()
        if self._ops is not None:
            await self._ops.close()
        if self._spool is None:
            return True
        with move_on_after(CLOSING, shield=True):
            return await _close(self._spool, asked=self._asked.is_set())
        log.error("The spool has not closed by its deadline", deadline_s=CLOSING)
        return False

    def _named(self, prefix: str) -> list[str]:
        return [name for name in self.supervisor.names if name.startswith(prefix)]


def _on_reload_signal() -> None:
    log.warning("Reloading is not supported yet: restart to apply a change")


async def _close(spool: Spool, *, asked: bool) -> bool:
    """True where everything is in it; `asked`: this run ends as it was asked to."""
    clean = not spool.failed.is_set()
    if clean:
        note_run(spool, clean=asked)
        try:
            await spool.flush()
        except Unavailable as error:
            log.error("The cursors could not be stored", reason=error.reason)
            clean = False
    await spool.close()
    return clean and not spool.failed.is_set()
