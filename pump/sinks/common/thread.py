"""Threads for sinks' blocking calls: mostly one for all, which outlives no cancellation and keeps no process."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, TypeVar

T = TypeVar("T")

_PATIENCE: Final = 0.005
"""Seconds in which no call is begun, while one waits, after which one more thread begins."""

_crews: Final[dict[asyncio.AbstractEventLoop, _Crew]] = {}


class SinkThread:
    """A sink's way to a thread: a file system that hangs must not take a thread that others wait for.

    The sinks of an event loop share a thread for as long as none keeps it for long: a thread each woke as many threads
    a commit as there are sinks, and half of the processor's time went into their turns (docs/measurements.md).
    """

    def __init__(self, name: str) -> None:
        """`name` is the thread's while it is at a call of this sink."""
        self._name = name
        self._crew: _Crew | None = None
        self._closed = False

    async def run(self, work: Callable[[], T], abort: Callable[[], object] | None = None) -> T:
        """The result of `work`, or its exception, called in a thread. Raises RuntimeError after `close`.

        A call in a thread cannot be cancelled. A cancellation calls `abort`, waits until the call has ended, and
        is raised then, whatever the call's end was: whoever cancelled may take the file over at once. So there is one
        call at a time.
        """
        call = self._begin(work)
        loop = asyncio.get_running_loop()
        cancelled: asyncio.CancelledError | None = None
        while not call.ended:
            call.waiter = loop.create_future()
            try:
                await call.waiter
            except asyncio.CancelledError as error:
                # Kept until the thread has ended, and through repeated cancellations: the next opening reads the
                # file's tail and cuts it, which must not happen under a write that is still on its way.
                cancelled = error
                if abort is not None:
                    abort()
        try:
            if cancelled is not None:
                raise cancelled
            if call.failure is not None:
                raise call.failure
            found: T = call.result
            return found
        finally:
            call.failure = cancelled = None  # their tracebacks hold this frame

    def _begin(self, work: Callable[[], Any]) -> _Call:
        if self._closed:
            raise RuntimeError("this thread was let go")
        if self._crew is None:
            loop = asyncio.get_running_loop()
            self._crew = _crews.setdefault(loop, _Crew(loop))
            self._crew.sinks += 1
        call = _Call(self._name, work)
        self._crew.begin(call)
        return call

    def close(self) -> None:
        """Let the thread go; without waiting, for it is idle, another's, or hangs."""
        if self._crew is not None and not self._closed:
            self._crew.leave()
        self._closed = True


class _Call:
    """One call, and what became of it."""

    __slots__ = ("ended", "failure", "name", "result", "waiter", "work")

    def __init__(self, name: str, work: Callable[[], Any]) -> None:
        self.name = name
        self.work: Callable[[], Any] | None = work
        self.ended = False
        self.result: Any = None
        self.failure: BaseException | None = None
        self.waiter: asyncio.Future[None] | None = None


class _Crew:
    """The threads of one event loop's sinks. One more begins wherever a call waits behind one that takes long.

    Daemon threads and no executor's, for those are joined when Python ends, however long their call hangs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.sinks = 0
        """Those that may call."""
        self._loop = loop
        self._calls: deque[_Call] = deque()
        """Those that no thread has begun."""
        self._bell: SimpleQueue[bool] = SimpleQueue()
        """True has a thread see to the calls, False has one do so and end."""
        self._ringing = False
        """The loop will ring it."""
        self._ended: deque[_Call] = deque()
        self._collecting = False
        """The loop will look at `_ended`."""
        self._threads = self._under_way = 0
        self._taken = self._seen = 0
        """Calls that a thread has begun, now and at the last look."""
        self._looking = False

    def begin(self, call: _Call) -> None:
        """Have it done.

        Where sinks share, the bell waits for the loop's next pass. A commit has all of them call in one, and a thread
        that woke at the first call would take the interpreter from the loop again and again while it makes the others.
        """
        if not self._threads:
            self._one_more()
        self._under_way += 1
        self._calls.append(call)
        if self.sinks == 1:
            self._ring()
        elif not self._ringing:
            self._ringing = True
            self._loop.call_soon(self._ring)

    def _ring(self) -> None:
        self._ringing = False
        self._bell.put(True)
        self._look_soon()

    def _look_soon(self) -> None:
        if not self._looking:
            self._looking = True
            self._seen = self._taken
            self._loop.call_later(_PATIENCE, self._look)

    def _look(self) -> None:
        """Find calls that wait behind others, for as long as there are any, and the ends of those before them."""
        self._looking = False
        self._collect()
        if self._calls:
            stands = self._taken == self._seen
            self._look_soon()
            if stands:
                if self._threads < self._under_way:
                    with suppress(RuntimeError):  # the system gives no thread now; the next look asks again
                        self._one_more()
                if self._bell.empty():  # else it would grow while all threads hang and the system gives no other
                    self._bell.put(True)

    def _one_more(self) -> None:
        threading.Thread(target=self._serve, name="sinks", daemon=True).start()
        self._threads += 1

    def _dismiss(self, keep: int) -> None:
        while self._threads > keep:
            self._threads -= 1
            self._bell.put(False)

    def leave(self) -> None:
        """One sink calls no more; after the last the threads end."""
        self.sinks -= 1
        if not self.sinks:
            del _crews[self._loop]
            self._dismiss(keep=0)  # one that hangs ends when it comes back

    def _serve(self) -> None:
        thread = threading.current_thread()
        stays = True
        while stays:
            stays = self._bell.get()
            while self._calls:
                try:
                    call = self._calls.popleft()
                except IndexError:  # another thread was quicker
                    break
                self._taken += 1  # two threads may count one for two: a look then sees less, and comes again
                thread.name = call.name  # for stacks
                work, call.work = call.work, None
                assert work is not None  # a call is begun once
                try:
                    call.result = work()
                except BaseException as error:  # noqa: BLE001  # handed to whoever waits
                    call.failure = error
                self._ended.append(call)
                del call, work  # they may hold a batch, and the next may be hours away
            # Once for all of them, for the same reason; where one takes long, a look finds those before it.
            if self._ended and not self._collecting:
                self._collecting = True
                with suppress(RuntimeError):  # the loop that asked has ended: nobody waits for the answer
                    self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        """Give what has ended to who waits for it; one waking of the loop serves many."""
        self._collecting = False
        while self._ended:
            call = self._ended.popleft()
            self._under_way -= 1
            call.ended = True
            if call.waiter is not None and not call.waiter.done():
                call.waiter.set_result(None)
        self._dismiss(keep=min(1, self.sinks) + self._under_way)
