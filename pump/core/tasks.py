"""Waiting for several tasks at once, naps that others may end, work in slices, and threads: a pool for each kind."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

import anyio

from pump.core.clock import Clock

P = ParamSpec("P")
T = TypeVar("T")

_FRAMES: Final = ("cr_frame", "gi_frame", "ag_frame")
_AWAITED: Final = ("cr_await", "gi_yieldfrom", "ag_await")


async def wait_for(tasks: Collection[asyncio.Task[Any]], seconds: float, clock: Clock) -> bool:
    """Wait until all `tasks` are done, `seconds` at the most, cancelling none of them; whether all are done."""
    pending = {task for task in tasks if not task.done()}
    if not pending:
        return True
    timer = asyncio.create_task(clock.sleep(seconds), name="deadline")
    try:
        while pending and not timer.done():
            await asyncio.wait({*pending, timer}, return_when=asyncio.FIRST_COMPLETED)
            pending = {task for task in pending if not task.done()}
    finally:
        timer.cancel()
        await asyncio.wait({timer})
    return not pending


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Run all until one of them ends, cancel the others; raises what the ended one raised."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()


def waits_at(task: asyncio.Task[Any]) -> str:
    """The lines at which it waits, for people, the outermost first: "source.py:120 run > queue.py:181 _round"."""
    places: list[str] = []
    inner: object = task.get_coro()
    while (frame := next((found for name in _FRAMES if (found := getattr(inner, name, None))), None)) is not None:
        code = frame.f_code
        places.append(f"{code.co_filename.rpartition('/')[2]}:{frame.f_lineno} {code.co_name}")
        inner = next((found for name in _AWAITED if (found := getattr(inner, name, None))), None)
    return " > ".join(places)


async def in_slices(items: Iterable[T], size: int) -> AsyncIterator[T]:
    """The items, with a pass of the event loop after each `size` of them.

    For work that is Python alone. In a thread it would go on at the loop's cost all the same, and under uvloop each
    timer, socket and system call of the loop would wait 0.1 ms or more to get the interpreter back from it.
    """
    for number, item in enumerate(items, 1):
        yield item
        if number % size == 0:
            await asyncio.sleep(0)


class Nap:
    """One task's waits, which others may end early: once by `cut`, for good by `end`."""

    def __init__(self, clock: Clock) -> None:
        self.over = False
        """True once `end` was called: every wait after it lasts one pass of the event loop at the most."""
        self._clock = clock
        self._scope: anyio.CancelScope | None = None

    async def sleep(self, seconds: float) -> None:
        """Wait so long."""
        await self.until(self._clock.sleep(seconds))

    async def until(self, waiting: Awaitable[object], at_most: float | None = None) -> None:
        """Wait for it, `at_most` seconds of the event loop's own time; raises what it raises."""
        try:
            with anyio.move_on_after(0 if self.over else at_most) as self._scope:
                await waiting
        finally:
            self._scope = None

    @property
    def waiting(self) -> bool:
        """Whether a wait is on its way."""
        return self._scope is not None

    def cut(self) -> None:
        """End the wait that is on its way, if there is one."""
        if self._scope is not None and not self._scope.cancel_called:
            self._scope.cancel()

    def end(self) -> None:
        """End it, and every later one."""
        self.over = True
        self.cut()


class Alarm:
    """One task's waits where most are over before their time: it calls back at the earliest moment that was asked for,
    and a moment put off costs nothing."""

    def __init__(self, clock: Clock, ring: Callable[[], object]) -> None:
        """`ring` may come too early: who is rung looks for itself what is due."""
        self._clock = clock
        self._ring = ring
        self._at = math.inf
        self._earlier = asyncio.Event()

    def within(self, seconds: float) -> None:
        """Ring by then."""
        at = self._clock.monotonic() + seconds
        if at < self._at:
            self._at = at
            self._earlier.set()

    async def run(self) -> None:
        """Ring when it is time, for as long as the task lives."""
        try:
            while True:
                self._earlier.clear()
                if self._at == math.inf:
                    await self._earlier.wait()
                elif self._at > self._clock.monotonic():
                    await first_of(self._until(self._at), self._earlier.wait())
                else:
                    self._at = math.inf
                    self._ring()
        finally:
            self._at = math.inf  # who runs it again asks again

    async def _until(self, moment: float) -> None:
        """Sleep until then: what is left is looked at when the sleep begins, a pass of the loop later."""
        await self._clock.sleep(max(0.0, moment - self._clock.monotonic()))


class _Pool:
    """The threads of one kind under one event loop.

    In an executor's place a picture behind a link took a tenth less of the whole (`python -m tests.bench fetch`, in
    turns: 0.65, 0.68, 0.69 of a bare download with the executor, 0.73, 0.75, 0.68 with these).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, kind: str, most: int) -> None:
        self._loop = loop
        self._kind = kind
        self._most = most
        self._work: SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._ended: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._collecting = False
        """The loop will look at `_ended`."""
        self._threads = 0
        self._under_way = 0

    def begin(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        """Have it done; on the event loop. Raises RuntimeError where the system gives not even one thread."""
        future = self._loop.create_future()
        if self._threads < min(self._under_way + 1, self._most):
            try:
                threading.Thread(target=self._serve, name=f"{self._kind}_{self._threads}").start()
                self._threads += 1
            except RuntimeError:  # the system gives none now
                if not self._threads:
                    raise
        self._under_way += 1
        self._work.put((future, work))
        return future

    def _serve(self) -> None:
        while (job := self._work.get()) is not None:
            future, work = job
            result, error = None, None
            if not future.cancelled():
                try:
                    result = work()
                except BaseException as raised:  # noqa: BLE001  # it is the caller's
                    error = raised
            self._ended.append((future, result, error))
            del job, future, work, result, error  # none is kept while the next is waited for
            if not self._collecting:
                self._collecting = True
                with suppress(RuntimeError):  # the loop is closed, and nobody waits
                    self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        """Give what has ended to who waits for it; one waking of the loop serves many."""
        self._collecting = False
        while self._ended:
            future, result, error = self._ended.popleft()
            self._under_way -= 1
            if future.cancelled():
                continue
            if isinstance(error, StopIteration):
                future.set_exception(RuntimeError(f"work in a thread raised {error!r}"))  # no future takes it
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

    def end(self) -> None:
        """Begin nothing more; threads end with what they are at. One that hangs must not keep the loop from ending."""
        with suppress(Empty):
            while (job := self._work.get_nowait()) is not None:
                job[0].cancel()
        for _ in range(self._threads):
            self._work.put(None)


class Threads:
    """So many threads for one kind of work, made when they are needed; more work waits, first come, first served.

    asyncio's `to_thread` has one pool for everything, name look-ups too: a disk that hangs under six pictures stops all
    of it, and its way through two futures and three locks takes 12 to 20 µs of the processor more. anyio's `to_thread`
    with a limiter gives a cancelled caller's place back while its thread still runs, so that restarts over such a disk
    would pile threads up, and took a fifth more of the processor for a pushed picture (docs/architecture.md).
    """

    def __init__(self, kind: str, most: int) -> None:
        """`kind` is the name of the work and of its threads; `most` run at a time."""
        self.kind = kind
        self.most = most
        self._pools: dict[asyncio.AbstractEventLoop, tuple[_Pool, AsyncGenerator[None, None]]] = {}

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the work in one of the threads, with the caller's context variables; raises what it raises.

        Cancelled while it waits its turn, it is not begun. Cancelled later, it goes on and keeps its thread until it
        has ended.
        """
        loop = asyncio.get_running_loop()
        pool, _ = self._pools.get(loop) or await self._begin(loop)
        found: T = await pool.begin(partial(copy_context().run, partial(work, *args, **kwargs)))
        return found

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> tuple[_Pool, AsyncGenerator[None, None]]:
        pool = _Pool(loop, self.kind, self.most)
        life = self._last_as_long_as(loop, pool)
        self._pools[loop] = pool, life
        await anext(life)
        return pool, life

    async def _last_as_long_as(self, loop: asyncio.AbstractEventLoop, pool: _Pool) -> AsyncGenerator[None, None]:
        """Stay open until the event loop closes its generators, as each does before it ends; then end the pool."""
        try:
            yield
        finally:
            del self._pools[loop]
            pool.end()
