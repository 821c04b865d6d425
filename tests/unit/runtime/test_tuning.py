"""The heap after a burst: what is free in its middle goes back to the system."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

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
