"""The log's way to standard error, which nobody may read: a pager, Ctrl-S, a container's log driver that is stuck.

A line that is not taken at once waits, up to a bound, and a thread writes it when it is: nothing else stands still.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

_ATOMIC: Final = 4096
"""Bytes. What is ready takes as many at once: PIPE_BUF of a pipe, and a socket is ready when most of it is free."""
_KEPT: Final = 1 << 20
"""Bytes of lines that wait for a reader; what comes then is lost."""
_PATIENCE: Final = 1.0
"""Seconds for what waits, when the process ends."""


class Outlet:
    """Lines to the descriptor `fd`, in their order; `write` never waits for who reads them.

    Other writers of the same descriptor are not made non-blocking by it: it is the process's, and often its parent's.
    """

    def __init__(self, fd: int, *, resumed: Callable[[int], object] = lambda lines: None) -> None:
        """`resumed` is called in a thread when lines are read again, with the number of those lost meanwhile."""
        self._fd = fd
        self._resumed = resumed
        # One that its own thread may take again: a handler of a signal logs between two steps of this very code.
        self._turn = threading.RLock()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._idle = threading.Event()
        self._idle.set()
        """Nothing waits, and no thread writes."""
        self._unsaid = 0
        self.lost = 0
        """Lines that were not written, for too many waited or their reader is gone."""

    def write(self, line: bytes) -> None:
        """Write the line now or, if that would block, later; where its reader is gone it goes nowhere."""
        with self._turn:
            waits = bool(self._waiting)
            rest = line if waits else self._put(line)
            if not rest:
                return
            if waits and self._size + len(rest) > _KEPT:
                self.lost += 1
                self._unsaid += 1
            else:
                self._waiting.append(rest)
                self._size += len(rest)
            if self._idle.is_set():
                self._idle.clear()
                try:
                    threading.Thread(target=self._drain, name="log", daemon=True).start()
                except RuntimeError:  # the system gives none now; the next line asks again
                    self._idle.set()

    def close(self) -> None:
        """Give what waits a moment, at the process's end."""
        self._idle.wait(_PATIENCE)

    def _drain(self) -> None:
        """Write what waits; in a thread."""
        ready = _ready(self._fd)
        while True:
            ready.poll()
            with self._turn:
                line = self._waiting.popleft()
                rest = self._put(line)
                self._size += len(rest) - len(line)
                if rest:
                    self._waiting.appendleft(rest)
                if self._waiting:
                    continue
                if not self._unsaid:
                    self._idle.set()
                    return
                lines, self._unsaid = self._unsaid, 0
                self._waiting.append(b"")  # what is logged meanwhile, this too, comes behind what was written
            self._resumed(lines)

    def _put(self, line: bytes) -> bytes:
        """Write as much as is taken without waiting; what is left."""
        ready = _ready(self._fd)  # of this call: two threads may not ask the same object
        try:
            while line and ready.poll(0):
                line = line[os.write(self._fd, line[:_ATOMIC]) :]
        except BlockingIOError:  # it was handed to us non-blocking, and another writer was quicker
            return line
        except OSError:  # there is nowhere left to report it but the count
            self.lost += 1
            return b""
        return line


def _ready(fd: int) -> select.poll:
    found = select.poll()
    found.register(fd, select.POLLOUT)
    return found
