"""Sources and sinks that behave badly on purpose, and one source that behaves well: what the daemon is tried with.

They are real sources and sinks. `StandIns` makes them kinds beside the real ones, for `pump.config.load` and
`pump.runtime.daemon.Daemon`; no pump.toml reaches them without it. `python -m pump.testing.standins -c pump.toml` is
`pump run` with them.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pump.config import load
from pump.core.clock import Clock
from pump.core.event import Event, event_id
from pump.core.record import Batch, State
from pump.core.settings import Duration, SinkSettings, SourceSettings
from pump.ingest.intake import Intake
from pump.registry import Registry
from pump.sink import Sink
from pump.source import Source
from pump.telemetry import log

How = Literal["await", "stubborn", "thread"]
"""await: waits for ever, but lets itself be cancelled. stubborn: swallows every cancellation. thread: waits for a
thread that never ends, and that Python itself would wait for at its exit."""


class NumbersSettings(SourceSettings):
    """`type = "numbers"`."""

    interval: Duration = 0.02
    batch: int = 10


class Numbers(Source[NumbersSettings]):
    """Puts numbered events, `batch` of them each `interval`; goes on behind the last stored number after a restart."""

    Settings = NumbersSettings

    async def run(self, intake: Intake) -> None:
        """For ever."""
        first = intake.state().get("next", 0)
        intake.up()
        while True:
            behind = first + self.settings.batch
            await intake.put(*(self._event(number) for number in range(first, behind)), state={"next": behind})
            intake.activity()
            first = behind
            await self.clock.sleep(self.settings.interval)

    def _event(self, number: int) -> Event:
        data = {"vendor": "standin", "code": "number", "name": "Number", "phase": "pulse", "severity": "info"}
        return Event("vehicle.passed", event_id(self.name, number), {**data, "raw": {"number": number}})


class Broken(Source[SourceSettings]):
    """Raises at each start."""

    Settings = SourceSettings

    async def run(self, intake: Intake) -> None:
        """Never works."""
        raise RuntimeError("this source is broken on purpose")


class HangingSourceSettings(SourceSettings):
    """`type = "hanging"` of a source."""

    how: How = "stubborn"
    expects: Duration | None = None


class HangingSource(Source[HangingSourceSettings]):
    """Comes up and falls silent; cannot be stopped either, if `how` says so."""

    Settings = HangingSourceSettings

    async def run(self, intake: Intake) -> None:
        """Never returns."""
        intake.component.expects = self.settings.expects
        intake.up()
        await hang(self.settings.how)


class StuckSettings(SourceSettings):
    """`type = "stuck"`."""

    what: Literal["loop", "writer"]
    while_there: Path
    """A file: while it is there, what is to be stuck is stuck; a file of this name with ".stuck" behind it says so."""


class Stuck(Source[StuckSettings]):
    """Keeps the event loop, or the thread of the spool's writer, as a bug or a disk that hangs would."""

    Settings = StuckSettings

    async def run(self, intake: Intake) -> None:
        """For ever."""
        intake.up()
        while True:
            if self.settings.while_there.exists():
                if self.settings.what == "loop":
                    self._wait()
                else:
                    await intake._spool._writer._db.run(lambda _: self._wait())  # what no source could do
            await self.clock.sleep(0.02)

    def _wait(self) -> None:
        file = self.settings.while_there
        file.with_name(f"{file.name}.stuck").touch()
        while file.exists():
            time.sleep(0.02)


class HangingSinkSettings(SinkSettings):
    """`type = "hanging"` of a sink."""

    how: How = "stubborn"


class HangingSink(Sink[HangingSinkSettings]):
    """Takes a batch and never returns."""

    Settings = HangingSinkSettings

    async def send(self, batch: Batch) -> State | None:
        """Never returns."""
        await hang(self.settings.how)
        return None


async def hang(how: How) -> None:
    """Never returns."""
    if how == "thread":
        threading.Thread(target=threading.Event().wait, name="hanging on purpose").start()
    while True:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if how == "await":
                raise


SOURCES: dict[str, type[Source[Any]]] = {"numbers": Numbers, "broken": Broken, "hanging": HangingSource, "stuck": Stuck}
SINKS: dict[str, type[Sink[Any]]] = {"hanging": HangingSink}


@dataclass(frozen=True)
class StandIns(Registry):
    """The real kinds, and these."""

    own_sources: Mapping[str, type[Source[Any]]] = field(default_factory=lambda: SOURCES)
    own_sinks: Mapping[str, type[Sink[Any]]] = field(default_factory=lambda: SINKS)

    def source_kinds(self) -> list[str]:
        return sorted({*super().source_kinds(), *self.own_sources})

    def sink_kinds(self) -> list[str]:
        return sorted({*super().sink_kinds(), *self.own_sinks})

    def source(self, kind: str) -> type[Source[Any]]:
        return self.own_sources[kind] if kind in self.own_sources else super().source(kind)

    def sink(self, kind: str) -> type[Sink[Any]]:
        return self.own_sinks[kind] if kind in self.own_sinks else super().sink(kind)


def main() -> int:
    """`pump run -c FILE`, with the stand-ins."""
    from pump.runtime.daemon import Daemon

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-c", "--config", type=Path, required=True)
    log.configure()
    kinds = StandIns()
    config = load(parser.parse_args().config, kinds=kinds)

    async def run() -> int:
        return await Daemon(config, clock=Clock(), kinds=kinds).run()

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
