"""A recording's pushed requests, sent again: one after the other, each until it is answered, in their time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from pump.core.clock import Clock
from pump.ingest.recording.lines import Recorded, RecordedFile
from pump.simulation.playing.play import Play

AGAIN: Final = 1.0
"""Seconds before a request that nobody answered is sent once more."""
TIMEOUT: Final = 30.0
_TAKEN: Final = range(200, 300)


@dataclass(slots=True)
class Pushed:
    """The account of what was sent."""

    sent: int = 0
    otherwise: int = 0
    """Answered with another status than when it was recorded."""


class Pusher:
    """Sends to `to`, the address that the source's paths begin with; where it has no path, `Play.claim` is added.

    Raises ValueError where that is missing. `pace` as `Player` has it.
    """

    def __init__(self, recording: RecordedFile, play: Play, to: str, *, clock: Clock, pace: float = 1.0) -> None:
        address = URL(to)
        if address.scheme not in ("http", "https") or not address.host:
            raise ValueError("an address is wanted, as http://127.0.0.1:8080")
        base = address.path.rstrip("/") or play.claim
        if not base:
            raise ValueError(f"the path is missing that the source takes, as {to.rstrip('/')}/{recording.vendor}/NAME")
        self.account = Pushed()
        self._base = f"{address.origin()}{base}"
        self.frames = [frame for frame in recording.frames if frame.kind == "push"]
        self._play = play
        self._clock = clock
        self._pace = pace

    async def run(self, before: Callable[[Recorded], Awaitable[None]]) -> None:
        """Send all of them; `before` is awaited with each before it is sent."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            begun = self._clock.monotonic()
            first = self.frames[0].at if self.frames else 0
            for frame in self.frames:
                if self._pace:
                    due = begun + (frame.at - first) / 1000 / self._pace
                    if (wait := due - self._clock.monotonic()) > 0:
                        await self._clock.sleep(wait)
                await before(frame)
                status = await self._send(session, frame)
                self.account.sent += 1
                self.account.otherwise += (status in _TAKEN) != (frame.fields["status"] in _TAKEN)

    async def _send(self, session: aiohttp.ClientSession, frame: Recorded) -> int:
        """Until somebody answers. What was refused is not signed anew: perhaps it was refused for its signature."""
        body = frame.body
        if self._play.sign is not None and frame.fields["status"] in _TAKEN:
            body = self._play.sign(body)
        url = URL(self._base + frame.fields["path"], encoded=True)
        headers = {name: value for name, value in frame.fields["headers"].items() if name != "Expect"}
        while True:
            try:
                async with session.request(
                    frame.fields["method"], url, data=body, headers=headers, allow_redirects=False,
                    expect100="Expect" in frame.fields["headers"],
                ) as answer:  # fmt: skip
                    await answer.read()
                    return answer.status
            except (aiohttp.ClientError, TimeoutError, OSError):
                await self._clock.sleep(AGAIN)
