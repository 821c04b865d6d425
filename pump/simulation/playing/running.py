"""A recording, played whole: its answers and streams to who asks for them, its pushes to a pump."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import anyio

from pump.core.clock import Clock
from pump.ingest.recording.lines import Recorded, RecordedFile
from pump.simulation.playing.play import Play
from pump.simulation.playing.pushing import Pushed, Pusher
from pump.simulation.playing.server import Player

PATIENCE: Final = 10.0
"""Seconds that a push waits for the calls whose answers came before it: a snapshot, say, that it has changed."""


class Performance:
    """A recording on its way to a pump. Raises ValueError where it holds pushes and `to` does not say where they go."""

    def __init__(
        self, recording: RecordedFile, play: Play, *, clock: Clock, pace: float, to: str | None = None,
        host: str = "127.0.0.1", port: int = 0,
    ) -> None:  # fmt: skip
        """`pace` is how many times faster than it was; 0: at once."""
        kinds = {frame.kind for frame in recording.frames}
        self.player = Player(recording, play, clock=clock, pace=pace, host=host, port=port)
        self.serves = not kinds <= {"push"}
        """It has a server: for its answers and streams."""
        self._pusher: Pusher | None = None
        if "push" in kinds:
            if to is None:
                raise ValueError("it holds requests that devices pushed: --to says which pump gets them")
            self._pusher = Pusher(recording, play, to, clock=clock, pace=pace)
        self._earlier: dict[int, list[Recorded]] = {}
        answers: list[Recorded] = []
        for frame in recording.frames:
            if frame.kind == "answer":
                answers.append(frame)
            elif frame.kind == "push":
                self._earlier[id(frame)], answers = answers, []

    @property
    def account(self) -> Pushed:
        """The account of what was pushed."""
        return Pushed() if self._pusher is None else self._pusher.account

    async def run(self, on_ready: Callable[[str], object], on_played: Callable[[], object]) -> None:
        """Play. `on_ready` gets the server's address where there is one; `on_played` is called when all was sent.

        With a server it goes on until it is cancelled, else it ends then. Raises OSError where it cannot listen.
        """
        async with AsyncExitStack() as stack:
            if self.serves:
                await stack.enter_async_context(self.player)
                on_ready(self.player.url)
            if self._pusher is not None:
                await self._pusher.run(self._in_order)
            if self.serves:
                await self.player.said()
            on_played()
            if self.serves:
                await asyncio.get_running_loop().create_future()

    async def _in_order(self, frame: Recorded) -> None:
        if earlier := self._earlier.get(id(frame)):
            with anyio.move_on_after(PATIENCE):
                await self.player.said(*earlier)
