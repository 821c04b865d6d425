"""Which matters are open, so that a start and its end share one `incident`."""

from __future__ import annotations

from typing import Any, Final

from pump.vendors.hik_gateway.parse import Parsed

PREFIX: Final = "incident/"
_MOST: Final = 4096
"""Open matters kept; the oldest go first. A panel that never restores must not fill the spool."""


class Incidents:
    """The open matters, by name. They live in the source's state, in the same commits as their events."""

    def __init__(self, stored: dict[str, Any]) -> None:
        self._open: dict[str, str] = {
            key.removeprefix(PREFIX): value for key, value in stored.items() if isinstance(value, str)
        }

    def __len__(self) -> int:
        return len(self._open)

    def note(self, parsed: Parsed, changes: dict[str, Any]) -> None:
        """Give the event its incident, and add to `changes` the state that goes with it.

        A second start of an open matter belongs to it. An end without a known start is told under its matter's
        own name, and so is what adds to a matter that is not open.
        """
        if parsed.matter is None:
            return
        data, matter = parsed.event.data, parsed.matter
        if data["phase"] == "start":
            incident = self._open.get(matter)
            if incident is None:
                incident = self._open[matter] = parsed.event.id
                changes[PREFIX + matter] = incident
                while len(self._open) > _MOST:
                    oldest = next(iter(self._open))
                    del self._open[oldest]
                    changes[PREFIX + oldest] = None
        elif data["phase"] == "end":
            incident = self._open.pop(matter, matter)
            changes[PREFIX + matter] = None
        else:
            incident = self._open.get(matter, matter)
        data["incident"] = incident
