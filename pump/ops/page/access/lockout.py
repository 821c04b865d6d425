"""Failed sign-ins: after some of them each further one makes the next wait longer."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from pump.core.clock import Clock

FREE: Final = 4
"""Failures that cost no wait."""
LONGEST: Final = 900.0
"""Seconds of the longest wait."""
_FORGOTTEN: Final = 3600.0
"""Seconds without a failure after which all are forgiven."""
_MOST: Final = 4096
"""Names and addresses that are remembered; of more the one longest silent goes."""


class Lockout:
    """By name, and by address: a name that is tried from everywhere waits as well as an address that tries names."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Failures, and when the last was, monotonic seconds."""

    def wait(self, *keys: str) -> float:
        """Seconds until the next try is taken; 0.0 where it is taken now."""
        return max(map(self._wait, keys))

    def failed(self, *keys: str) -> None:
        """Count a failure of each."""
        for key in keys:
            count = self._count(key)
            self._failed[key] = (count + 1, self._clock.monotonic())
            self._failed.move_to_end(key)
        while len(self._failed) > _MOST:
            self._failed.popitem(last=False)

    def passed(self, *keys: str) -> None:
        """Somebody signed in: all is forgiven."""
        for key in keys:
            self._failed.pop(key, None)

    def _count(self, key: str) -> int:
        count, last = self._failed.get(key, (0, 0.0))
        return count if self._clock.monotonic() - last < _FORGOTTEN else 0

    def _wait(self, key: str) -> float:
        count = self._count(key)
        if count < FREE:
            return 0.0
        _, last = self._failed[key]
        return max(0.0, last + min(LONGEST, 2.0 ** min(count - FREE, 20)) - self._clock.monotonic())
