"""The trial of a part: what `pump check --online` finds by logging in and asking, without changing anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

NOTHING: Final = "it calls nobody"
"""Of a part that has nothing to try."""
_DATED: Final = 2.0
"""Seconds within which a clock that is given in whole seconds, after a call's way, counts as right."""


@dataclass(slots=True)
class Trial:
    """The book of one part's trial; the part writes, facts in plain words as they are found, none of them a secret."""

    found: list[str] = field(default_factory=list)
    not_tried: list[str] = field(default_factory=list)
    """What would change something, and was left alone."""
    skew_s: float | None = None
    """Seconds that the peer's clock is ahead of ours; None where it has not said."""

    def clock(self, said: str | None, now: datetime) -> None:
        """The peer's clock, by a Date header (RFC 9110, 6.6.1) or an ISO time with an offset, read at `now`."""
        theirs = _moment(said)
        if theirs is None:
            self.found.append("it does not say what time it has")
            return
        self.skew_s = skew = round((theirs - now).total_seconds(), 1)
        size = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
        self.found.append(
            "its clock agrees with this machine's" if abs(skew) <= _DATED else f"its clock is {size}: set the wrong one"
        )


def _moment(said: str | None) -> datetime | None:
    if not said:
        return None
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        try:
            found = parsedate_to_datetime(said)
        except (ValueError, TypeError, OverflowError):
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return found if found.tzinfo else None
