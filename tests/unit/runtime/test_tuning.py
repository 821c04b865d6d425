"""The heap after a burst, whose holes go back to the system; and the collector, which comes by with the time."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import weakref

import pytest

from pump.runtime.tuning import WHOLE, Collecting

_BURST = """
import os, random
from pathlib import Path
from pump.runtime.tuning import bound_malloc, give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

bound_malloc()
sizes = random.Random(1)
kept, gone = [], []
assert not give_back(), "nothing is free yet"
for number in range(60_000):
    (gone if number % 50 else kept).append(bytes(sizes.choice((600, 1500, 9000))))
most = resident()
gone.clear()
left = resident()
assert give_back()
print(most, left, resident())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="not glibc 2.33 or newer")
def test_what_a_burst_leaves_between_what_stays_is_given_back() -> None:
    said = subprocess.run([sys.executable, "-c", _BURST], capture_output=True, text=True, check=True, timeout=120)
    most, left, after = map(float, said.stdout.split())
    assert left > most - 20, "its holes lie below what stays, and mallopt's threshold is of the heap's end"
    assert after < most - 150


def test_the_collector_comes_by_with_the_time_and_now_and_then_through_all() -> None:
    def whole() -> int:
        return int(gc.get_stats()[2]["collections"])

    gc.disable()
    try:
        collecting, before = Collecting(), whole()
        for _ in range(WHOLE - 1):
            ring: list[object] = []
            ring.append(ring)
            gone = weakref.ref(cell := _Cell())
            ring.append(cell)
            del ring, cell
            collecting.collect()
            assert gone() is None
        assert whole() == before
        collecting.collect()
        assert whole() == before + 1
    finally:
        gc.enable()


class _Cell:
    """Something that can be watched."""
