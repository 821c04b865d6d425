"""Ratios against a limit measured in the same run: repetitions interleaved, medians compared.

Absolute figures of this machine mean little (they wander by a third within an hour); what holds is the share of what
the same machine does at best in the same minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

T = TypeVar("T")


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


def interleaved(repetitions: int, **runs: Callable[[], float]) -> dict[str, float]:
    """The median of each run's figure, in `turns`."""
    return {name: median(figures) for name, figures in turns(repetitions, **runs).items()}


def share(what: str, rate: float, limit: float, goal: float, words: str) -> Row:
    """A row that compares two rates."""
    return Row(what, rate / limit, f">= {goal:.2f}", rate >= goal * limit, f"{rate:,.0f} of {limit:,.0f} {words}")


def show(title: str, rows: Iterator[Row]) -> None:
    """Print a part of the table as it comes."""
    print(f"\n{title}")
    for row in rows:
        print(row, flush=True)
