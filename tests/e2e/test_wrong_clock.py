"""Whole daemons, one after the other in one folder, on a host whose clock is wrong at some starts and is mended."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pump.config import load
from pump.core.clock import Clock
from pump.runtime.daemon import Daemon

_BACK = timedelta(days=-20_000)


class Shifted(Clock):
    """The machine's clock with another wall time."""

    def __init__(self, by: timedelta = timedelta()) -> None:
        self.by = by

    def now(self) -> datetime:
        return super().now() + self.by

    def now_ms(self) -> int:
        return super().now_ms() + self.by // timedelta(milliseconds=1)


class Host:
    """A folder with a pump.toml, and what its daemons write."""

    def __init__(self, folder: Path) -> None:
        self._out = folder / "out.jsonl"
        self._config = folder / "pump.toml"
        self._config.write_text(
            f'[pump]\nsite = "garage"\nstate_dir = "{folder}/state"\n[ops]\nlisten = "127.0.0.1:0"\n'
            f'[sinks.out]\ntype = "jsonl"\npath = "{self._out}"\n'
        )

    async def life(self, clock: Clock, mended: timedelta | None = None) -> None:
        """One daemon from start to stop; its clock may be mended meanwhile."""
        daemon = Daemon(load(self._config), clock=clock)
        running = asyncio.create_task(daemon.run(signals=False))
        ready = asyncio.create_task(daemon.ready.wait(), name="ready")
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if mended is not None:
            assert isinstance(clock, Shifted)
            known = len(self.events("pump.clock.jumped"))
            clock.by = mended
            async with asyncio.timeout(60):
                while len(self.events("pump.clock.jumped")) == known:
                    await asyncio.sleep(0.05)  # the condition is what another part has written
        daemon.stop()
        assert await running == 0

    def events(self, type_: str) -> list[dict[str, Any]]:
        lines = self._out.read_bytes().splitlines() if self._out.exists() else []
        return [event["data"] for line in lines if (event := json.loads(line))["type"] == type_]


async def test_a_boot_in_1970_and_its_mending_are_an_event_each_and_lose_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path)
    await host.life(Shifted())
    assert host.events("pump.clock.jumped") == []
    await host.life(Shifted(_BACK))
    await host.life(Shifted(_BACK), mended=timedelta())
    await host.life(Shifted())
    back, forth = host.events("pump.clock.jumped")
    assert back["by_s"] == pytest.approx(_BACK.total_seconds(), abs=3600)
    assert forth["by_s"] == pytest.approx(-_BACK.total_seconds(), abs=3600)
    assert datetime.fromisoformat(forth["before"]) < datetime.fromisoformat(forth["after"])
    assert len(host.events("pump.started")) == len(host.events("pump.stopping")) == 4
