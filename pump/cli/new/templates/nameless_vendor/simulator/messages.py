"""Records as the vendor's devices make them, written from the vendor's document and not from our parser."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any, Final

_DOORS: Final = ("North door", "South door", "Roof hatch")
_KINDS: Final = ("opened", "closed", "forced", "battery_low")
_WEIGHTS: Final = (48, 48, 1, 3)


class Devices:
    """A few doors; the same seed makes the same records."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._seed = seed
        self._made = 0

    def record(self, at: datetime) -> dict[str, Any]:
        """The next record, of something that happened `at` that aware time."""
        self._made += 1
        door = self._rng.randrange(len(_DOORS))
        return {
            "id": f"n{self._seed}-{self._made:06}",
            "at": at.isoformat(timespec="milliseconds"),
            "kind": self._rng.choices(_KINDS, _WEIGHTS)[0],
            "device": {"id": str(door + 1), "name": _DOORS[door]},
        }
