"""The desk where commands are asked for, whichever way they come: allowed, checked, written down, sent once, ended."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from functools import partial
from typing import Any, Final, NoReturn

import structlog

from pump.commands.calls import CALL
from pump.commands.contract import (
    Command,
    CommandResult,
    Expired,
    NotTaken,
    Request,
    Target,
    Ticket,
    Why,
)
from pump.commands.verbs import VERBS
from pump.config.model import RESERVED, CommandSettings
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Refusal, Unavailable
from pump.core.rate import TokenBucket
from pump.core.settings import parse_duration
from pump.core.tasks import wait_for
from pump.core.text import words_of
from pump.core.vocabulary import did_you_mean, nearest
from pump.ingest.intake import Intake
from pump.ops.commands.grants import Grants, kind_of
from pump.ops.commands.journal import Entry, Journal
from pump.ops.commands.turns import Turns
from pump.source import Source
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

EXPIRES: Final = 10.0
"""Seconds after which a command is not sent any more, unless the caller says otherwise."""
LONGEST_LIFE: Final = 300.0
"""Seconds at the most that a caller may say."""
ANSWER: Final = 3.0
"""Seconds after its expiry that a command which was sent may still be answered."""
AGAIN: Final = 1.0
"""Seconds between two tries to write an end down while the spool refuses."""
MOST: Final = 256
"""Commands under way at a time."""
REFUSALS: Final = 1.0
"""Refusals a second of one caller that become events, a minute's worth at once; more are counted alone. All topics are
one caller here, and all subjects: whoever may publish makes up as many as he likes."""
STOPPING: Final = 2.0
"""Seconds that a stop leaves to write down the ends of what was under way."""
_TEXT: Final = 200
"""Characters of a target, a key, a source's name."""


Doing = Callable[[Command], Coroutine[Any, Any, CommandResult]]
"""The sending of a command to its end; as `Source.command`."""


@dataclass(slots=True)
class Asked:
    """A request of which the shape is right."""

    target: str
    verb: str
    arguments: Mapping[str, Any]
    expires: float
    key: str | None
    source: str | None


@dataclass(slots=True)
class _UnderWay:
    entry: Entry
    source: str
    arguments: Mapping[str, Any]
    deadline: float
    expires_ms: int
    result: asyncio.Future[CommandResult]
    written: asyncio.Future[str]
    """Empty once it is on disk; else why it could not be written down."""
    doing: Doing
    sent: bool = False
    task: asyncio.Task[None] | None = None
    sending: asyncio.Task[CommandResult] | None = None


class CommandDesk:
    """One daemon's. All its methods belong to the event loop; `run` ends what the run before has left open."""

    def __init__(
        self, settings: CommandSettings, sources: Mapping[str, Source[Any]], intakes: Mapping[str, Intake],
        own: Intake, *, clock: Clock, metrics: Metrics,
    ) -> None:  # fmt: skip
        """`intakes` has one for each of `sources`; `own` is the daemon's, for what belongs to no source."""
        self._settings = settings
        self._sources = sources
        self._journals = {name: Journal(intake) for name, intake in intakes.items()}
        self._taken_in = asyncio.Event()
        self._own = self._journals[RESERVED] = Journal(own)
        self._clock = clock
        self._count = metrics.commands
        self._grants = Grants(settings, clock)
        self._refusals = TokenBucket(REFUSALS, clock)
        self._under_way: dict[str, _UnderWay] = {}
        self._turns = Turns(clock)
        self._stopping = False

    def adjust(self, settings: CommandSettings) -> None:
        """Go by other settings from now on."""
        self._settings = settings
        self._grants.adjust(settings)

    def take_in(self, name: str, intake: Intake) -> None:
        """Know another source, before it is among `sources`; the journal of one that has gone is kept to its end."""
        if (journal := self._journals.get(name)) is not None:
            journal.intake = intake
        else:
            self._journals[name] = Journal(intake)
            self._taken_in.set()

    # --- the ways in ------------------------------------------------------------------------------------------------

    async def ask(self, request: Request, caller: str) -> Ticket:
        """Take a command: returns once it is on disk. `caller` is what the grants call who asks; see `contract.Ask`.

        Raises NotTaken, with the request's id where the refusal is an event too.
        """
        asked = _read(request)
        verb = VERBS.get(asked.verb)
        if not self._grants.allow(caller, asked.verb, asked.target):
            await self.refuse("forbidden", f"no grant of [commands] lets {caller} do this", asked, caller)
        if verb is None:
            hint = did_you_mean(nearest(asked.verb, VERBS))
            await self.refuse("no verb", f"there is no verb of this name{hint}", asked, caller)
        name = await self._source_of(asked, caller)
        try:
            arguments = verb.checked(asked.arguments)
        except ValueError as error:
            await self.refuse("arguments", words_of(error), asked, caller, name)
        if asked.key is not None and (known := self._named(caller, asked.key, name)) is not None:
            return await self._again(known, asked, verb.shown(arguments), caller, name)
        await self.paced(asked, caller, name)
        entry = self.entry(asked, verb.shown(arguments), caller)
        return await self.begin(entry, arguments, asked.expires, name, partial(self._by_source, name))

    async def paced(self, asked: Asked, caller: str, name: str) -> None:
        """Raises NotTaken where too many are under way, or this target was commanded too often."""
        if len(self._under_way) >= MOST:
            await self.refuse("not now", f"{MOST} commands are under way", asked, caller, name)
        if wait := self._grants.wait(asked.target):
            most = f"{self._settings.per_minute:g} a minute"
            await self.refuse(
                "too many", f"this target takes {most} at the most; try again in {wait:.0f} s", asked, caller, name
            )

    async def decline(self, request: Request, caller: str, why: Why, reason: str) -> NoReturn:
        """Refuse what a way in knows to be wrong, such as a message that came late. Raises NotTaken, as `ask` does."""
        await self.refuse(why, reason, _read(request), caller)

    def targets(self) -> Iterator[tuple[str, Target]]:
        """Everything that can be commanded now, with its source's name."""
        for name, source in self._sources.items():
            for target in source.targets():
                yield name, target

    def allows(self, caller: str, verb: str, target: str) -> bool:
        """True where a grant lets the caller do this."""
        return self._grants.allow(caller, verb, target)

    def allowed(self, caller: str) -> Iterator[tuple[str, Target]]:
        """As `targets`, only what the caller may do."""
        for name, target in self.targets():
            verbs = [verb for verb in target.verbs if self._grants.allow(caller, verb, target.subject)]
            if verbs:
                yield name, Target(target.subject, verbs, target.name)

    # --- one command ------------------------------------------------------------------------------------------------

    async def _source_of(self, asked: Asked, caller: str) -> str:
        """The source that has the target and the verb."""
        takes = {
            name: verbs
            for name, source in self._sources.items()
            if asked.source in (None, name) and (verbs := source.verbs(asked.target))
        }
        if not takes:
            await self.refuse("no target", "no source has a device of this name that takes commands", asked, caller)
        able = [name for name, verbs in takes.items() if asked.verb in verbs]
        if not able:
            known = ", ".join(sorted({verb for verbs in takes.values() for verb in verbs}))
            await self.refuse("no verb", f"it cannot do that; it takes: {known}", asked, caller, next(iter(takes)))
        if len(able) > 1:
            await self.refuse("no target", f"several sources have it: say which, {' or '.join(able)}", asked, caller)
        return able[0]

    async def begin(
        self, entry: Entry, arguments: Mapping[str, Any], expires: float, name: str, doing: Doing
    ) -> Ticket:
        """Write it down and have it done, once. `name` is the source in whose journal it stands. Raises NotTaken."""
        deadline = self._clock.monotonic() + expires
        expires_ms = self._clock.now_ms() + int(expires * 1000)
        entry.dry_run = self._settings.dry_run
        future = asyncio.get_running_loop().create_future
        under_way = _UnderWay(entry, name, arguments, deadline, expires_ms, future(), future(), doing)
        self._under_way[entry.request_id] = under_way
        try:
            if self._stopping:
                raise Unavailable("the pump is stopping")
            await self._journals[name].begin(entry)
        except Unavailable as error:
            del self._under_way[entry.request_id]
            self._count.labels(name, entry.verb, "refused").inc()
            reason = f"it cannot be written down, so it is not sent: {error.reason}"
            under_way.written.set_result(reason)  # for who asked under the same key meanwhile
            raise NotTaken("not now", reason) from None
        except BaseException:
            # What was cancelled may be on disk all the same: nobody waits for it, and its end must still be written.
            self._start(under_way, CommandResult("expired", "who asked has gone before it was sent"))
            raise
        under_way.written.set_result("")
        self._start(under_way)
        return Ticket(entry.request_id, asyncio.shield(under_way.result))

    def _start(self, one: _UnderWay, ended: CommandResult | None = None) -> None:
        one.task = asyncio.create_task(self._do(one, ended), name=f"command {one.entry.request_id}")
        one.task.add_done_callback(_not_written)

    async def _do(self, one: _UnderWay, ended: CommandResult | None) -> None:
        """The command's life from its writing down to its end's."""
        entry = one.entry
        result = (ended or await self._sent_or_stopped(one)).plain()
        log.info("A command has ended", verb=entry.verb, target=entry.target, caller=entry.caller,
                 request=entry.request_id, status=result.status, reason=result.reason)  # fmt: skip
        self._count.labels(one.source, entry.verb, result.status).inc()
        while True:
            try:
                await self._journals[one.source].end(entry, result)
                break
            except Unavailable:
                if not one.result.done():
                    one.result.set_result(result)  # who waits need not wait for the spool's room
                await self._clock.sleep(AGAIN)
        self._under_way.pop(entry.request_id, None)
        if not one.written.done():
            one.written.set_result("")  # who asked was cancelled in the middle of it
        if not one.result.done():
            one.result.set_result(result)

    async def _sent_or_stopped(self, one: _UnderWay) -> CommandResult:
        """The sending is a task of its own, for a stop cuts it short, and not the writing down of its end."""
        one.sending = asyncio.create_task(self._sent(one), name=f"sending {one.entry.request_id}")
        await asyncio.wait({one.sending})
        if not one.sending.cancelled():
            return one.sending.result()
        if one.sent:
            return CommandResult("unknown", "the pump stopped before the answer came")
        return CommandResult("expired", "the pump stopped before it was sent")

    async def _sent(self, one: _UnderWay) -> CommandResult:
        entry = one.entry
        command = Command(
            entry.request_id, entry.verb, entry.target, one.arguments, entry.caller, one.deadline, self._clock,
            one.expires_ms,
        )  # fmt: skip
        try:
            async with self._turns.turn(entry.target, one.deadline):
                if self._stopping:  # it was just being written down
                    return CommandResult("expired", "the pump stopped before it was sent")
                if entry.dry_run:  # as it was written down, whatever [commands] says meanwhile
                    return CommandResult("done", "nothing was sent, for [commands] dry_run is on")
                try:
                    return await self._within(command)
                finally:
                    one.sent = command.sent
        except Expired:
            return CommandResult("expired", "its time was over before it could be sent")

    async def _by_source(self, name: str, command: Command) -> CommandResult:
        """By the source that has the name now: while the command waited for its turn, a reload may have come."""
        source = self._sources.get(name)
        if source is None:
            return CommandResult("failed", "its source was taken out of the configuration before it was sent")
        return await source.command(command)

    async def _within(self, command: Command) -> CommandResult:
        """The source's answer; bounded, and every way in which it may end told apart."""
        one = self._under_way[command.request_id]
        doing = asyncio.create_task(one.doing(command), name=f"{one.source}: {command.verb} {command.target}")
        try:
            ended = await wait_for({doing}, command.remaining + ANSWER, self._clock)
        finally:
            command.ended = True  # a source may be slow in its clean-up, or swallow the cancellation
            doing.cancel()
            doing.add_done_callback(_looked_at)
        if not ended:
            if command.sent:
                return CommandResult("timed-out", "it was sent, and no answer came in time")
            raise Expired
        try:
            return doing.result()
        except Expired:
            raise
        except Refusal as error:
            return CommandResult("refused", words_of(error))
        except (Unavailable, Misconfigured) as error:
            return _lost(command, error.reason)
        except asyncio.CancelledError:
            return _lost(command, "it was cut short")
        except Exception:
            log.exception("A source met a bug with a command", source=one.source, verb=command.verb)
            # Its text is for the log, which is clean of secrets: nobody knows what a library puts into one.
            return _lost(command, "the source met a bug; the daemon's log has it whole")

    def _named(self, caller: str, key: str, name: str) -> Entry | None:
        """The caller's command of this key, also one that is just being written down: a second one is not another."""
        for one in self._under_way.values():
            if (one.entry.key, one.entry.caller, one.source) == (key, caller, name):
                return one.entry
        return self._journals[name].named(caller, key)

    async def _again(
        self, known: Entry, asked: Asked, shown: Mapping[str, Any], caller: str, name: str
    ) -> Ticket:  # fmt: skip
        """The command that this key named before: the same one, whatever became of it."""
        if (known.verb, known.target, known.arguments) != (asked.verb, asked.target, shown):
            await self.refuse("arguments", "this key has named another command", asked, caller, name)
        if (under_way := self._under_way.get(known.request_id)) is not None:
            if reason := await asyncio.shield(under_way.written):  # on disk before anybody hears its id
                raise NotTaken("not now", reason)
            return Ticket(known.request_id, asyncio.shield(under_way.result))
        ended: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        ended.set_result(CommandResult(known.status or "unknown", known.reason))  # type: ignore[arg-type]
        return Ticket(known.request_id, ended)

    def entry(self, asked: Asked, arguments: Mapping[str, Any], caller: str) -> Entry:
        """A command as it is written down, with an id of its own."""
        now = self._clock.now().astimezone(UTC)
        over = now + timedelta(seconds=asked.expires)
        asked_at, expires = (moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") for moment in (now, over))
        return Entry(
            uuid.uuid4().hex, asked.verb, asked.target, caller, asked_at, expires, dict(arguments), asked.key
        )  # fmt: skip

    async def refuse(self, why: Why, reason: str, asked: Asked, caller: str, name: str | None = None) -> NoReturn:
        """Every refusal is counted; it is logged and an event as far as one caller does not make a flood of them."""
        verb = asked.verb if asked.verb in VERBS or asked.verb == CALL else "unknown"
        self._count.labels(name or "pump", verb, "refused").inc()
        entry = self.entry(asked, {}, caller)
        request_id = ""
        if not self._refusals.take(caller if caller.startswith("token:") else kind_of(caller)):
            log.warning("A command is refused", caller=caller, verb=asked.verb, target=asked.target, reason=reason)
            try:
                await (self._journals[name] if name else self._own).refuse(entry, reason)
                request_id = entry.request_id
            except Unavailable as error:
                log.warning("The refusal of a command could not be stored", reason=error.reason)
        raise NotTaken(why, reason, request_id)

    # --- the daemon's life ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """End, as unknown, what the run before has left open: nothing of it is sent again. Then wait for sources that
        are taken in.

        All at once, for one commit takes them all: one by one 256 of them would take that many fsyncs.
        """
        while True:
            self._taken_in.clear()
            await asyncio.gather(
                *(self._left(name, entry) for name, journal in self._journals.items() for entry in journal.left)
            )
            await self._taken_in.wait()

    async def _left(self, name: str, entry: Entry) -> None:
        journal = self._journals[name]
        result = CommandResult("unknown", "the pump ended before the answer came")
        while True:
            try:
                await journal.end(entry, result)
                break
            except Unavailable:
                await self._clock.sleep(AGAIN)
        journal.left.remove(entry)
        self._count.labels(name, entry.verb, result.status).inc()
        log.warning("The end of a command is unknown", verb=entry.verb, target=entry.target, caller=entry.caller,
                    request=entry.request_id)  # fmt: skip

    async def close(self) -> None:
        """Take no more, cut short what is under way, and write its end down."""
        self._stopping = True
        for one in self._under_way.values():
            if one.sending is not None:
                one.sending.cancel("the pump stops")
        await wait_for({one.task for one in self._under_way.values() if one.task is not None}, STOPPING, self._clock)


def _lost(command: Command, reason: str) -> CommandResult:
    """A failure in words: before it was sent nothing has happened, afterwards nobody knows."""
    return CommandResult("unknown" if command.sent else "failed", reason)


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Take note of what a task ended with that nobody awaits any more."""
    if not task.cancelled():
        task.exception()


def _not_written(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("The end of a command could not be written down; the next start says unknown", reason=words_of(error))


def _read(request: Request) -> Asked:
    """The request, where it is one at all."""
    target, verb, arguments = request.target, request.verb, request.arguments
    texts = (target, verb, *(text for text in (request.key, request.source) if text is not None))
    if not all(isinstance(text, str) and 0 < len(text) <= _TEXT and text.isprintable() for text in texts):
        raise NotTaken("malformed", f"target, verb, key and source are texts of 1 to {_TEXT} characters")
    if not isinstance(arguments, Mapping) or not all(isinstance(name, str) for name in arguments):
        raise NotTaken("malformed", "arguments are an object")
    try:
        expires = lifetime(request.expires)
    except ValueError as error:
        raise NotTaken("malformed", f"expires: {words_of(error)}") from None
    return Asked(str(target), str(verb), arguments, expires, request.key, request.source)  # type: ignore[arg-type]


def lifetime(expires: object) -> float:
    """Seconds that a request's `expires` says. ValueError in words."""
    if expires is None:
        return EXPIRES
    seconds = expires if isinstance(expires, int | float) and not isinstance(expires, bool) else parse_duration(expires)
    if not 0.0 < seconds <= LONGEST_LIFE:
        raise ValueError(f"more than 0 s and {LONGEST_LIFE:g} s at the most are wanted")
    return float(seconds)
