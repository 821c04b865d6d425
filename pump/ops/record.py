"""The daemon's command `record`: the bytes that a source receives, with stand-ins, line by line to whoever asked.

The client writes the file: no path of its choosing is ever opened by the daemon, and a full disk is the client's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog

from pump.core.clock import Clock
from pump.core.errors import Refusal
from pump.core.tasks import Threads
from pump.ingest.intake import Intake
from pump.ingest.recording.lines import LineWriter
from pump.ingest.recording.tap import Recording, Tap
from pump.ops.control import Handler, Tell
from pump.source import Source

log = structlog.get_logger()

LONGEST: Final = 24 * 3600.0
"""Seconds of a recording."""
LARGEST: Final = 4 << 30
"""Bytes of a recording, bodies counted as they came."""
_WORK: Final = Threads("recording", 1)
"""Replacing takes longer than reading: beside the event loop, and one at a time."""


class Recorder:
    """The command over the daemon's sources, by the taps of their intakes."""

    def __init__(
        self,
        sources: Mapping[str, Source[Any]],
        intakes: Mapping[str, Intake],
        again: Callable[[str], Awaitable[bool]],
        clock: Clock,
    ) -> None:
        """`again` restarts a part by its whole name, False where it does not end."""
        self._sources = sources
        self._intakes = intakes
        self._again = again
        self._clock = clock

    def commands(self) -> dict[str, Handler]:
        """What the control socket offers."""
        return {"record": self.record, "record.stop": self.stop}

    async def record(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """`source` for `seconds`, until `bytes` have come; {"lines": [{…}, …]} as progress, the end among them, then
        {"frames": …, "left_out": …, "why": …}. `anew`: the source is restarted first, so that its login is recorded.

        Ends by itself also where the source begins anew otherwise. Raises Refusal for a source that is not there, or
        that another records.
        """
        anew = arguments.get("anew") is True
        name, source, intake = self._wanted(arguments.get("source"))
        seconds, most = _number(arguments, "seconds", LONGEST), _number(arguments, "bytes", LARGEST)
        tap = intake.tap
        if tap.recording is not None:
            raise Refusal(f"the source {name} is being recorded already; one recording at a time")
        recording = tap.begin(anew=anew)
        writer = LineWriter(source.settings.type, source.recorded, recording, self._clock.now())
        log.info("A source is recorded, as asked", source=name, seconds=seconds)
        timer = asyncio.create_task(self._end_in(seconds, tap, recording), name=f"time of the recording of {name}")
        try:
            await tell({"lines": [writer.header]})
            if anew and not await self._again(f"source {name}"):
                raise Refusal(f"the source {name} does not end; only a restart of the daemon helps")
            await self._follow(tap, recording, writer, most, tell)
        finally:
            timer.cancel()
            if tap.recording is recording:
                tap.end("whoever asked for it has left")
            log.info("A recording has ended", source=name, reason=recording.ended, left_out=recording.left_out)
            if recording.left_out:
                intake.count("not recorded", recording.left_out)
        last = await _WORK.run(writer.rest)
        await tell({"lines": [*last, writer.end(recording, self._clock.monotonic())]})
        return {"frames": writer.frames, "left_out": recording.left_out, "why": recording.ended}

    async def stop(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """End the recording of `source`, which is answered with all there is of it; {"stopped": was there one}."""
        _, _, intake = self._wanted(arguments.get("source"))
        there = intake.tap.recording is not None
        intake.tap.end("it was asked to end")
        return {"stopped": there}

    async def _end_in(self, seconds: float, tap: Tap, recording: Recording) -> None:
        await self._clock.sleep(seconds)
        if tap.recording is recording:
            tap.end("its time was over")

    async def _follow(self, tap: Tap, recording: Recording, writer: LineWriter, most: float, tell: Tell) -> None:
        """Hand on what comes until the recording ends, or has its bytes, and nothing waits any more."""
        size = 0
        while True:
            await recording.wait()
            frames = recording.taken()
            size += sum(len(frame.body) for frame in frames)
            if size >= most and tap.recording is recording:
                tap.end("it had the bytes that it may have")
            if lines := await _WORK.run(writer.lines, frames):
                await tell({"lines": lines})
            if recording.ended and not frames:
                return

    def _wanted(self, name: object) -> tuple[str, Source[Any], Intake]:
        if not isinstance(name, str) or name not in self._sources or name not in self._intakes:
            there = ", ".join(sorted(self._sources)) or "none"
            raise Refusal(f'no source "{name}" runs; there are: {there}')
        return name, self._sources[name], self._intakes[name]


def _number(arguments: Mapping[str, Any], key: str, most: float) -> float:
    value = arguments.get(key)
    if type(value) not in (int, float) or not 0 < float(value) <= most:  # type: ignore[arg-type]
        raise Refusal(f"{key} has to be a number above 0, and {most:g} at the most")
    return float(value)  # type: ignore[arg-type]
