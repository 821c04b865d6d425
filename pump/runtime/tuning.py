"""Settings of the interpreter, the C library and the process that the pump's pace and size depend on.

Each is measured (docs/measurements.md, tests/bench).
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pump.runtime.descriptors import raise_limit
from pump.runtime.modes import restrict

SWITCH_SECONDS: Final = 0.0001
"""So long a thread waits for the interpreter beside a busy loop: at Python's 5 ms SQLite's statements trickle."""
THRESHOLDS: Final = (50_000, 20, 100)
"""A decoded batch of 500 records makes some 8,000 containers that die together: at its defaults the collector
walks through them dozens of times before they do, and decoding takes four times as long."""
WHOLE: Final = 10
"""Every so many of the collector's rounds is a whole one."""

_MALLOC: Final = {
    -8: 2,  # M_ARENA_MAX: by default eight a core, each of which keeps the most that its threads ever held
    # M_MMAP_THRESHOLD: what is larger goes back at once; left alone it grows to 32 MiB by itself. A pushed picture of
    # 200 KB is a body of 267, and at 256 KiB each of its copies was 66 fresh pages.
    -3: 1 << 20,
    -1: 1 << 20,  # M_TRIM_THRESHOLD: the same of a heap's end
}
"""glibc's mallopt(3): parameters and values."""
_LOOSE: Final = 16 << 20
"""Free bytes inside of the heap from which they are given back. A burst leaves 40 MiB of holes between what stays, and
mallopt's threshold looks at the heap's end alone; what is free in steady traffic is less, and soon used again."""


def prepare_process() -> None:
    """For a process that is the daemon's own, before it begins: its limits, its files' modes, its memory."""
    raise_limit()
    restrict()
    bound_malloc()


def bound_malloc() -> None:
    """Have glibc give back what is no longer used; before threads begin. Other C libraries are left alone."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        for parameter, value in _MALLOC.items():
            libc.mallopt(parameter, value)


class _Mallinfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def give_back() -> bool:
    """Give what is free inside of the heap back to the system, where that is much; True where it was.

    In a thread, for some milliseconds. Other C libraries than glibc 2.33 and newer are left alone.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return False
    libc.mallinfo2.restype = _Mallinfo
    if libc.mallinfo2().fordblks < _LOOSE:
        return False
    libc.malloc_trim(0)
    return True


class Collecting:
    """The collector's rounds by time, for by number they come too seldom: at 230 events a second it looks at the young
    each ten minutes, at the older ones after hours, and at the oldest after days. What the pump leaves in
    cycles until then is memory that grows."""

    def __init__(self) -> None:
        self._rounds = 0

    def collect(self) -> None:
        """One round, of a few milliseconds; each `WHOLE`th walks through all that was made since the start: 30 ms for
        65,000 containers."""
        self._rounds += 1
        gc.collect(1 if self._rounds % WHOLE else 2)


@contextmanager
def tuned() -> Iterator[None]:
    """Set them, and put them back at the end; who calls `gc.freeze` meanwhile need not undo it."""
    former = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        sys.setswitchinterval(former[0])
        gc.set_threshold(*former[1])
        gc.unfreeze()
