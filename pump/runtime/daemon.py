"""The composition root: builds the parts that the configuration names, starts them, and stops them in order."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from typing import Final

import structlog
from anyio import CancelScope, move_on_after
from anyio.lowlevel import checkpoint

import pump
from pump import registry
from pump.config import Config
from pump.config.changes import digests
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.failure import scarcity
from pump.core.tasks import first_of, wait_for
from pump.delivery.delivery import Delivery
from pump.registry import Registry
from pump.runtime.announcer import Announcer, note_run
from pump.runtime.build import FAILED, NoStart, Parts, build_usable
from pump.runtime.descriptors import Lack
from pump.runtime.lock import FolderLock, Locked
from pump.runtime.numbering import qualify
from pump.runtime.parts import LiveParts
from pump.runtime.pictures import Pictures
from pump.runtime.reload import Reload, Running
from pump.runtime.services import Services
from pump.runtime.signals import take_over
from pump.runtime.status import Status
from pump.runtime.supervisor import Supervisor
from pump.runtime.systemd.more_time import more_time
from pump.runtime.systemd.notify import Notifier
from pump.runtime.systemd.progress import Progress
from pump.runtime.systemd.watchdog import Watch
from pump.runtime.tuning import prepare_process, tuned
from pump.runtime.ways import CommandWays
from pump.spool import NewerSpool, Spool, not_opened
from pump.spool.folder import make
from pump.telemetry.health import Health, HealthCollector
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

STOPPED: Final = 0
"""The exit status of a stop as asked."""

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
        self.services = Services(
            self.supervisor, spool=lambda: self._spool, status=self.status, pictures=self.pictures,
            health=self.health, metrics=self.metrics,
        )  # fmt: skip
        self._kinds = kinds
        self._notifier = Notifier()
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()
        self._code = FAILED
        self._phase = "it is starting"
        self._spool: Spool | None = None
        self._announcer: Announcer | None = None
        self._ways = CommandWays(
            self.supervisor, site=config.site, clock=self.clock, metrics=self.metrics, health=self.health
        )  # fmt: skip
        self._reload: Reload | None = None
        self._reload_asked = False
        """By a signal that came before it could be done."""

    @property
    def ops_url(self) -> str:
        """The URL of the ops listener, once it answers."""
        return self.services.ops_url

    @property
    def push_url(self) -> str:
        """The URL that devices push to, once they may; stays empty without a source that is pushed to."""
        return self.services.push_url

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

    def reload(self) -> None:
        """Have the configuration's file read again, once the daemon runs; what becomes of it is in log and status."""
        self._reload_asked = self._reload is None
        if self._reload is not None:
            self._reload.soon()

    async def run(self, *, signals: bool = True) -> int:
        """Run until asked to stop; the exit status: 0 stopped as asked, 78 only a person can mend it (the configuration
        is wrong, the spool is a newer pump's), 1 anything else.

        `signals`: the process is the daemon's own. SIGTERM and SIGINT ask for the stop, SIGHUP for a reload, and the
        process ends at the stop's deadline, at the latest 3 s after this returned, even where a thread hangs.
        Without it the caller asks with `stop` and waits for `ready` or the end of this, whichever comes first; a
        part that cannot be stopped is left behind, named in the log.
        """
        last = None
        if signals:
            last = take_over(self._on_stop_signal, self.reload, within=WHOLE, code=lambda: self._code)
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
        await checkpoint()  # anyio loads the rest of itself at its first use: a stop may have no file descriptor for it
        try:
            parts = build_usable(self.config, self._kinds, self.clock)
        except NoStart as error:
            return error.status
        try:
            make(self.config.state_dir, 0o700)  # vendors' tokens lie there
            lock = FolderLock(self.config.state_dir)
            lock.acquire()
        except Locked as error:
            log.error("Another daemon runs with this state directory", reason=str(error), pid=error.pid)
            return FAILED
        except OSError as error:
            log.error("The state directory cannot be used", error=_why(error))
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
        except NoStart as error:
            return error.status
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

    async def _start(self, made: Parts) -> None:
        config, services = self.config, self.services
        files = digests(config)
        try:
            await services.open_ops(config)
        except OSError as error:
            log.error("The ops listener cannot listen", address=str(config.ops.listen), error=_why(error))
            raise NoStart from error
        spool = await self._open_spool()
        parts = LiveParts(
            spool, self.pictures, self.supervisor, self._ways, sinks=self.sinks, site=config.site, health=self.health,
            metrics=self.metrics,
        )  # fmt: skip
        announcer = self._announcer = parts.announcer
        parts.hold_for(config)  # news of a full one names it
        qualify(made.sources, config, spool)
        await self._begin_telling(spool, announcer, made)
        progress = Progress(
            health=self.health, supervisor=self.supervisor, sinks=self.sinks,
            watchdog_interval=self._notifier.watchdog_interval,
        )  # fmt: skip
        watch = Watch(
            spool, clock=self.clock, health=self.health, status=self.status, notifier=self._notifier,
            progress=progress,
        )  # fmt: skip
        self.supervisor.add("watch", watch.run, self.health.component("watch"))
        self.supervisor.add("spool probe", watch.probe, self.health.component("spool"))
        self.pictures.start(self.supervisor, spool, parts.intake, announcer.media_evicted)
        for name, kind in made.sinks.items():
            parts.run_sink(name, kind, config.sinks[name])
        for name, source in made.sources.items():
            parts.place_source(name, source, config.clock_ahead)
            parts.run_source(name)
        try:
            await services.open_push(config, parts.routes(config))  # last of all: from here on devices are answered
        except OSError as error:
            log.error("The push listener cannot listen", address=str(config.server.listen), error=_why(error))
            raise NoStart from error
        running = Running(parts, services, self.pictures, spool, self.supervisor, self.status, self._notifier)
        reload = Reload(config, files, running, kinds=self._kinds, clock=self.clock, metrics=self.metrics)
        await services.open_commands(config, parts, spool, reload.commands())
        await self.supervisor.started()
        # What start-up made stays for ever: the collector need not walk through it (docs/measurements.md).
        gc.collect()
        gc.freeze()
        self._phase = ""
        self.ready.set()
        self._notifier.ready(f"{len(made.sources)} sources, {len(made.sinks)} sinks")
        log.info(
            "The pump runs", version=pump.__version__, sources=[*made.sources], sinks=[*made.sinks], ops=self.ops_url
        )
        self._reload = reload
        if self._reload_asked:
            reload.soon()

    async def _open_spool(self) -> Spool:
        config = self.config
        try:
            async with more_time(self._notifier, self.clock, "the spool is repaired, or brought into a newer form"):
                spool = await Spool.open(config.state_dir, config.spool, clock=self.clock, metrics=self.metrics)
        except (OSError, ValueError, sqlite3.Error) as error:
            log.error("The spool cannot be opened", error=scarcity(error) or not_opened(error))
            raise NoStart(lasting=isinstance(error, NewerSpool)) from error
        self._spool = spool
        self.health.component("spool").up()
        return spool

    async def _begin_telling(self, spool: Spool, announcer: Announcer, made: Parts) -> None:
        """Start the daemon's own events with what this start knows of the last run."""
        announcer.started([*made.sources], [*made.sinks])
        component = self.health.component("announcer")
        self.supervisor.add(component.name, announcer.run, component)
        component.up()
        try:
            await spool.flush()  # from here on an end without a word is known as one
        except Unavailable as error:
            log.warning("The start could not be noted; the spool refuses", reason=error.reason)

    # --- stop -------------------------------------------------------------------------------------------------------

    async def _stop_in_order(self) -> None:
        """Stop taking, drain, close; who is late is named. Cut short by a cancellation at any point.

        Parts are the supervisor's, which can leave a stuck one behind and name it; last words have a scope.
        """
        self._notifier.stopping("draining", WHOLE + EXITING)
        self._phase = "it is stopping"
        if self._announcer is not None:
            self._announcer.stopping()
        if self._reload is not None:
            await self._reload.close()
        await self.services.take_no_more()  # what is in hand is stored and answered
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
        if self._reload is not None:
            await self._reload.close()
        await self.services.close_control()
        await self.supervisor.stop(self.supervisor.names, HURRIED)
        await self.services.close_push()
        await self.services.close_ops()
        if self._spool is None:
            return True
        with move_on_after(CLOSING, shield=True):
            return await _close(self._spool, asked=self._asked.is_set())
        log.error("The spool has not closed by its deadline", deadline_s=CLOSING)
        return False

    def _named(self, prefix: str) -> list[str]:
        return [name for name in self.supervisor.names if name.startswith(prefix)]


def _why(error: OSError) -> str:
    """What the system lacks, with its remedy, else its own words; which file it was about is chance where it lacks."""
    return scarcity(error) or str(error)


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
