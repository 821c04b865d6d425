"""One thread for a sink's blocking calls, which outlives no cancellation and keeps no process from ending."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

_Call = tuple["asyncio.Future[Any]", Callable[[], Any]]


class SinkThread:
    """A thread of the sink's own: a file system that hangs must not take a thread that others wait for.

    A daemon thread and no executor's, for those are joined when Python ends, however long their call hangs.
    """

    def __init__(self, name: str) -> None:
        """`name` is the thread's, which begins with the first call."""
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._begun = self._closed = False

    async def run(self, work: Callable[[], T], abort: Callable[[], object] | None = None) -> T:
        """The result of `work`, or its exception, called in the thread. Raises RuntimeError after `close`.

        A call in a thread cannot be cancelled. A cancellation calls `abort`, waits until the call has ended, and
        is raised then, whatever the call's end was: whoever cancelled may take the file over at once.
        """
        running = self._call(work)
        cancelled: asyncio.CancelledError | None = None
        while not running.done():
            try:
                await asyncio.wait({running})
            except asyncio.CancelledError as error:
                # Kept until the thread has ended, and through repeated cancellations: the next opening reads the
                # file's tail and cuts it, which must not happen under a write that is still on its way.
                cancelled = error
                if abort is not None:
                    abort()
        if cancelled is not None:
            running.exception()  # looked at, so that the loop does not report it as never retrieved
            raise cancelled
        return running.result()

    def _call(self, work: Callable[[], T]) -> asyncio.Future[T]:
        if self._closed:
            raise RuntimeError("this thread was let go")
        if not self._begun:
            Thread(target=_serve, args=(self._calls,), name=self._name, daemon=True).start()
            self._begun = True
        running: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put((running, work))
        return running

    def close(self) -> None:
        """Let the thread end; without waiting, for it is idle or hangs."""
        self._closed = True
        self._calls.put(None)


def _serve(calls: SimpleQueue[_Call | None]) -> None:
    while (call := calls.get()) is not None:
        _answer(*call)
        del call  # it may hold a batch, and the next may be hours away


def _answer(running: asyncio.Future[Any], work: Callable[[], Any]) -> None:
    result: Any = None
    failure: BaseException | None = None
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001  # handed to whoever waits
        failure = error
    with suppress(RuntimeError):  # the loop that asked has ended: nobody waits for the answer
        running.get_loop().call_soon_threadsafe(_settle, running, result, failure)
    failure = None  # its traceback holds this frame


def _settle(running: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
    if running.done():
        return
    if failure is not None:
        running.set_exception(failure)
    else:
        running.set_result(result)
