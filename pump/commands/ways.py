"""The ways in for commands that a sink's peer offers: what the sink brings, and what it finds at the desk. No I/O.

A sink that has one returns a `WayIn`. The daemon keeps its `run` going like any other part, and hands it a `Reception`,
so that a sink knows neither desk nor grants.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pump.commands.contract import Target

LONGEST: Final = 16 << 10
"""Bytes of a message that asks for a command; a larger one is refused."""

Answer = Callable[[bytes], Coroutine[Any, Any, None]]
"""Sends a JSON answer to who asked; returns once the peer has it. Raises Unavailable, Misconfigured."""


@dataclass(slots=True, frozen=True)
class Order:
    """What a message asks for whose words are the transport's own, such as "OPEN"."""

    verb: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Asking:
    """A message that asks for a command, as it came; nothing of it is believed yet."""

    caller: str
    """As grants name it: "mqtt:<topic>", "nats:<subject>"."""
    target: str
    """The subject of the device's own events, as the topic or subject has it."""
    payload: bytes = b""
    """A JSON object, where there is no `order`."""
    order: Order | None = None
    key: str | None = None
    """Its name by the transport: a message that comes twice has it twice. One in the payload is better."""
    sent: str | None = None
    """RFC 3339, where the transport says when it was sent."""
    within: float | None = None
    """Seconds that the transport grants it from now on."""
    stale: str = ""
    """The reason for which it must not be done now, whatever it asks for, such as "it is a retained message"."""
    malformed: str = ""
    """The reason for which it is no command at all."""
    answer: Answer | None = None
    """None: nobody waits for one."""
    progress: bool = False
    """Who asked wants to know at once that it was taken, beside its result."""


class Reception(Protocol):
    """The desk, as a way in finds it."""

    def take(self, asking: Asking) -> None:
        """Take a message; returns at once. Whatever becomes of it is counted, and answered where that is wanted."""

    def targets(self) -> Iterable[tuple[str, Target]]:
        """Everything that can be commanded now, with its source's name."""

    def allows(self, caller: str, verb: str, target: str) -> bool:
        """True where a grant lets the caller do this."""


class WayIn(Protocol):
    """A way in. Making it does no I/O."""

    async def run(self, reception: Reception, up: Callable[[], object]) -> None:
        """Hand what comes to the reception for as long as the task lives; called again after it returned or raised.

        `up` is called once commands are heard. Raises Unavailable, Misconfigured. A message that was taken is answered
        over the next connection where this one is lost meanwhile.
        """
