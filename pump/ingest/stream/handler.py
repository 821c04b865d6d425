"""The vendor's side of an endless stream: its request, the batches that its parts become, its answers' meaning."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pump.core.event import Event, Unparsed
from pump.ingest.stream.client import Answer
from pump.ingest.stream.multipart.parts import Part, Skipped


@dataclass(slots=True, frozen=True)
class StreamRequest:
    """The request that opens the stream."""

    method: str
    path: str
    body: bytes | None = None
    content_type: str = "application/json"
    greeting: bool = False
    """The vendor's answer is the stream's first part, or its absence: before that part the link is not up."""


@dataclass(slots=True, frozen=True)
class RetryAdvice:
    """The meaning of an answer other than a stream: `reason` says what to do, for the log and /status."""

    reason: str
    wait: float | None = None
    """Seconds; None: backoff to 60 s. For a rejected password it is 10 minutes at the least."""
    rejected: bool | None = None
    """True if the password was; None: a 401 says so, unless it minds the nonce's age and is not the third of them."""


@dataclass(slots=True)
class Batch:
    """What is to be stored: first the gaps, then events and state in one transaction."""

    events: list[Event | Unparsed] = field(default_factory=list)
    """In the stream's order."""
    state: dict[str, Any] = field(default_factory=dict)
    """As `Intake.put` takes it."""
    gaps: list[str] = field(default_factory=list)
    """Reasons: of each the time since the sign of life before the bytes at hand is reported as a gap."""

    def __bool__(self) -> bool:
        return bool(self.events or self.state or self.gaps)


class StreamRefused(Exception):
    """The handler itself knows that there is no stream to be had now, as after a refusal."""

    def __init__(self, retry: RetryAdvice) -> None:
        super().__init__(retry.reason)
        self.retry = retry


class StreamHandler(ABC):
    """No two of its methods run at the same time, but for `upkeep`.

    For each link: `opening`, then `refused`, or `greeted` (where it wants a greeting), `opened`, any number of
    `received` and `tick` with `upkeep` beside them, at last `rest`, `leaving` (where the pump ends it) and `closed`.
    The batches that they return are stored before the next one is called, in order; a spool that refuses is waited
    for.
    """

    def __init__(self, renewal: asyncio.Event | None = None) -> None:
        self.renewal = renewal or asyncio.Event()
        """Set from anywhere, it has the link broken and opened again at once: what is asked for has changed."""

    @abstractmethod
    async def opening(self) -> StreamRequest:
        """The request; asked before each connection. Raises ConnectionLost, UnexpectedStatus, StreamRefused."""

    def greeted(self, part: Part) -> None:  # noqa: B027  # optional to have
        """The stream's first part, where `StreamRequest.greeting` wants one; `StreamRefused` where it refuses.

        `received` gets it too.
        """

    @abstractmethod
    async def received(self, items: Sequence[Part | Skipped]) -> Sequence[Batch]:
        """Parts in the stream's order, faulty ones and skipped bytes among them. Nothing is read before it returns.

        What it raises ends `Stream.run`, except `ConnectionLost`, which breaks the link.
        """

    async def rest(self, items: Sequence[Part | Skipped]) -> Sequence[Batch]:
        """What was on its way when the link ended, as whole as it is."""
        return await self.received(items)

    async def opened(self) -> Sequence[Batch]:
        """The link is up and the gap is stored; nothing more is read before this is."""
        return ()

    async def upkeep(self) -> None:  # noqa: B027  # optional to have
        """The work beside the reading while the link stands; cancelled with it. Raises as `received`."""

    async def leaving(self) -> None:  # noqa: B027  # optional to have
        """The pump itself is about to end the link, at a stop or to make it anew: the vendor may be informed."""

    async def closed(self) -> Sequence[Batch]:
        """The link that was `opened` is closed. With `leaving` and the storing it has 5 s at a stop."""
        return ()

    def stored(self, seconds: float) -> None:  # noqa: B027  # optional to have
        """A batch is stored. It took so long, and nothing was read meanwhile."""

    def refused(self, answer: Answer) -> RetryAdvice:
        """The request was answered without a stream: with another status than 200 mostly, 401 included."""
        return RetryAdvice(f"the device answered HTTP {answer.status}")

    def due(self) -> float | None:
        """Monotonic seconds at which `tick` wants to be called, None: not. Asked after each of these methods."""
        return None

    async def tick(self) -> Sequence[Batch]:
        """`due` has come. Called while the link stands only."""
        return ()
