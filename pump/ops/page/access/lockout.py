"""Failed sign-ins: after some of them each further one makes the next wait longer.

An address that guesses waits, whichever names it tries; a name never waits for what other addresses do, else anybody
could keep its owner out. Guesses at one name from many addresses are held to a pace instead, which those addresses do
not feel from which the name has signed in.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

from pump.core.clock import Clock

FREE: Final = 4
"""Failures that cost no wait."""
LONGEST: Final = 900.0
"""Seconds of the longest wait."""
STORE: Final = 30
"""Failures that a name takes from everywhere before its pace counts."""
PACE: Final = 30.0
"""Seconds of that pace from one try to the next."""
_FORGOTTEN: Final = 3600.0
"""Seconds without a failure after which all are forgiven."""
_MOST: Final = 4096
"""Names and addresses that are remembered; of more the one longest silent goes."""
T = TypeVar("T")


class Lockout:
    """All failures of a listener, by address, by name with address, and by name alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed: _Newest[tuple[int, float]] = _Newest()
        """By address, and by name with address: failures, and when the last was, monotonic seconds."""
        self._names: _Newest[tuple[float, float]] = _Newest()
        """By name: what is left of its store, and when that was."""
        self._friends: _Newest[None] = _Newest()
        """Names with addresses from which they have signed in."""

    def wait(self, name: str, address: str) -> float:
        """Seconds until the next try of the name from there is taken; 0.0 where it is taken now."""
        own = max(self._wait(address), self._wait(_pair(name, address)))
        if _pair(name, address) in self._friends:
            return own
        return max(own, (1.0 - self._left(name)) * PACE)

    def failed(self, name: str, address: str) -> None:
        """Count a failure."""
        now = self._clock.monotonic()
        for key in (address, _pair(name, address)):
            self._failed.put(key, (self._count(key) + 1, now))
        if _pair(name, address) not in self._friends:
            self._names.put(name, (max(0.0, self._left(name) - 1.0), now))

    def passed(self, name: str, address: str) -> None:
        """Somebody signed in: all of theirs is forgiven, and what others do no longer holds them up there."""
        for key in (address, _pair(name, address)):
            self._failed.pop(key, None)
        self._friends.put(_pair(name, address), None)

    def _left(self, name: str) -> float:
        """Tries that the name takes from everywhere; less than 1.0: none yet."""
        left, then = self._names.get(name, (float(STORE), 0.0))
        return min(float(STORE), left + (self._clock.monotonic() - then) / PACE)

    def _count(self, key: str) -> int:
        count, last = self._failed.get(key, (0, 0.0))
        return count if self._clock.monotonic() - last < _FORGOTTEN else 0

    def _wait(self, key: str) -> float:
        count = self._count(key)
        if count < FREE:
            return 0.0
        _, last = self._failed[key]
        return max(0.0, last + min(LONGEST, 2.0 ** min(count - FREE, 20)) - self._clock.monotonic())


class _Newest(OrderedDict[str, T], Generic[T]):
    """What was put last is kept, up to so many."""

    def put(self, key: str, value: T) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > _MOST:
            self.popitem(last=False)


def _pair(name: str, address: str) -> str:
    return f"{address} {name}"  # an address has no blanks
