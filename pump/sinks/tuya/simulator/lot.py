"""A parking lot that has its own count, as the document has it: it compares, and re-reports where the two differ.

"The parking lot verifies the number within the same time period. If the two numbers are inconsistent, the corresponding
data in the time period will be re-reported."
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Own(NamedTuple):
    """A vehicle pass, or a bill, as the lot has it."""

    at: int
    """Milliseconds since 1970."""
    name: str
    """The lot's own."""
    report: Callable[[], object]
    """Has it reported once more."""


class Claim(NamedTuple):
    """A count that was given to the lot."""

    data_type: int
    direction: int | None
    start: int
    end: int
    total: int


class Lot:
    """One lot. Without a count of its own (`knows` is false) it agrees with everything."""

    def __init__(self, *, knows: bool = True, supported: bool = True) -> None:
        """`supported` false: the lot is one of Jieshun's, which do not take the command."""
        self.knows = knows
        self.supported = supported
        self.claims: list[Claim] = []
        """All that it was given, in order."""
        self.rereported = 0
        self._own: dict[tuple[int, int | None], list[Own]] = defaultdict(list)

    def saw(self, own: Own, *, data_type: int = 0, direction: int | None = None) -> None:
        """A vehicle passes, or a bill is made."""
        kept = self._own[data_type, direction]
        kept.insert(bisect_left(kept, own.at, key=lambda each: each.at), own)

    def own(self, data_type: int, direction: int | None, start: int, end: int) -> Sequence[Own]:
        """The lot's own records of a stretch of time."""
        kept = self._own[data_type, direction]
        first, last = (bisect_left(kept, at, key=lambda each: each.at) for at in (start, end))
        return kept[first:last]

    def verify(self, claim: Claim) -> bool:
        """Take a count; whether it agrees. Where it does not, all of that time is reported once more."""
        self.claims.append(claim)
        mine = self.own(claim.data_type, claim.direction, claim.start, claim.end)
        if not self.knows or len(mine) == claim.total:
            return True
        for one in mine:
            self.rereported += 1
            one.report()
        return False

    def newest(self) -> dict[tuple[int, int | None, int, int], int]:
        """The count given last, by data_type, direction, start and end."""
        return {(claim.data_type, claim.direction, claim.start, claim.end): claim.total for claim in self.claims}

    def disagreements(self) -> list[Claim]:
        """Of these, those that differ from the lot's own count now."""
        found = (Claim(*key, count) for key, count in self.newest().items())
        return [
            claim
            for claim in found
            if len(self.own(claim.data_type, claim.direction, claim.start, claim.end)) != claim.total
        ]
