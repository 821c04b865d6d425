"""Signs of life that come alone: kept in memory, and stored once a minute in one row for all devices of a source.

A row each for ten thousand keep-alives in half a minute would be half a terabyte a day. A kill may cost a minute of
"last seen", and never a turn: who was online then has that minute to be heard again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pump.ingest.intake import Intake

KEY: Final = "signs"
"""The piece of state that holds them: {"ended": whether the run ended in order, "signs": {key: [heard, seen]}}."""
SECONDS: Final = 60.0
"""From one storing to the next, in listening time."""
GRACE: Final = SECONDS + 5.0
"""By so much a sign of life that was stored before a kill may have been followed by others, seconds."""


class Sign(NamedTuple):
    """The newest one of a device; as `Device.heard` and `Device.seen`."""

    heard: float
    seen: str


class LoneSigns:
    """Those of one source's devices that are newer than the devices' rows."""

    def __init__(self, intake: Intake) -> None:
        """Takes up what the last run stored."""
        kept = intake.state(KEY).get(KEY)
        self._intake = intake
        self._signs = stored(kept)
        self.in_order = not isinstance(kept, dict) or kept.get("ended") is True
        """False where the last run was killed: some signs of life are not known."""
        self._ended = self.in_order
        """As it is stored now."""
        self._changed = False
        """Whether any has come or gone since."""
        self._at = 0.0

    def get(self, key: str) -> Sign | None:
        """The device's, if it has one that its row has not."""
        return self._signs.get(key)

    def came(self, key: str, sign: Sign) -> bool:
        """A device has given one; that there are any is stored at once. True where none was to be stored before."""
        self._signs[key], first, self._changed = sign, not self._changed, True
        if self._ended:
            self._store(sign.heard, ended=False)
        return first

    def drop(self, key: str, heard: float = math.inf) -> None:
        """The device's row has a sign of life of that time, or the device is forgotten."""
        sign = self._signs.get(key)
        if sign is not None and sign.heard <= heard:
            del self._signs[key]
            self._changed = True

    @property
    def due(self) -> float:
        """The listening time at which they are to be stored, for the row is not as they are."""
        return self._at + SECONDS if self._changed and not self._ended else math.inf

    def look(self, now: float) -> None:
        """Have them stored where that is due; `now` in listening time."""
        if now >= self.due:
            self._store(now, ended=False)

    def end(self, now: float) -> None:
        """The run ends in order."""
        if not self._ended:
            self._store(now, ended=True)

    def _store(self, now: float, *, ended: bool) -> None:
        self._at, self._ended, self._changed = now, ended, False
        signs = {key: [round(sign.heard, 3), sign.seen] for key, sign in self._signs.items()}
        self._intake.remember(KEY, {"ended": ended, "signs": signs})


def stored(kept: Any) -> dict[str, Sign]:
    """The signs of life in the piece of state; those that cannot be read are left out."""
    signs = kept.get("signs") if isinstance(kept, dict) else None
    found: dict[str, Sign] = {}
    for key, sign in (signs if isinstance(signs, Mapping) else {}).items():
        match sign:
            case [float() | int() as heard, str() as seen]:
                found[key] = Sign(float(heard), seen)
    return found
