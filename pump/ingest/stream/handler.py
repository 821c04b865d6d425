"""The vendor's side of an endless stream: what it asks for, what it is told, what its answers mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

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


class StreamRefused(Exception):
    """The listener itself knows that there is no stream to be had now, as after a refusal."""

    def __init__(self, retry: RetryAdvice) -> None:
        super().__init__(retry.reason)
        self.retry = retry


class StreamHandler(ABC):
    """No two of its methods run at the same time, but for `upkeep`.

    For each link: `opening`, then `refused`, or `greeted` (where it wants a greeting), `opened`, any number of
    `received` and `tick` with `upkeep` beside them, at last `rest`, `leaving` (where the pump ends it) and `closed`.
    """

    @abstractmethod
    async def opening(self) -> StreamRequest:
        """The request; asked before each connection. May raise `Lost`, `Refused` and `StreamRefused`."""

    def greeted(self, part: Part) -> None:  # noqa: B027  # optional to have
        """The stream's first part, where `StreamRequest.greeting` wants one; `StreamRefused` where it refuses.

        `received` gets it too.
        """

    @abstractmethod
    async def received(self, items: Sequence[Part | Skipped]) -> None:
        """Parts in the stream's order, faulty ones and skipped bytes among them. Reading waits until it returns.

        Store with `Stream.put`, which waits for a spool that refuses. What it raises ends `Stream.run`, except
        `Lost`, which breaks the link.
        """

    async def rest(self, items: Sequence[Part | Skipped]) -> None:
        """What was on its way when the link ended, as whole as it is."""
        await self.received(items)

    async def opened(self) -> None:  # noqa: B027  # optional to have
        """The link is up and the gap is stored; nothing more is read before this returns."""

    async def upkeep(self) -> None:  # noqa: B027  # optional to have
        """The work beside the reading while the link stands; cancelled with it. Raises as `received`."""

    async def leaving(self) -> None:  # noqa: B027  # optional to have
        """The pump itself is about to end the link, at a stop or to make it anew: the vendor may be told so."""

    async def closed(self) -> None:  # noqa: B027  # optional to have
        """The link that `opened` told of is closed. With `leaving` it has 5 s; what it raises at a stop is logged."""

    def refused(self, answer: Answer) -> RetryAdvice:
        """The request was answered without a stream: with another status than 200 mostly, 401 included."""
        return RetryAdvice(f"the device answered HTTP {answer.status}")

    def due(self) -> float | None:
        """Monotonic seconds at which `tick` wants to be called, None: not. Asked after each of these methods."""
        return None

    async def tick(self) -> None:  # noqa: B027  # optional to have
        """`due` has come. Called while the link stands only."""
