"""Lines to standard output or standard error, as the process was given them. It blocks; a thread calls it."""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from pump.sinks.common.cut_short import CutShort

_ATOMIC: Final = 4096
"""Bytes. A pipe that is ready takes this much (PIPE_BUF) without blocking, and never mixes it with another's."""
_LOOK_MS: Final = 100
"""The interval at which a writer that waits for its reader looks whether it is to end."""

_torn: Final[set[int]] = set()
"""Descriptors on which a line was left unfinished. They are the process's own, and outlive every sink."""


class LineStream:
    """Lines to the descriptor `fd`, at least once. `abort` ends a write whose reader does not read."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._aborted = threading.Event()

    def write(self, bodies: Sequence[bytes]) -> None:
        """Write the lines. Raises CutShort: the reader is gone."""
        sent = 0
        if self._fd in _torn:
            bodies = [b"", *bodies]  # ends the line that another opening left
            sent = -1
        try:
            regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
            for count, chunk in _chunks(bodies, 1 << 20 if regular else _ATOMIC):
                if not self._put(chunk, regular):
                    raise CutShort("its reader does not read", max(sent, 0))
                sent += count
        except OSError as error:
            raise CutShort(f"its reader is gone ({os.strerror(error.errno or 0)})", max(sent, 0)) from error

    def abort(self) -> None:
        """End a write that is on its way, at the next line where that is soon."""
        self._aborted.set()

    def _put(self, chunk: bytes, regular: bool) -> bool:
        ready = select.poll()
        ready.register(self._fd, select.POLLOUT)
        view = memoryview(chunk)
        done = 0
        while done < len(chunk):
            while not regular and not ready.poll(_LOOK_MS):
                if self._aborted.is_set():
                    return False
            try:
                done += os.write(self._fd, view[done : done + (len(view) if regular else _ATOMIC)])
            except BlockingIOError:
                continue  # the descriptor was handed to us non-blocking, and another writer was quicker
            if chunk.endswith(b"\n", 0, done):
                _torn.discard(self._fd)
            else:
                _torn.add(self._fd)
        return True


def _chunks(bodies: Sequence[bytes], limit: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines put together up to `limit` bytes, with their number; a longer line stands alone."""
    waiting: list[bytes] = []
    size = 0
    for body in bodies:
        if waiting and size + len(body) + 1 > limit:
            yield len(waiting), b"\n".join(waiting) + b"\n"
            waiting, size = [], 0
        waiting.append(body)
        size += len(body) + 1
    if waiting:
        yield len(waiting), b"\n".join(waiting) + b"\n"
