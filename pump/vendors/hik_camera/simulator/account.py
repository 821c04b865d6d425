"""What happened to the simulated device, from its side: what tests audit."""

from __future__ import annotations

from dataclasses import dataclass, field

from pump.vendors.hik_camera.simulator.messages import Message


@dataclass
class Stream:
    """One connection to the alertStream."""

    begun: float
    """Monotonic seconds."""
    written: list[Message] = field(default_factory=list)
    """Messages that were written whole, pictures included, heartbeats left out."""
    ended: float | None = None


@dataclass(frozen=True)
class Action:
    """What the device did because it was asked to."""

    when: float
    """Monotonic seconds."""
    what: str
    """"output", "door", "picture" or "reboot"."""
    number: int
    state: str = ""
    """The output's, the door's."""


@dataclass
class Account:
    """What happened, from the device's side."""

    made: list[Message] = field(default_factory=list)
    """Every message, in order."""
    lost: list[Message] = field(default_factory=list)
    """Those that nobody listened to and that were not kept."""
    streams: list[Stream] = field(default_factory=list)
    whole: set[int] = field(default_factory=set)
    """The numbers of messages that were written whole to some connection."""
    heartbeats: int = 0
    challenges: int = 0
    logins: int = 0
    rejected: list[float] = field(default_factory=list)
    """When a login was rejected, monotonic seconds."""
    refused: int = 0
    """Streams beyond the limit."""
    requests: list[str] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    def delivered(self) -> list[Message]:
        """Messages that were written whole to some connection, in order, each once."""
        seen: dict[int, Message] = {}
        for stream in self.streams:
            for message in stream.written:
                seen.setdefault(message.number, message)
        return [seen[number] for number in sorted(seen)]
