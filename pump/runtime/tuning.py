"""The interpreter's settings that the pump's pace depends on, each measured (docs/measurements.md, tests/bench)."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SWITCH_SECONDS: Final = 0.0001
"""So long a thread waits for the interpreter beside a busy loop: at Python's 5 ms SQLite's statements trickle."""
THRESHOLDS: Final = (50_000, 20, 100)
"""A decoded batch of 500 records makes some 8,000 containers that die together: at its defaults the collector
walks through them dozens of times before they do, and decoding takes four times as long."""


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
