"""The pressure on a peer: fewer requests at a time when it asks for it, one alone while it is away."""

from __future__ import annotations

from typing import ClassVar, Final

OPENS_AFTER: Final = 5
"""Failures in a row after which the circuit is open: one request is tried, alone, and only its success lets more go."""


class Throttle:
    """The window (requests at a time), the gap between them, the circuit breaker."""

    LONGEST_GAP: ClassVar[float] = 5.0
    """Seconds."""
    _FIRST_GAP: ClassVar[float] = 0.1

    def __init__(self, most: int) -> None:
        self._most = most
        self._window = float(most)
        self._failures = 0
        self.gap = 0.0
        """Seconds to wait before each request."""

    @property
    def window(self) -> int:
        """Requests that may be on their way at a time."""
        return 1 if self.circuit_open else int(self._window)

    @property
    def circuit_open(self) -> bool:
        """True where the circuit is open: the peer has failed again and again."""
        return self._failures >= OPENS_AFTER

    def failed(self, *, slower: bool) -> None:
        """The peer could not take a request; `slower`: it said that there are too many."""
        self._failures += 1
        if slower:
            self._window = max(1.0, self._window / 2.0)
            self.gap = min(self.LONGEST_GAP, max(self._FIRST_GAP, 2.0 * self.gap))

    def succeeded(self) -> None:
        """The peer answered a request: half the gap, and as many more at a time as there are answers to a window."""
        self._failures = 0
        self._window = min(float(self._most), self._window + 1.0 / self._window)
        self.gap = self.gap / 2.0 if self.gap > self._FIRST_GAP / 2.0 else 0.0
