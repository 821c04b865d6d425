"""Who of a source's devices is known, and the share of its table that all others have. No I/O.

Known are those that the configuration names, that an operator accepted, and that were heard over more than a day of
listening. Everybody else is a stranger: anybody may make up any number of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Final, Protocol

ACCEPTED: Final = "accepted/"
"""Of the state's keys: a device that an operator accepted."""
FORGOTTEN: Final = "strangers"
"""The piece of state that counts who was forgotten: one that comes again begins its turns anew, under other ids."""
DAY: Final = 86400.0
"""Seconds of listening from a device's first sign of life to a later one, after which it is known."""
AGE: Final = 86400.0
"""Seconds of listening without a sign of life, after which a stranger is forgotten."""
ROWS: Final = 4_000
"""Strangers of one table."""
BYTES: Final = 8 << 20
"""Of their rows, as they are stored."""
FULL: Final = "devices that nobody knows have used up their share; the oldest are forgotten"
PARKS: Final = 4
"""Devices that a name without a park may stand for: whoever sends makes up the park."""


class Table(Protocol):
    """A source's device table, as an operator's command sees it."""

    def names(self, key: str) -> bool:
        """True for a device that the configuration names."""

    async def forget(self, key: str) -> None:
        """Remove the device's row, from memory and from the stored state; heard again it is a stranger."""


class Acquaintances:
    """The devices of one source that are known at their first sign of life."""

    def __init__(self, named: Collection[str], accepted: Collection[str]) -> None:
        """`named`: what the configuration calls its devices, "park/device", or "device" in any park.

        `accepted` is looked at anew each time: an operator may add to it.
        """
        self._named = frozenset(named)
        self._accepted = accepted
        self._met: Counter[str] = Counter()

    def __contains__(self, key: str) -> bool:
        """True for a device that is known, whether or not it was ever heard of."""
        if key in self._named or key in self._accepted:
            return True
        _, slash, device = key.partition("/")
        return bool(slash) and device in self._named and self._met[device] < PARKS

    def named(self, key: str) -> bool:
        """True for a device that the configuration names, whatever an operator says."""
        return key in self._named or ("/" in key and key.partition("/")[2] in self._named)

    def met(self, key: str) -> None:
        """A known device has its row from now on."""
        if key not in self._named:
            _, slash, device = key.partition("/")
            if slash and device in self._named:
                self._met[device] += 1


class Rows:
    """The rows of one kind in a table, counted with their bytes."""

    def __init__(self) -> None:
        self.bytes = 0
        """Of them all."""
        self._sizes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, key: str) -> bool:
        return key in self._sizes

    def count(self, key: str, size: int) -> None:
        """The row has `size` bytes, and is the newest."""
        self.drop(key)
        self._sizes[key] = size
        self.bytes += size

    def drop(self, key: str) -> None:
        """The row is gone, or of another kind."""
        self.bytes -= self._sizes.pop(key, 0)


class Share(Rows):
    """The rows that strangers may have; who was heard longest ago goes first."""

    def __init__(self, *, rows: int = ROWS, size: int = BYTES) -> None:
        super().__init__()
        self._most_rows = rows
        self._most_bytes = size

    @property
    def full(self) -> bool:
        """True where one more makes another go."""
        return len(self) >= self._most_rows or self.bytes >= self._most_bytes

    @property
    def oldest(self) -> str | None:
        """Who was heard longest ago."""
        return next(iter(self._sizes), None)

    def surplus(self) -> str | None:
        """Who has to go for the newest, None where there is room for all."""
        if len(self) > 1 and (len(self) > self._most_rows or self.bytes > self._most_bytes):
            return self.oldest
        return None

    def heard(self, key: str) -> None:
        """The stranger was heard, and its row is as large as before."""
        if key in self._sizes:
            self._sizes[key] = self._sizes.pop(key)
