"""`pump demo --open` for a browser: its simulators, and its daemon, which a test can end and start again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pump.config import load
from pump.demo import Cast, let_sign_in, staged, tell, write
from pump.runtime.daemon import Daemon
from pump.simulation.stage import SinkStage, Stage


@dataclass
class Showing:
    """The demo as it runs."""

    file: Path
    cast: Cast
    password: str
    """Of the user "demo"."""
    daemon: Daemon
    _running: asyncio.Task[int]

    @property
    def url(self) -> str:
        """Of the page."""
        return self.daemon.ops_url

    def vendor(self, source: str) -> Any:
        """The simulator that plays for the source."""
        return self.cast.stages[source]._simulator  # type: ignore[attr-defined]

    async def stop(self) -> None:
        """End the daemon; the vendors go on."""
        self.daemon.stop()
        await self._running

    async def start_again(self) -> None:
        """Another daemon on the same spool, at the same addresses."""
        lines = self.file.read_text(encoding="utf-8")
        for table, url in (("ops", self.daemon.ops_url), ("server", self.daemon.push_url)):
            lines = lines.replace(f'[{table}]\nlisten = "127.0.0.1:0"', f'[{table}]\nlisten = "{url.split("//")[1]}"')
        self.file.write_text(lines, encoding="utf-8")
        self.daemon, self._running = await _started(self.file)


async def _started(file: Path) -> tuple[Daemon, asyncio.Task[int]]:
    daemon = Daemon(load(file))
    running = asyncio.create_task(daemon.run(signals=False), name="daemon")
    ready = asyncio.create_task(daemon.ready.wait())
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    assert daemon.ready.is_set()
    return daemon, running


@asynccontextmanager
async def showing(folder: Path, tables: str = "") -> AsyncIterator[Showing]:
    """The demo, played; `tables` are more of its pump.toml."""
    async with staged() as cast:
        file = write(folder, cast, {}, screen=False)
        password = let_sign_in(file)
        with file.open("a", encoding="utf-8") as more:
            more.write(tables)
        there = Showing(file, cast, password, *await _started(file))
        acts: list[Stage | SinkStage] = [*cast.stages.values(), *cast.peers.values()]
        players = [asyncio.create_task(act.play(lambda words: None), name="play") for act in acts]
        try:
            await tell(there.daemon, cast.stages)
            yield there
        finally:
            for player in players:
                player.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*players)
            await there.stop()
