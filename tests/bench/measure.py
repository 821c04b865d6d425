"""Ratios against a limit measured in the same run: repetitions interleaved, medians compared.

Absolute figures of this machine mean little (they wander by a third within an hour); what holds is the share of what
the same machine does at best in the same minute, and better still, under load, the processor's time for each event.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """What one run gave: events a second, and microseconds of processor time for each, 0 where they were not taken."""

    rate: float
    cpu: float = 0.0


@dataclass(frozen=True)
class Row:
    """A line of the table. `goal` and `value` are shares of the limit, or what `unit` says."""

    what: str
    value: float
    goal: str
    met: bool
    detail: str
    unit: str = ""

    def __str__(self) -> str:
        verdict = "ok  " if self.met else "MISS"
        return f"{self.what:<52} {self.value:>8.2f}{self.unit:<4} {self.goal:>10}  {verdict}  {self.detail}"


def turns(repetitions: int, **runs: Callable[[], T]) -> dict[str, list[T]]:
    """Each run's figures; the runs take turns, so that a slow minute hits all of them."""
    found: dict[str, list[T]] = {name: [] for name in runs}
    for _ in range(repetitions):
        for name, run in runs.items():
            found[name].append(run())
    return found


class Meter:
    """Measures from its making on: the wall's time, and the processor's of this process or of another one's."""

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid
        self._cpu = self._used()
        self._begun = time.perf_counter()

    def _used(self) -> float:
        return time.process_time() if self._pid is None else cpu_of(self._pid)

    @property
    def seconds(self) -> float:
        """Of the wall, so far."""
        return time.perf_counter() - self._begun

    @property
    def cpu(self) -> float:
        """Seconds of the processor, so far."""
        return self._used() - self._cpu

    def figure(self, events: int) -> Figure:
        """So many events were done since it was made."""
        return Figure(events / self.seconds, 1e6 * self.cpu / events)


def cpu_of(pid: int) -> float:
    """Seconds of processor time that a process has had, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_by(pid: int) -> float:
    """The same by the scheduler's own count, where a hundredth of a second is much; of the threads that live now."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def written_by(pid: int) -> int:
    """Bytes that a process has had written to disk."""
    return int(Path(f"/proc/{pid}/io").read_text().partition("\nwrite_bytes: ")[2].split()[0])


def interleaved(repetitions: int, **runs: Callable[[], Figure | float]) -> dict[str, Figure]:
    """The median of each run's figures; the runs take turns, so that a slow minute hits all of them."""
    return in_turns(repetitions, runs)


def in_turns(repetitions: int, runs: Mapping[str, Callable[[], Figure | float]]) -> dict[str, Figure]:
    """The same for runs whose names are no words."""
    found: dict[str, list[Figure]] = {name: [] for name in runs}
    for _ in range(repetitions):
        for name, run in runs.items():
            figure = run()
            found[name].append(figure if isinstance(figure, Figure) else Figure(figure))
    return {
        name: Figure(median(one.rate for one in figures), median(one.cpu for one in figures))
        for name, figures in found.items()
    }


def share(what: str, found: Figure | float, limit: Figure | float, goal: float, words: str) -> Row:
    """A row that compares two rates, and says what each took of the processor."""
    one, other = (each if isinstance(each, Figure) else Figure(each) for each in (found, limit))
    detail = f"{one.rate:,.0f} of {other.rate:,.0f} {words}"
    if one.cpu and other.cpu:
        detail += f"; CPU {one.cpu:.1f} of {other.cpu:.1f} µs each"
    elif one.cpu:
        detail += f"; CPU {one.cpu:.1f} µs each"
    return Row(what, one.rate / other.rate, f">= {goal:.2f}", one.rate >= goal * other.rate, detail)


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The power of the size with which the cost grows: the slope of the logarithms, by least squares."""
    xs, ys = [math.log(size) for size in sizes], [math.log(max(cost, 1e-12)) for cost in costs]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def show(title: str, rows: Iterator[Row]) -> bool:
    """Print a part of the table as it comes; False where its work was not all done, so that its figures are void."""
    print(f"\n{title}", flush=True)
    try:
        for row in rows:
            print(row, flush=True)
    except Exception as error:  # noqa: BLE001  # the other parts are measured all the same
        print(f"FAILED  the work of this row was not done, and the part ends here: {type(error).__name__}: {error}")
        return False
    return True
