"""A window of the ledger: what was counted in it, and what the lot has accepted. Pure values.

A window is a stretch of time, [start, end) in milliseconds since 1970. Three counts belong to it, by kind: vehicles in,
vehicles out, temporary bills. The first two are reported together (data_type 0), the third by itself (data_type 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

Kind = Literal["in", "out", "bill"]

KINDS: Final[tuple[Kind, ...]] = ("in", "out", "bill")
OF_TYPE: Final[dict[int, tuple[Kind, ...]]] = {0: ("in", "out"), 1: ("bill",)}
"""The kinds that a report of each data_type holds."""
DIRECTIONS: Final[dict[Kind, int | None]] = {"in": 0, "out": 1, "bill": None}
"""The vendor's pass_direction of each kind."""


@dataclass(slots=True)
class Window:
    """One stretch of time."""

    start: int
    end: int
    counts: dict[Kind, int] = field(default_factory=dict)
    """Events of each kind; a kind that is not there had none."""
    sent: dict[Kind, int] = field(default_factory=dict)
    """The counts that the lot has accepted; a kind that is not there was never reported."""
    sn: dict[int, str] = field(default_factory=dict)
    """The number of the newest accepted command, by data_type."""
    seq: int = 0
    """The highest number of an event that was counted here: what comes again has one that is not above it."""
    changed: int = 0
    """When the newest event that was counted here arrived (milliseconds since 1970); 0: none was."""
    refused: str = ""
    """The vendor's words of the newest refusal that was about this window; "" once it is accepted."""

    def count(self, kind: Kind) -> int:
        """Events of this kind."""
        return self.counts.get(kind, 0)

    def differs(self, kinds: tuple[Kind, ...]) -> bool:
        """True where the lot has not accepted the present counts of these kinds.

        Of a report that was accepted, a kind that it did not hold (the direction table has grown since) matters once
        something is counted.
        """
        known = any(kind in self.sent for kind in kinds)
        return any(self.count(kind) != self.sent.get(kind, 0 if known else None) for kind in kinds)

    def json(self) -> dict[str, Any]:
        """As it is stored, under its start."""
        found: dict[str, Any] = {"end": self.end, "counts": dict(self.counts), "seq": self.seq, "changed": self.changed}
        if self.sent:
            found |= {"sent": dict(self.sent), "sn": {str(kind): sn for kind, sn in self.sn.items()}}
        return {**found, "refused": self.refused} if self.refused else found

    @classmethod
    def of(cls, start: int, kept: Mapping[str, Any]) -> Window:
        """As `json` gave it. Raises KeyError, TypeError, ValueError for what it did not give."""
        return cls(
            start,
            int(kept["end"]),
            _counts(kept["counts"]),
            _counts(kept.get("sent", {})),
            {int(kind): str(sn) for kind, sn in kept.get("sn", {}).items()},
            int(kept["seq"]),
            int(kept["changed"]),
            str(kept.get("refused", "")),
        )


def _counts(kept: Mapping[str, Any]) -> dict[Kind, int]:
    return {kind: int(kept[kind]) for kind in KINDS if kind in kept}


class Report(NamedTuple):
    """What the lot is to be asked about now."""

    window: Window
    data_type: int
    counts: dict[Kind, int]
    """As they are when the report is made: more may be counted while it is on its way."""

    @property
    def name(self) -> tuple[int, int]:
        """The same for each try of it."""
        return self.window.start, self.data_type
