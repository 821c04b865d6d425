"""A plug-in of pytest: a test that fails, hangs or is interrupted ends, and so does the session.

Four things could keep it: tasks that swallow their cancellation, a time-out that lands in a task whose failures
nobody looks at, threads that wait for ever, and calls that hold the interpreter. Each is bounded here, in one place,
for whatever runs coroutines (`asyncio.run`, `asyncio.Runner`, anyio's plug-in, uvloop).
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any, Final, TextIO

import aiosqlite
import pytest
import pytest_timeout  # type: ignore[import-untyped]

from pump.runtime.signals import LastResort

LEAVING = 10.0
"""Seconds that cancelled tasks, and a test's threads, have to end; half the time-out where that is shorter."""
LAST: Final = 5.0
"""Seconds that the process has once its session is over."""
AGAIN: Final = 2
"""Times that long until a time-out is raised once more, which may have landed where nobody looks."""
FORCE: Final = 6
"""Times that long after its time-out a test must have ended; or else its process does."""

_leaving: list[float] = [LEAVING]
_SETTINGS: Final = pytest.StashKey[Any]()
_abandoned: list[object] = []
"""What was given up, kept: a pending task that is collected complains in the midst of another test."""
_stderr: list[TextIO] = []
"""The process's own, which pytest does not capture."""
_status: list[int] = [1]


class LeftRunning(Exception):
    """A test's coroutine has ended, and tasks of it do not."""


# --- the event loop's end ---------------------------------------------------------------------------------------

_close = asyncio.Runner.close


def _bounded_close(runner: asyncio.Runner) -> None:
    """`asyncio.Runner.close`, without its waits for ever. Raises LeftRunning, or notes it on what is being raised."""
    try:
        loop = runner.get_loop()
    except RuntimeError:  # closed already
        return
    stubborn: list[str] = []
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=_leaving[0]))
    finally:  # also where the time-out cuts that short
        for task in asyncio.all_tasks(loop):
            stubborn.append(task.get_name())
            _abandoned.append(task)
            asyncio.tasks._unregister_task(task)
        # A fresh one is shut down at once; the old one's threads end with their call, and are waited for below.
        loop.set_default_executor(ThreadPoolExecutor(1))
        _close(runner)
    if stubborn:
        text = f"tasks do not end though they were cancelled: {', '.join(sorted(stubborn))}"
        if (raised := sys.exc_info()[1]) is None:
            raise LeftRunning(text)
        raised.add_note(text)


# --- a test's end -----------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a test that leaves a thread running or a connection open."""
    before = set(threading.enumerate())
    try:
        done = yield
    except BaseException:
        _left(before, 0.0)
        raise
    if left := _left(before, _leaving[0]):
        pytest.fail(f"left running: {', '.join(left)}", pytrace=False)
    return done


def _left(before: set[threading.Thread], wait: float) -> list[str]:
    """The names of threads that have begun since and do not end in so many seconds; connections are closed then."""
    deadline = time.monotonic() + wait
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [thread for thread in left if thread.is_alive()]
    if left:
        for each in gc.get_objects():
            if isinstance(each, aiosqlite.Connection) and each._thread in left:
                _abandoned.append(each)
                each.stop()
                each._thread.join(_leaving[0])
    return sorted(thread.name for thread in left)


@pytest.hookimpl
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """The time-out of pytest-timeout, raised in the main thread again and again until it is through."""
    if threading.current_thread() is not threading.main_thread():
        return None  # no signals there: pytest-timeout's own way
    item.stash[_SETTINGS] = settings
    leaving = _leaving[0] = min(LEAVING, settings.timeout / 2)

    def late(_: int, frame: FrameType | None) -> None:
        if settings.disable_debugger_detection or not pytest_timeout.is_debugging():
            faulthandler.dump_traceback(_stderr[0], all_threads=True)
            pytest.fail(f"Timeout (>{settings.timeout:g} s)")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, AGAIN * leaving)
    if not pytest_timeout.is_debugging():
        faulthandler.dump_traceback_later(settings.timeout + FORCE * leaving, exit=True, file=_stderr[0])
    return True


@pytest.hookimpl
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """Let the test be."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Give the fixtures' ends their time too: pytest-timeout counts no further once a test has failed."""
    settings = item.stash.get(_SETTINGS, None)
    if settings is not None and not item.config.getvalue("usepdb"):
        pytest_timeout_set_timer(item, settings)
    yield


# --- the session's end ------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Take the process's own stderr before pytest captures it; SIGUSR1 writes there where every thread stands."""
    _stderr.append(os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace"))
    faulthandler.register(signal.SIGUSR1, file=_stderr[0], all_threads=True)
    asyncio.Runner.close = _bounded_close  # type: ignore[assignment, method-assign]


def pytest_runtest_logstart(nodeid: str) -> None:
    """Note in the file that .ci/run names which tests are on their way."""
    _note("begins", nodeid)


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Note there which have ended."""
    _note("ends", nodeid)


def _note(what: str, nodeid: str) -> None:
    if (path := os.environ.get("PUMP_TESTS_JOURNAL")) and "PYTEST_XDIST_WORKER" not in os.environ:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{what} {nodeid.replace(' ', '_')}\n")


def pytest_sessionfinish(exitstatus: int) -> None:
    """Keep the status for an end by force."""
    _status[0] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """From here on the process ends, whatever thread still hangs."""
    asyncio.Runner.close = _close  # type: ignore[method-assign]
    LastResort(lambda: _status[0]).arm(LAST)
