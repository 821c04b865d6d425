"""The time without a link: when it began, why, and that it is reported once."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pump.core.clock import Clock

FRESH: Final = 0.005
"""Seconds of waiting that part bytes which have just come from those in a buffer."""
NOT_RUNNING: Final = "the pump was not running"


class OutageTracker:
    """One stream's, over all its links."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reason = NOT_RUNNING
        self.alive: datetime | None = None
        """When the link last gave a sign of life, wall time: bytes that had to be waited for.

        Others may have lain in buffers while nothing was read, and the peer may have been gone for long.
        """
        self.before: datetime | None = None
        """The sign of life before the bytes at hand."""
        self._linked: datetime | None = None
        """When the link came about whose gap is being stored."""
        self._at_hand = False

    def heard(self, waited: float) -> None:
        """Bytes were read that had to be waited for so many seconds."""
        self.before, self._at_hand = self.alive, True
        if waited >= FRESH:
            self.alive = self._clock.now()

    def stored(self) -> None:
        """What was read is stored."""
        self._at_hand = False

    def known_until(self) -> datetime | None:
        """Up to when all that the peer has sent is stored: where a gap begins if the process ends now."""
        return self.before if self._at_hand else self.alive

    def lost(self, reason: str) -> None:
        """The first reason since the link was up counts. What follows a colon is left out: it labels a counter."""
        self._reason = self._reason or reason.partition(": ")[0]

    def stopped(self) -> None:
        """The pump ends the link for good, or to begin anew: what was being stored may have been cut short with it."""
        self._reason = NOT_RUNNING
        self.alive, self._at_hand = self.known_until() or self.alive, False

    def over(self) -> tuple[datetime, datetime, str] | None:
        """The gap to report now that the link is back; None where there never was one. Ask again until it is stored.

        `back` ends it. `Intake.gap` sees to a clock that jumped meanwhile.
        """
        self._linked = self._clock.now()
        if self.alive is None:
            return None
        return self.alive, self._linked, self._reason or "the link was cut"

    def back(self) -> None:
        """The link is up and the gap is stored, which may have taken long: what has come meanwhile lies unread."""
        self._reason = ""
        self.alive = self._linked if self._linked is not None else self._clock.now()
