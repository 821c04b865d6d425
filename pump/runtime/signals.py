"""The process's signals, and its end when nothing else works."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

import structlog

log = structlog.get_logger()

_STOP: Final = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """SIGTERM and SIGINT ask to stop, SIGHUP to reload.

    Plain handlers of Python rather than the event loop's: they run between two bytecodes even while a callback keeps
    the loop from turning, so that the last resort is armed also then. Main thread only.
    """

    def __init__(self, stop: Callable[[str], None], reload: Callable[[], None]) -> None:
        """`stop` gets the signal's name. Both run in the main thread at any moment: they may only set things off."""
        self._stop = stop
        self._reload = reload

    def install(self) -> None:
        """Take the signals over, until the process ends."""
        for number in _STOP:
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)

    def _on_stop(self, number: int, _: FrameType | None) -> None:
        self._stop(signal.Signals(number).name)

    def _on_reload(self, _: int, __: FrameType | None) -> None:
        self._reload()


class LastResort:
    """Ends the process at a deadline, whatever still runs in it: a hung thread, a task that will not be cancelled.

    A daemon thread waits from the beginning, so that arming it from a signal handler starts nothing and takes no
    lock that the interrupted code may hold (SimpleQueue.put is made for that). A process that ends by itself is
    not held up.
    """

    def __init__(self, code: Callable[[], int]) -> None:
        """`code` gives the exit status, asked at the deadline, from another thread."""
        self._code = code
        self._deadlines: queue.SimpleQueue[float] = queue.SimpleQueue()
        threading.Thread(target=self._wait, name="last resort", daemon=True).start()

    def arm(self, seconds: float) -> None:
        """The process ends in `seconds` at the latest; a later call can only bring that forward."""
        self._deadlines.put(time.monotonic() + seconds)

    def _wait(self) -> None:
        deadline = self._deadlines.get()
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                deadline = min(deadline, self._deadlines.get(timeout=left))
        code = self._code()
        # the log's own locks or a full pipe may be what hangs: it gets a second in a thread of its own
        farewell = threading.Thread(target=_flush, args=(code,), name="farewell", daemon=True)
        with contextlib.suppress(RuntimeError):  # newer Pythons start no thread while the interpreter ends
            farewell.start()
            farewell.join(1.0)
        os._exit(code)


def take_over(
    stop: Callable[[str], object], reload: Callable[[], object], *, within: float, code: Callable[[], int]
) -> LastResort:
    """Have the process's signals call these on the running event loop, and a stop end it within so many seconds.

    `stop` gets the signal's name; `code` gives the exit status of an end by force.
    """
    loop = asyncio.get_running_loop()
    last = LastResort(code)

    def on_stop(name: str) -> None:
        last.arm(within)
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop, name)

    def on_reload() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(reload)

    Signals(on_stop, on_reload).install()
    return last


def _flush(code: int) -> None:
    running = sorted(thread.name for thread in threading.enumerate() if not thread.daemon)
    log.error("The process does not end by itself and is ended", code=code, threads=running)
    logging.shutdown()
    for stream in (sys.stderr, sys.stdout):
        stream.flush()
