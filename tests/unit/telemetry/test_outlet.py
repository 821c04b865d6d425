"""The log's way out, before a reader that does not read, reads again, or is gone."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from pump.telemetry.outlet import Outlet

_LINES = [b"%06d %s\n" % (number, b"x" * 91) for number in range(12_000)]
"""1.2 MB, in lines of 99 bytes."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of one page that nobody reads yet."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def read(reading: int, complete: Callable[[bytes], bool]) -> bytes:
    """What comes until it is complete."""
    found = b""
    while not complete(found):
        found += os.read(reading, 65536)
    return found


def threads_end() -> None:
    """None is left at work; pytest's time-out says so otherwise."""
    for thread in threading.enumerate():
        if thread.name == "log":
            thread.join()


def test_lines_wait_for_their_reader_and_keep_their_order(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])
    for line in _LINES[:1000]:
        outlet.write(line)  # an Outlet that blocked would stand here
    assert read(pipe[0], lambda found: len(found) >= 99_000) == b"".join(_LINES[:1000])
    outlet.close()
    outlet.write(_LINES[1000])
    assert read(pipe[0], bool) == _LINES[1000]
    assert outlet.lost == 0
    threads_end()


def test_a_line_longer_than_a_pipe_is_whole_and_alone(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])
    for line in (b"a" * 50_000 + b"\n", b"b\n"):
        outlet.write(line)
    assert read(pipe[0], lambda found: found.endswith(b"b\n")) == b"a" * 50_000 + b"\nb\n"


def test_what_is_too_much_is_lost_counted_and_told_once_when_lines_are_read_again(pipe: tuple[int, int]) -> None:
    told: list[int] = []

    def resumed(lines: int) -> None:
        told.append(lines)
        outlet.write(b"%d were lost\n" % lines)

    outlet = Outlet(pipe[1], resumed=resumed)
    for line in _LINES:
        outlet.write(line)
    lost = outlet.lost
    assert 0 < lost < 2000
    found = read(pipe[0], lambda found: found.endswith(b"were lost\n"))
    assert found == b"".join(_LINES[: 12_000 - lost]) + b"%d were lost\n" % lost
    outlet.close()
    assert told == [lost]
    outlet.write(_LINES[0])
    assert read(pipe[0], bool) == _LINES[0]


def test_a_reader_that_goes_away_stops_nothing() -> None:
    reading, writing = os.pipe()
    outlet = Outlet(writing)
    for line in _LINES[:2000]:
        outlet.write(line)
    os.close(reading)
    outlet.close()
    waited = outlet.lost
    outlet.write(b"nowhere\n")
    assert (waited > 1000, outlet.lost) == (True, waited + 1)
    threads_end()
    os.close(writing)
