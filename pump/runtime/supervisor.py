"""Keeps the parts running: each in a task with its name, started again after it failed or made no progress, none
touched by another.

The tasks are asyncio's own rather than an anyio task group's: a group waits for its children for ever, and repeats a
cancellation at every await, so that a part's clean-up could await nothing. Here a cancellation comes once, stopping
has a deadline, and who is still there after it is named.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Final

import structlog

from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.failure import Failure, diagnose
from pump.core.tasks import wait_for, waits_at
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

Run = Callable[[], Awaitable[None]]

LASTING: Final = 60.0
"""Seconds of "up" that are real success: after them the backoff starts again at its beginning."""
SHORTEST_WAIT: Final = 0.1
"""Seconds: a part that asks for a shorter wait would keep the loop busy."""
STUCK: Final = 3.0
"""Times the silence that a part is granted, after which it is not slow but stuck, and begins anew."""
LONGEST_WAIT: Final = 3600.0
"""Seconds that a part waits at the most once it has said that it is down: Retry-After is believed for no longer."""


@dataclass(slots=True)
class _Part:
    name: str
    run: Run
    component: Component
    backoff: Backoff
    down: Callable[[str], object]
    behind: Collection[str]
    """Names whose parts must have ended before it begins."""
    task: asyncio.Task[None] | None = None
    stopping: bool = False
    again: bool = False
    """It is cancelled to begin anew."""
    asked: float = 0.0
    """When it was, monotonic seconds."""
    started: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by each start; cleared by who waits for the next."""
    running: bool = False
    """Its `run` is on its way; else it waits for the next."""
    silent: float = 0.0
    """Seconds for which it has run and owed a sign of life, as far as `revive` has looked."""
    heard: int = 0
    """The component's `words` at the last look."""
    told: int = 0
    """The same after the supervisor's own last word about it."""

    def tell(self, reason: str) -> None:
        """Have it known as down."""
        self.down(reason)
        self.told = self.component.words

    @property
    def granted(self) -> float | None:
        """Seconds for which it may go on owing a sign of life; None: it owes none."""
        component = self.component
        if component.expects is None or not self.running or self.again or self.stopping:
            return None
        if component.state == "stalled":
            return (STUCK - 1.0) * component.expects  # it is known once it was silent for the first
        if component.state != "down":
            return None
        own = component.words != self.told  # else its run has said nothing yet
        return STUCK * component.expects + (LONGEST_WAIT if own else 0.0)


class Supervisor:
    """Owns the tasks of the parts. All its methods belong to one event loop."""

    def __init__(self, *, clock: Clock, metrics: Metrics, rng: random.Random | None = None) -> None:
        self._clock = clock
        self._metrics = metrics
        self._rng = rng
        self._parts: dict[str, _Part] = {}
        self._late: dict[asyncio.Task[None], tuple[str, float]] = {}  # the loop itself keeps weak references only
        """Parts that did not end by their deadline: the name, and when it was stopped, monotonic seconds."""

    def add(
        self,
        name: str,
        run: Run,
        component: Component,
        *,
        backoff: Backoff | None = None,
        down: Callable[[str], object] | None = None,
        behind: Collection[str] = (),
    ) -> None:
        """Start `run` in a task of this name, and again whenever it ends, until it is removed or stopped.

        Where a part of this name, or of one in `behind`, was stopped and has not ended, it begins once that one has:
        two of one name, or of one account or file, would take each other's work.
        `run` is called for each start. `down` gets the reason of each end (default: `component.down`).
        ValueError when the name is taken.
        """
        if name in self._parts:
            raise ValueError(f"{name} runs already")
        backoff = backoff if backoff is not None else Backoff(rng=self._rng)
        part = _Part(name, run, component, backoff, down if down is not None else component.down, {name, *behind})
        self._parts[name] = part
        part.task = asyncio.create_task(self._keep(part), name=name)
        part.task.add_done_callback(_tell_if_broken)

    @property
    def names(self) -> list[str]:
        """The parts that were added and not removed, in that order."""
        return list(self._parts)

    @property
    def unstarted(self) -> list[str]:
        """The parts whose first start is still to come."""
        return [part.name for part in self._parts.values() if not part.started.is_set()]

    @property
    def lost(self) -> list[str]:
        """The parts whose task has ended though nobody stopped them: a bug, which the log has whole."""
        return [
            part.name
            for part in self._parts.values()
            if not part.stopping and part.task is not None and part.task.done()
        ]

    async def started(self) -> None:
        """Wait until each part that was added has had its first start."""
        for part in list(self._parts.values()):
            await part.started.wait()

    async def remove(self, name: str, *, deadline: float = 5.0) -> bool:
        """Stop one part and forget it; False where it has not ended after `deadline` seconds. KeyError: unknown."""
        _ = self._parts[name]
        return not await self.stop([name], deadline)

    async def restart(self, name: str, *, deadline: float = 5.0) -> bool:
        """Begin a part anew now, whether it runs or waits; False where it has not ended after `deadline` seconds: it
        begins anew once it does. KeyError: unknown."""
        part = self._parts[name]
        if part.task is None or part.stopping:
            return False
        self._begin_anew(part, part.task)
        begun = asyncio.create_task(part.begun.wait(), name=f"restart of {name}")
        try:
            return await wait_for({begun}, deadline, self._clock)
        finally:
            begun.cancel()

    def _begin_anew(self, part: _Part, task: asyncio.Task[None]) -> None:
        if not part.again:
            part.asked = self._clock.monotonic()
        part.again = True
        part.begun.clear()
        task.cancel(f"{part.name} is to begin anew")

    def revive(self, seconds: float) -> None:
        """Have parts begin anew that owe a sign of life for several times what they are granted: one cancellation each.

        Called every so many seconds, but not after those in which nobody could have given one. A part is where it was
        as after any failure; one that swallows its cancellation is `stuck`. The wait between two starts is no silence.
        """
        for part in self._parts.values():
            granted, words = part.granted, part.component.words
            if granted is None or words != part.heard:
                part.silent, part.heard = 0.0, words
                continue
            part.silent += seconds
            if part.silent <= granted or part.task is None:
                continue
            silence = round(part.component.idle)
            log.error(
                "A part makes no progress: it is cancelled and begins anew from where it was. Should it come again, "
                "give this line and pump bundle to who maintains the pump",
                part=part.name, state=part.component.state, silent_s=silence, waits_at=_waits_at(part.name),
            )  # fmt: skip
            self._metrics.stuck.labels(part=part.name).inc()
            part.tell(f"it made no progress for {silence} s, was cancelled and begins anew")
            self._begin_anew(part, part.task)

    def stuck(self, seconds: float) -> list[str]:
        """The parts that were cancelled more than so many seconds ago and have not ended."""
        now = self._clock.monotonic()
        again = ((part.name, part.asked) for part in self._parts.values() if part.again)
        return [name for name, since in (*self._late.values(), *again) if now - since > seconds]

    async def let_end(self, names: Collection[str], deadline: float) -> list[str]:
        """Wait up to `deadline` seconds for parts to end by themselves, and start none again that does.

        The names of those that run on: they are still to be stopped. The parts must have been asked to end.
        """
        parts = [self._parts[name] for name in names if name in self._parts]
        for part in parts:
            part.stopping = True
        await wait_for({part.task for part in parts if part.task is not None}, deadline, self._clock)
        return [part.name for part in parts if part.task is not None and not part.task.done()]

    async def stop(self, names: Collection[str], deadline: float) -> list[str]:
        """Cancel these parts together and wait up to `deadline` seconds; the names of those that have not ended.

        Each is forgotten either way. Who is late is named in the log.
        """
        parts = [self._parts[name] for name in names if name in self._parts]
        for part in parts:
            part.stopping = True
            if part.task is not None:
                part.task.cancel(f"{part.name} is to stop")
        tasks = {part.task for part in parts if part.task is not None}
        asked = self._clock.monotonic()
        await wait_for(tasks, deadline, self._clock)
        late = [part for part in parts if part.task is not None and not part.task.done()]
        for part in late:
            assert part.task is not None  # chosen for it; mypy cannot carry that over
            self._late[part.task] = part.name, asked
            part.task.add_done_callback(lambda task: self._late.pop(task, None))
            part.component.down("it does not stop")
            log.warning("A part has not ended by its deadline", part=part.name, deadline_s=deadline)
        for part in parts:
            self._parts.pop(part.name, None)
            if part not in late:
                part.component.stopped()
        return [part.name for part in late]

    async def _keep(self, part: _Part) -> None:
        task = asyncio.current_task()
        assert task is not None  # `add` made it
        while not part.stopping:
            try:
                await self._live(part)
            except asyncio.CancelledError:
                if part.stopping or not part.again:
                    raise
            if part.again:
                part.again = False
                part.backoff.reset()
                while task.cancelling():  # also where it raised or returned: a count that stays looks like a stop
                    task.uncancel()

    async def _live(self, part: _Part) -> None:
        """Starts and pauses, until the part is to stop or to begin anew."""
        while former := [task for task, (name, _) in self._late.items() if name in part.behind]:
            await asyncio.wait(former)
            part.component.begin_anew()
        while not part.stopping and not part.again:
            begin = self._clock.monotonic()
            part.started.set()
            part.begun.set()
            error: BaseException | None = None
            part.running = True
            try:
                await part.run()
            except asyncio.CancelledError as cancelled:
                # a cancellation that nobody asked for leaked out of a library: a failure like any other
                if part.stopping or _asked():
                    raise
                error = cancelled
            except (Exception, BaseExceptionGroup) as raised:  # noqa: BLE001  # whatever a part raises stays its own
                error = raised
            finally:
                part.running = False
            if part.stopping or part.again:
                self._tell_late_failure(part, error)
                return
            if part.component.lasted(begin) >= LASTING:
                part.backoff.reset()
            await self._pause(part, diagnose(error))

    async def _pause(self, part: _Part, failure: Failure) -> None:
        drawn = part.backoff.next()
        wait = drawn if failure.wait is None else max(failure.wait, SHORTEST_WAIT)
        part.tell(failure.reason)
        log.log(
            failure.level,
            failure.sentence,
            part=part.name,
            reason=failure.reason,
            wait_s=round(wait, 3),
            exc_info=failure.error,
        )
        await self._clock.sleep(wait)
        self._metrics.restarts.labels(part=part.name).inc()

    @staticmethod
    def _tell_late_failure(part: _Part, error: BaseException | None) -> None:
        if error is not None:
            failure = diagnose(error)
            log.warning(
                "A part failed while it was being stopped",
                part=part.name,
                reason=failure.reason,
                exc_info=failure.error,
            )


def _waits_at(name: str) -> dict[str, str]:
    """Where the part's tasks wait: they are named like it, with a word of their own behind."""
    tasks = {task.get_name(): task for task in asyncio.all_tasks()}
    return {each: waits_at(task) for each, task in sorted(tasks.items()) if f"{each} ".startswith(f"{name} ")}


def _tell_if_broken(task: asyncio.Task[None]) -> None:
    """Nothing but a mistake in this file or in a `down` callback gets here; it must not pass in silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("The supervisor has lost a part", part=task.get_name(), exc_info=error)


def _asked() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
