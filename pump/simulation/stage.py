"""A vendor folder's part in `pump demo`: its simulator, the source's table, traffic and a few faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

Say = Callable[[str], None]


class Stage(Protocol):
    """A vendor's simulator, ready to play; `stage()` in `pump/vendors/<name>/simulator/demo.py` opens one."""

    source: Mapping[str, Any]
    """The `[sources.NAME]` table that connects the pump to it."""

    async def play(self, say: Say) -> None:
        """Make traffic, and a fault now and then, until cancelled; `say` each fault in a sentence."""

    def moment(self, event: Mapping[str, Any]) -> float | None:
        """When the vendor had what became this event, in monotonic seconds; None where that is not known."""

    def redelivered(self) -> int:
        """The number of records that were handed out again."""


@runtime_checkable
class PushStage(Stage, Protocol):
    """A stage whose vendor pushes."""

    def reached_at(self, url: str) -> None:
        """Called once, when the push listener is open, with its address, without a slash at its end."""
