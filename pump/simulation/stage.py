"""A vendor folder's part in `pump demo`: its simulator, the source's table, traffic and a few faults.

A sink whose peer is a cloud has a part too; the vehicles that both see `pump demo` hands from the one to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

Say = Callable[[str], None]


class Passage(NamedTuple):
    """A vehicle that passes a camera."""

    camera: str
    """As the direction table of a sink names it, "park/device"."""
    at: int
    """Milliseconds since 1970."""
    report: Callable[[], object]
    """Has the camera report it, once more where it did so before."""


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


@runtime_checkable
class RoadStage(Protocol):
    """A stage of a vendor whose cameras see vehicles pass."""

    def watched_by(self, see: Callable[[Passage], object]) -> None:
        """Have `see` called with each vehicle that passes from now on, reported or not."""


class SinkStage(Protocol):
    """The simulated peer of a sink; `stage()` in `pump/sinks/<name>/simulator/demo.py` opens one."""

    sink: Mapping[str, Any]
    """The `[sinks.NAME]` table that connects the pump to it."""

    def see(self, passage: Passage) -> None:
        """A vehicle passes in the peer's sight too."""

    async def play(self, say: Say) -> None:
        """Live until cancelled; `say` what it finds, in a sentence."""

    def summary(self) -> tuple[str, str]:
        """A head and a line for the table at the end."""
