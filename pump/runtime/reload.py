"""Reading pump.toml again while the daemon runs: checked whole first, then only what differs is changed.

A file that cannot be used changes nothing. Parts whose settings differ, or whose certificates do, are stopped and made
anew on the state and the cursor that they left; all others are not touched, nor are their connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from pump.config import Config, ConfigError, load
from pump.config.changes import Changes, Digests, changes, digests
from pump.config.load import located
from pump.config.probe import faults
from pump.core.clock import Clock
from pump.core.failure import scarcity
from pump.core.naming import Names
from pump.core.settings import SinkSettings, SourceSettings
from pump.core.tasks import Threads
from pump.core.text import words_of
from pump.ops.control import Handler, Tell
from pump.registry import Registry
from pump.runtime.build import NoParts, Parts, build
from pump.runtime.numbering import qualify
from pump.runtime.parts import LiveParts
from pump.runtime.pictures import Pictures
from pump.runtime.services import Services
from pump.runtime.status import Status
from pump.runtime.supervisor import Supervisor
from pump.runtime.systemd.notify import Notifier
from pump.source import PushSource
from pump.spool import Spool
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

_READING: Final = Threads("configuration", 1)


class Refused(Exception):
    """The file cannot be taken up; a line for each thing that is wrong with it."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = list(reasons)


@dataclass(slots=True, frozen=True)
class Running:
    """The parts of the daemon that a reload may change."""

    parts: LiveParts
    services: Services
    pictures: Pictures
    spool: Spool
    supervisor: Supervisor
    status: Status
    notifier: Notifier


@dataclass(slots=True)
class Outcome:
    """What became of one reading of the file."""

    reasons: list[str] = field(default_factory=list)
    """Why nothing was changed; empty where the file was taken up."""
    changed: dict[str, list[str]] = field(default_factory=dict)
    """By "sources added" and the like, the names; "tables" are the others that differ."""
    late: list[str] = field(default_factory=list)
    """Parts that have not ended yet: who takes their place begins once they have."""

    def shown(self) -> dict[str, Any]:
        """For JSON and people."""
        return {"ok": not self.reasons, "reasons": self.reasons, "changed": self.changed, "late": self.late}


class Reload:
    """One daemon's. Readings come one after another; none is cut short but by `close`."""

    def __init__(
        self, config: Config, files: Digests, running: Running, *, kinds: Registry, clock: Clock, metrics: Metrics
    ) -> None:
        """`config` is what runs; `files` were taken before its parts were made."""
        self.config = config
        self._files = files
        self._running = running
        self._kinds = kinds
        self._clock = clock
        self._count = metrics.reloads
        self._doing: asyncio.Task[Outcome] | None = None
        self._next: asyncio.Task[Outcome] | None = None
        self._closed = False

    def commands(self) -> dict[str, Handler]:
        """What the control socket offers."""
        return {"reload": self.reload}

    async def reload(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Read the file again; `Outcome.shown`. Who asked may leave: it goes on."""
        return (await asyncio.shield(self.soon())).shown()

    def soon(self) -> asyncio.Task[Outcome]:
        """Have the file read once more from now on, after a reading that is under way."""
        if self._doing is None or self._doing.done():
            self._doing, self._next = self._next, None
        if self._doing is None or self._doing.done():
            self._doing = asyncio.create_task(self._reading(None), name="reload")
            return self._doing
        if self._next is None:  # whoever asks while one waits means the same file
            self._next = asyncio.create_task(self._reading(self._doing), name="reload after that")
        return self._next

    async def close(self) -> None:
        """Take no more, and cut short what is under way: the daemon stops, and all its parts with it."""
        self._closed = True
        tasks = [task for task in (self._doing, self._next) if task is not None]
        for task in tasks:
            task.cancel("the pump stops")
        if tasks:
            await asyncio.wait(tasks)

    async def _reading(self, former: asyncio.Task[Outcome] | None) -> Outcome:
        if former is not None:
            await asyncio.wait({former})
        if self._closed:
            return Outcome(["the pump is stopping"])
        self._running.notifier.reloading()
        outcome = await self._tried()  # cut short alone where the daemon stops, and then it has said so
        self._running.notifier.ready()
        self._count.labels("refused" if outcome.reasons else "done").inc()
        self._running.status.note_reload(outcome.shown())
        if outcome.reasons:
            log.error(
                "The configuration is not taken up, and nothing is changed: mend it and reload again",
                file=str(self.config.file), reasons=outcome.reasons,
            )  # fmt: skip
        else:
            log.info("The configuration was read again", **outcome.changed)
        if outcome.late:
            log.warning("Parts do not end; who takes their place begins once they have", parts=outcome.late)
        return outcome

    async def _tried(self) -> Outcome:
        try:
            config, files = await _READING.run(_read, self.config, self._kinds)
            found = changes(self.config, config, self._files, files)
            if found.fixed:
                raise Refused(await _READING.run(_lines, config, found.fixed))
            return await self._take_up(config, files, found, await self._made(config, found))
        except Refused as error:
            return Outcome(error.reasons)
        except Exception as error:
            if (lack := scarcity(error)) is not None:
                return Outcome([lack])
            log.exception("A reload met a bug")
            return Outcome([f"it failed unexpectedly, the log has it whole: {words_of(error)}"])

    async def _made(self, config: Config, found: Changes) -> Parts:
        """The parts that are new, not running yet. Raises Refused."""
        sources = {*found.sources.added, *found.sources.changed}
        sinks = {*found.sinks.added, *found.sinks.changed}
        some = {
            "sources": {name: one for name, one in config.sources.items() if name in sources},
            "sinks": {name: one for name, one in config.sinks.items() if name in sinks},
        }
        try:
            parts = build(config.model_copy(update=some), self._kinds, self._clock)
        except NoParts as error:
            raise Refused(await _READING.run(_lines, config, error.reasons)) from None
        if any(isinstance(source, PushSource) for source in parts.sources.values()):
            try:  # the one thing that may still fail: before anything is changed
                await self._running.services.open_push(config, self._running.parts.routes(config), wanted=True)
            except OSError as error:
                raise Refused([f"the push listener cannot listen at {config.server.listen}: {error}"]) from None
        return parts

    async def _take_up(self, config: Config, files: Digests, found: Changes, made: Parts) -> Outcome:
        running, parts = self._running, self._running.parts
        for warning in config.warnings:
            log.warning("The configuration is used, with a warning", warning=warning.text(str(config.file)))
        qualify(made.sources, config, running.spool)
        old, self.config, self._files = self.config, config, files
        running.status.use(config)
        running.services.use(config)
        if found.tables:  # before anything is waited for: who may no more, may not while a part is slow to end
            running.services.adjust(config)
        parts.hold_for(config)
        gone = [parts.withdraw_source(name) for name in found.sources.removed]
        for name in (*found.sources.changed, *found.sources.added):
            parts.place_source(name, made.sources[name], config.clock_ahead)
            if running.services.desk is not None:
                running.services.desk.take_in(name, parts.intakes[name])
        await running.services.open_push(config, parts.routes(config))
        late = await self._end(old, found)
        for intake in gone:
            await parts.forget_source(intake)
        for name in found.sinks.removed:
            parts.forget_sink(name)
        for name in (*found.sources.changed, *found.sources.added):
            parts.run_source(name, _behind(late, config.sources[name]))
        for name in (*found.sinks.changed, *found.sinks.added):
            parts.run_sink(name, made.sinks[name], config.sinks[name], _behind(late, config.sinks[name]))
        await self._adjust(config, found)
        outcome = Outcome(late=[*late])
        for what, of in (("sources", found.sources), ("sinks", found.sinks)):
            for how in ("added", "changed", "removed"):
                if names := getattr(of, how):
                    outcome.changed[f"{what}_{how}"] = [*names]
        if found.tables:
            outcome.changed["tables"] = [*found.tables]
        return outcome

    async def _end(self, old: Config, found: Changes) -> dict[str, SourceSettings | SinkSettings]:
        """Stop all that is to end or to begin anew, together: before any of the others begins, for it may have the
        account or the file of one of these. The settings of those that have not ended."""
        parts = self._running.parts
        ends: dict[str, tuple[Awaitable[bool], SourceSettings | SinkSettings]] = {}
        for name in (*found.sources.removed, *found.sources.changed):
            ends[f"source {name}"] = parts.end_source(name), old.sources[name]
        for name in (*found.sinks.removed, *found.sinks.changed):
            ends[f"sink {name}"] = parts.end_sink(name), old.sinks[name]
            ends[f"commands {name}"] = parts.ways.end(name), old.sinks[name]
        ended = await asyncio.gather(*(end for end, _ in ends.values()))
        return {name: settings for (name, (_, settings)), it in zip(ends.items(), ended, strict=True) if not it}

    async def _adjust(self, config: Config, found: Changes) -> None:
        """The tables of what is kept, and of names."""
        running = self._running
        if "spool" in found.tables:
            running.spool.adjust(config.spool)
        if "media" in found.tables:
            await running.pictures.adjust(config, running.supervisor)
        if "pump" in found.tables:
            for name, source in running.parts.sources.items():
                running.parts.intakes[name].use_names(Names(source.settings.named(), config.clock_ahead))


def _read(running: Config, kinds: Registry) -> tuple[Config, Digests]:
    """The file as it is now, checked as `pump check` does. Raises Refused."""
    try:
        config = load(running.file, kinds=kinds)
    except ConfigError as error:
        raise Refused(str(error).splitlines()) from None
    if wrong := [*faults(config, kinds)]:
        raise Refused(_lines(config, wrong))
    return config, digests(config)


def _behind(late: Mapping[str, SourceSettings | SinkSettings], settings: SourceSettings | SinkSettings) -> list[str]:
    """Of the parts that have not ended those with the same account or file."""
    identity = settings.identity()
    return [
        name
        for name, other in late.items()
        if identity is not None and (other.type, other.identity()) == (settings.type, identity)
    ]


def _lines(config: Config, found: Sequence[tuple[Any, str]]) -> list[str]:
    """A line for each finding, with its place in the file."""
    return [problem.text(str(config.file)) for problem in located(config.file, found)]
