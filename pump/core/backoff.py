"""The wait before another try: capped exponential backoff with full jitter, one class for everybody."""

from __future__ import annotations

import random


class Backoff:
    """Waits that grow with each failure: the n-th is drawn evenly from nought to min(cap, first * 2^(n-1)) seconds.

    Full jitter, because many clients that lost one server at one moment must not come back at one moment. The
    owner calls `next` after each failure and `reset` after real success: not after a connection that was only
    opened, but once it has carried something, or has lasted.
    """

    __slots__ = ("_limit", "_rng", "cap", "first")

    def __init__(self, first: float = 1.0, cap: float = 60.0, rng: random.Random | None = None) -> None:
        if not 0 < first <= cap:
            raise ValueError("0 < first <= cap is wanted")
        self.first = first
        self.cap = cap
        self._limit = first
        self._rng = rng if rng is not None else random.Random()

    @property
    def limit(self) -> float:
        """The longest that the next wait can be, in seconds."""
        return self._limit

    def next(self) -> float:
        """Seconds to wait now."""
        wait = self._rng.uniform(0.0, self._limit)
        self._limit = min(self.cap, self._limit * 2.0)
        return wait

    def reset(self) -> None:
        """Start again at `first`."""
        self._limit = self.first
