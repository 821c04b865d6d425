"""A recording's answers and streams, given again: by method and path, in their order, in their time."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiohttp import web

from pump.core.clock import Clock
from pump.ingest.recording.lines import Recorded, RecordedFile
from pump.simulation.playing.play import Asked, Given, Play
from pump.simulation.server import WebServer

log = structlog.get_logger()

_BOUNDARY: Final = re.compile(r"boundary\s*=\s*[\"<]?-{0,2}([^;\">]+)", re.IGNORECASE)
_JSON: Final = {"Content-Type": "application/json"}
_MISSING: Final = Given(404, _JSON, b'{"error":"nothing was recorded for this path"}')


@dataclass(slots=True)
class RecordedStream:
    """One link of a stream."""

    head: Recorded
    frames: list[Recorded] = field(default_factory=list)
    """Its chunks, and its end where that was recorded."""


class Player(WebServer):
    """An async context manager that listens while it is open. `pace` is how many times faster than it was; 0: at once.

    An answer comes no earlier than it did, reckoned from the first request, where `Play.rest` has something to say
    until then.
    """

    def __init__(
        self, recording: RecordedFile, play: Play, *, clock: Clock, pace: float = 1.0, host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(host, port)
        self._clock = clock
        self._pace = pace
        self._play = play
        self._gate = None if play.gate is None else play.gate(clock)
        self._begun: float | None = None
        self._streams: dict[tuple[str, str], deque[RecordedStream]] = defaultdict(deque)
        self._heads: dict[tuple[str, str], RecordedStream] = {}
        self._answers: dict[tuple[str, str], deque[Recorded]] = defaultdict(deque)
        self._last: dict[tuple[str, str], Recorded] = {}
        self._unsaid: set[int] = set()
        self._said = asyncio.Event()
        self._sort(recording.frames)

    def _sort(self, frames: list[Recorded]) -> None:
        links: dict[int, RecordedStream] = {}
        for frame in frames:
            match frame.kind:
                case "answer":
                    self._answers[_key(frame)].append(frame)
                    self._unsaid.add(id(frame))
                case "open":
                    link = links[frame.fields["link"]] = RecordedStream(frame)
                    self._streams[_key(frame)].append(link)
                case "chunk" | "close":
                    if (link_ := links.get(frame.fields["link"])) is not None:
                        link_.frames.append(frame)
                        self._unsaid.add(id(frame))

    async def said(self, *frames: Recorded) -> None:
        """Wait until these have been given to somebody; without any, all that there are."""
        wanted = {id(frame) for frame in frames}
        while self._unsaid & wanted if frames else self._unsaid:
            self._said.clear()
            await self._said.wait()

    def _say(self, frame: Recorded) -> None:
        self._unsaid.discard(id(frame))
        self._said.set()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """As WebServer.answer."""
        asked = Asked(request.method, request.raw_path, request.headers, await request.read(), self.url)
        if self._begun is None:
            self._begun = self._clock.monotonic()
        given = None if self._gate is None else self._gate(asked)
        if given is None:
            path = asked.target.partition("?")[0]
            if (asked.method, path) in self._streams:
                return await self._stream(request, (asked.method, path))
            given = self._given(asked, path)
        # not web.Response(content_type=…): what was recorded may be no media type at all
        return web.Response(status=given.status, headers=dict(given.headers), body=given.body)

    def _given(self, asked: Asked, path: str) -> Given:
        key = (asked.method, path)
        found = self._next(key, asked.target)
        rest = next((body for end, body in self._play.rest.items() if path.endswith(end)), None)
        if found is not None and rest is not None and not self._due(found):
            found = None
        if found is not None:
            self._answers[key].remove(found)
            self._last[asked.method, asked.target] = found
            self._say(found)
            return Given(found.fields["status"], found.fields["headers"], found.body)
        if rest is not None:
            return Given(200, _JSON, rest)
        if (last := self._last.get((asked.method, asked.target))) is not None:
            return Given(last.fields["status"], last.fields["headers"], last.body)
        log.warning("Nothing was recorded for a request", method=asked.method, path=path)
        return _MISSING

    def _next(self, key: tuple[str, str], target: str) -> Recorded | None:
        """The first one left of this very target; else of this path, where the target was never recorded."""
        left = self._answers.get(key, ())
        exact = next((frame for frame in left if frame.fields["path"] == target), None)
        if exact is not None or (key[0], target) in self._last:
            return exact
        return next(iter(left), None)

    def _due(self, frame: Recorded) -> bool:
        begun = self._clock.monotonic() if self._begun is None else self._begun
        return not self._pace or self._clock.monotonic() - begun >= frame.at / 1000 / self._pace

    # --- a stream -------------------------------------------------------------------------------------------------

    async def _stream(self, request: web.BaseRequest, key: tuple[str, str]) -> web.StreamResponse:
        waiting = self._streams[key]
        link = waiting.popleft() if waiting else RecordedStream(self._heads[key].head)
        self._heads[key] = link
        response = web.StreamResponse(headers=link.head.fields["headers"])
        await response.prepare(request)
        if self._play.greeting and (link.head.fields.get("joined") or not link.frames):
            await response.write(self._greeting(link))
        begun = self._clock.monotonic()
        for frame in link.frames:
            if self._pace:
                due = begun + (frame.at - link.head.at) / 1000 / self._pace
                if (wait := due - self._clock.monotonic()) > 0:
                    await self._clock.sleep(wait)
            if frame.kind == "chunk":
                await response.write(frame.body)
            self._say(frame)
            if frame.kind == "close":
                await response.write_eof()
                return response
        # the recording ended while it stood
        await asyncio.get_running_loop().create_future()
        return response

    def _greeting(self, link: RecordedStream) -> bytes:
        found = _BOUNDARY.search(link.head.fields["headers"].get("Content-Type", ""))
        boundary = found[1].strip() if found else "boundary"
        body = self._play.greeting
        head = f"--{boundary}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body + b"\r\n"


def _key(frame: Recorded) -> tuple[str, str]:
    return frame.fields["method"], frame.fields["path"].partition("?")[0]
