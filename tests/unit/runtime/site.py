"""A pump.toml and the daemon that runs by it, in the test's own process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pump.config import load
from pump.runtime.daemon import Daemon
from pump.testing.standins import StandIns

NUMBERS = '[sources.numbers]\ntype = "numbers"\n'
GATE = '[sources.gate]\ntype = "avaeye"\npark_ids = ["10000"]\n'
OUT = '[sinks.out]\ntype = "jsonl"\npath = "{folder}/out.jsonl"\n'


@dataclass
class Site:
    """A pump.toml and the daemon that runs by it, in this process."""

    folder: Path
    daemon: Daemon = field(init=False)

    @property
    def config(self) -> Path:
        return self.folder / "pump.toml"

    def write(self, *tables: str, pump: str = "", server: str = "", ops: str = "") -> None:
        head = (
            f'[pump]\nstate_dir = "{self.folder}/state"\n{pump}\n[server]\nlisten = "127.0.0.1:0"\n{server}\n'
            f'[ops]\nlisten = "127.0.0.1:0"\n{ops}\n'
        )
        self.config.write_text(head + "\n".join(tables).replace("{folder}", str(self.folder)))

    @asynccontextmanager
    async def running(self, kinds: StandIns | None = None) -> AsyncIterator[Daemon]:
        kinds = kinds or StandIns()
        self.daemon = Daemon(load(self.config, kinds=kinds), kinds=kinds)
        task = asyncio.create_task(self.daemon.run(signals=False))
        ready = asyncio.create_task(self.daemon.ready.wait())
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        assert ready.done(), task
        try:
            yield self.daemon
        finally:
            self.daemon.stop()
            await task

    async def reload(self) -> dict[str, Any]:
        """As the control socket's command; its result."""
        reader, writer = await asyncio.open_unix_connection(self.folder / "state" / "control.sock")
        writer.write(b'{"command": "reload"}\n')
        answer: dict[str, Any] = json.loads(await reader.readline())
        writer.close()
        result: dict[str, Any] = answer["result"]
        return result

    def events(self, name: str = "out.jsonl") -> list[dict[str, Any]]:
        path = self.folder / name
        text = path.read_bytes() if path.exists() else b""
        return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]

    def numbers(self) -> list[int]:
        return [one["data"]["raw"]["number"] for one in self.events() if one["type"] == "vehicle.passed"]

    def task(self, part: str) -> asyncio.Task[Any]:
        """The task of a part, which is another where it was made anew."""
        return next(task for task in asyncio.all_tasks() if task.get_name() == part)


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.01)
