"""The tap of a source: the one place that its boundaries report bytes to, and the queue behind it while one records.

A push that was answered, a call's answer, a stream's opening, bytes and end. Nothing here waits, reads or changes
anything: a source is as quick with a recording as without, and what the queue has no room for is counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Literal

from pump.core.clock import Clock

WAITING: Final = 16 << 20
"""Bytes that may wait to be written."""
_FRAME: Final = 512
"""Bytes that a frame counts for beside its body."""

FrameKind = Literal["push", "answer", "open", "chunk", "close"]


@dataclass(slots=True)
class Frame:
    """What passed the boundary at a time."""

    kind: FrameKind
    at: float
    """Monotonic seconds."""
    body: bytes = b""
    fields: dict[str, Any] = field(default_factory=dict)
    """By the kind: method, path, query, headers, status, link; as the file has them, nothing replaced yet."""
    torn: bool = False
    """Of a chunk: bytes before it are missing."""


class Recording:
    """The queue of one recording, from its beginning to its end."""

    def __init__(self, clock: Clock) -> None:
        self.begun = clock.monotonic()
        self.left_out = 0
        """Frames for which there was no room."""
        self.ended = ""
        """Why it takes no more; empty while it does."""
        self._frames: deque[Frame] = deque()
        self._waiting = 0
        self._more = asyncio.Event()

    def add(self, frame: Frame) -> bool:
        """Take a frame; False where it is left out."""
        if self.ended:
            return False
        size = len(frame.body) + _FRAME
        if self._waiting + size > WAITING:
            self.left_out += 1
            return False
        self._waiting += size
        self._frames.append(frame)
        self._more.set()
        return True

    def end(self, why: str) -> None:
        """Take no more; what waits may still be had."""
        self.ended = self.ended or why
        self._more.set()

    async def wait(self) -> None:
        """Until there is a frame, or the end."""
        await self._more.wait()

    def taken(self) -> list[Frame]:
        """All that waits; it waits no more."""
        found = [*self._frames]
        self._frames.clear()
        self._waiting = 0
        if not self.ended:
            self._more.clear()
        return found


class Tap:
    """One source's. `recording` is the one that listens now, None mostly."""

    def __init__(self, clock: Clock) -> None:
        self.recording: Recording | None = None
        self._clock = clock
        self._links: dict[int, Link] = {}
        self._numbers = count(1)
        self._spared = False
        """The source's next beginning is the recording's own doing, and does not end it."""

    def begin(self, *, anew: bool = False) -> Recording:
        """Record from now on; streams that are open already are joined in their middle. One at a time.

        `anew`: the source is about to begin anew once, for this recording.
        """
        assert self.recording is None
        self.recording = Recording(self._clock)
        self._spared = anew
        for link in self._links.values():
            link.joined()
        return self.recording

    def end(self, why: str) -> None:
        """Record no more, if anybody does."""
        if self.recording is not None:
            self.recording.end(why)
            self.recording = None

    def begun(self) -> None:
        """The source begins; called with every run of it."""
        if not self._spared:
            self.end("the source began anew")
        self._spared = False

    def push(self, fields: Mapping[str, Any], body: bytes) -> None:
        """A pushed request that was answered."""
        self._add("push", fields, body)

    def answer(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A call's answer, read whole; `path` with its query."""
        if self.recording is not None:
            self._add("answer", {"method": method, "path": path, "status": status, "headers": dict(headers)}, body)

    def open(self, method: str, path: str, headers: Mapping[str, str]) -> Link:
        """A stream that has begun."""
        link = Link(self, next(self._numbers), {"method": method, "path": path, "headers": dict(headers)})
        self._links[link.number] = link
        self._add("open", link.head, b"")
        return link

    def forget(self, link: Link) -> None:
        """The stream has ended."""
        if self._links.pop(link.number, None) is not None:
            self._add("close", {"link": link.number}, b"")

    def add(self, frame: Frame) -> bool:
        """Hand a frame to the recording that listens; False where there is none, or no room."""
        return self.recording is not None and self.recording.add(frame)

    def frame(self, kind: FrameKind, fields: Mapping[str, Any], body: bytes) -> Frame:
        """A frame of now."""
        return Frame(kind, self._clock.monotonic(), body, dict(fields))

    def _add(self, kind: FrameKind, fields: Mapping[str, Any], body: bytes) -> None:
        if self.recording is not None:
            self.recording.add(self.frame(kind, fields, body))


class Link:
    """One stream's way to the tap."""

    def __init__(self, tap: Tap, number: int, head: Mapping[str, Any]) -> None:
        self.number = number
        self.head: Mapping[str, Any] = {"link": number, **head}
        self._tap = tap
        self._torn = False

    def joined(self) -> None:
        """A recording begins in the middle of it."""
        self._torn = True
        self._tap.add(self._tap.frame("open", {**self.head, "joined": True}, b""))

    def chunk(self, data: bytes) -> None:
        """Bytes that have come."""
        if self._tap.recording is None or not data:
            return
        frame = self._tap.frame("chunk", {"link": self.number}, data)
        frame.torn = self._torn
        self._torn = not self._tap.add(frame)

    def close(self) -> None:
        """It has ended; called again, nothing happens."""
        self._tap.forget(self)
