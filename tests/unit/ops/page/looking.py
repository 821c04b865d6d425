"""A daemon with its ops listener, events put into its spool, and somebody who looks at its page without a browser."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from pump.config import load
from pump.core.event import Event, event_id
from pump.ingest.intake import Intake
from pump.runtime.daemon import Daemon
from pump.source import Source
from pump.testing.standins import SOURCES, StandIns

HTML = {"Accept": "text/html"}


@dataclass
class Looking:
    """The daemon, and the one who looks."""

    daemon: Daemon
    intake: Intake
    session: aiohttp.ClientSession
    put: int = field(default=0, init=False)

    @property
    def url(self) -> str:
        """Of the listener."""
        return self.daemon.ops_url

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and body of a page, as a browser asks for it."""
        given = HTML | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(self.url + path, headers=given, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    async def event(self, type_: str = "vehicle.passed", **data: Any) -> int:
        """Store an event; its number. `subject` and `id` are the event's own, all else is its data."""
        self.put += 1
        subject, id_ = data.pop("subject", "camera/1"), data.pop("id", event_id("looking", self.put))
        whole = {"vendor": "testing", "code": "c", "name": "Something", "phase": "pulse", "severity": "info", **data}
        await self.intake.put(Event(type_, id_, whole, time=self.daemon.clock.now(), subject=subject))
        return self.daemon.spool.head

    def live(self, query: str = "", **headers: str) -> Live:
        """The stream; to be entered."""
        return Live(self, query, headers)


class Live:
    """Server-sent events as a browser reads them."""

    def __init__(self, looking: Looking, query: str, headers: dict[str, str]) -> None:
        self._looking = looking
        self._query = query
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.last = ""
        self.skipped = 0

    async def __aenter__(self) -> Live:
        url = f"{self._looking.url}/live{self._query}"
        self._answer = await self._looking.session.get(url, headers=self._headers)
        assert self._answer.status == 200, await self._answer.text()
        assert self._answer.content_type == "text/event-stream"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._answer.close()

    async def rows(self, wanted: Callable[[dict[str, Any]], bool] = lambda row: True) -> list[dict[str, Any]]:
        """The next rows, once some that are wanted have come."""
        async for kind, value in self.messages():
            if kind == "skipped":
                self.skipped += value["count"]
            elif kind == "rows" and (rows := [row for row in value if wanted(row)]):
                return rows
        raise AssertionError("the stream has ended")

    async def messages(self) -> AsyncIterator[tuple[str, Any]]:
        """Kind and value of each message; "" for one that only says the place."""
        kind, data = "", ""
        async for raw in self._answer.content:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            if not name:
                if kind or data:
                    yield kind, orjson.loads(data)
                kind, data = "", ""
            elif name == "id":
                self.last = value
            elif name == "event":
                kind = value
            elif name == "data":
                data = value


@asynccontextmanager
async def looking(
    folder: Path,
    tables: str = "",
    ops: str = "",
    sources: Mapping[str, type[Source[Any]]] = SOURCES,
    listen: str = "127.0.0.1:0",
) -> AsyncIterator[Looking]:
    """A daemon that runs; `tables` are more of pump.toml, `ops` more keys of [ops], `sources` kinds of its own."""
    config = folder / "pump.toml"
    config.write_text(
        f'[pump]\nsite = "garage"\nstate_dir = "{folder}/state"\n[ops]\nlisten = "{listen}"\n{ops}\n{tables}',
        encoding="utf-8",
    )
    kinds = StandIns(own_sources=sources)
    daemon = Daemon(load(config, kinds=kinds), kinds=kinds)
    running = asyncio.create_task(daemon.run(signals=False), name="daemon")
    ready = asyncio.create_task(daemon.ready.wait())
    try:
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        assert daemon.ready.is_set()
        intake = Intake(
            "gate", spool=daemon.spool, site="garage", clock=daemon.clock, metrics=daemon.metrics, health=daemon.health,
            media=daemon.media,
        )  # fmt: skip
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address too
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            yield Looking(daemon, intake, session)
    finally:
        ready.cancel()
        daemon.stop()
        await running


async def many(there: Looking, count: int) -> int:
    """Store so many events in one commit; the number of the last."""
    data = {"vendor": "testing", "code": "c", "name": "Something", "phase": "pulse", "severity": "info"}
    now = there.daemon.clock.now()
    await there.intake.put(
        *(Event("vehicle.passed", event_id("many", number), dict(data), time=now) for number in range(count))
    )
    return there.daemon.spool.head


def plain(page: str) -> str:
    """The words of a page, without its markup; each run of blanks is one."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def numbers(page: str) -> list[int]:
    """The numbers of the events that a list shows, in its order."""
    return [int(found) for found in re.findall(r'<li class="row [a-z]+" id="e(\d+)"', page)]
