"""One clip that is wanted, or was, as the spool keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pump.core.backoff import Backoff
from pump.vendors.common.values import whole


@dataclass(slots=True, eq=False)
class Clip:
    """One that is wanted, or was. Times of its own are milliseconds since 1970."""

    id: str
    """Of its event."""
    recorded: int
    """When the event came."""
    camera: str = ""
    begin: int = 0
    end: int = 0
    lead: int = 0
    """The event's `dedup_time_ms`."""
    type: str = ""
    time: str = ""
    """The event's, in ISO form; "" where it has none."""
    data: dict[str, Any] = field(default_factory=dict)
    asked: int = 0
    """When a save was sent; 0: none was, or it was refused."""
    task: str = ""
    """The vendor's name of the save."""
    done: bool = False
    """It has its event; kept so that a message that comes again asks for nothing."""
    due: float = 0.0
    """When it is looked after next, monotonic seconds."""
    refusals: int = 0
    backoff: Backoff | None = None

    def json(self) -> dict[str, Any]:
        """As the spool keeps it."""
        if self.done:
            return {"recorded": self.recorded, "asked": self.asked, "done": True}
        return {name: getattr(self, name) for name in _STORED}

    @classmethod
    def load(cls, id_: str, stored: object) -> Clip | None:
        """As `json` gave it; None for what cannot be read."""
        if not isinstance(stored, dict):
            return None
        recorded, asked = whole(stored.get("recorded")), whole(stored.get("asked"))
        if recorded is None or asked is None:
            return None
        if stored.get("done") is True:
            return cls(id_, recorded, asked=asked, done=True)
        found: dict[str, Any] = {name: stored.get(name) for name in _STORED}
        if any(type(value) is not kind for value, kind in zip(found.values(), _STORED.values(), strict=True)):
            return None
        return cls(id_, **found)


_STORED: Final[Mapping[str, type]] = {
    "recorded": int, "camera": str, "begin": int, "end": int, "lead": int, "type": str, "time": str, "data": dict,
    "asked": int, "task": str,
}  # fmt: skip
