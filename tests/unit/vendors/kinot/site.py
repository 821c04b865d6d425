"""One pump with one Kinot source: real spool, real listener, the real simulator, sockets between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from pump.config.model import ServerSettings
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event, Unparsed
from pump.ingest.intake import Intake
from pump.ingest.push.listener import PushListener, Route
from pump.spool import Receipt, Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.vendors.kinot import SOURCE
from pump.vendors.kinot.simulator.callbacks import Callback
from pump.vendors.kinot.simulator.server import Simulator

MEASURE = "device.measure"
APP_KEY, APP_SECRET = "ak-north", "sk-north"


class Watched(Intake):
    """The real intake, which can be told to refuse, and to wait before it stores."""

    refusing = False
    gate: asyncio.Event | None = None
    entered = 0

    async def put(
        self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None, stranger: bool = False
    ) -> Receipt:
        self.entered += 1
        if self.refusing:
            raise Unavailable("the spool is full", retry_after=7.0)
        if self.gate is not None:
            await self.gate.wait()
        return await super().put(*items, state=state, stranger=stranger)


class Site:
    """See the module."""

    def __init__(self, kinot: Simulator, spool: Spool, clock: Clock, settings: Mapping[str, Any]) -> None:
        self.kinot, self.spool, self.clock = kinot, spool, clock
        self.metrics = Metrics()
        self.intake = Watched(
            "bays", spool=spool, site="north", clock=clock, metrics=self.metrics, health=Health(clock)
        )
        server = ServerSettings.model_validate({"listen": "127.0.0.1:0"})
        self.listener = PushListener(server, clock=clock, registry=self.metrics.registry)
        self.settings = dict(settings)
        self.task: asyncio.Task[None] | None = None

    async def start(self, *, running: bool = True) -> None:
        await self.listener.open()
        more = {"callback_base": self.listener.url, **self.settings}
        more = {"type": "kinot", "server": self.kinot.url, "app_key": APP_KEY, "app_secret": APP_SECRET, **more}
        self.source = SOURCE("bays", SOURCE.Settings.model_validate(more), self.clock)
        self.listener.swap([Route(self.source, self.intake)])
        if running:
            self.task = asyncio.create_task(self.source.run(self.intake), name="source bays")

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})
            if not self.task.cancelled():
                self.task.exception()  # `until` has raised it
        await self.listener.close()

    @property
    def base(self) -> str:
        return f"{self.listener.url}/kinot/bays"

    async def until(self, condition: Callable[[], object]) -> None:
        """Lets time pass, much faster than the world's, until it is so."""
        clock = self.clock
        async with asyncio.timeout(60.0):
            for look in count(1):
                if condition():
                    return
                if self.task is not None and self.task.done():
                    await self.task
                if isinstance(clock, ManualClock):
                    # now and then to the next deadline, for nobody wants to watch five minutes go by
                    far = (clock.deadline or 0.0) - clock.monotonic() if look % 20 == 0 else 0.0
                    clock.advance(max(0.05, far))
                await asyncio.sleep(0.001)

    async def settled(self) -> None:
        """Until every callback was acknowledged or given up."""
        await self.until(lambda: not self.kinot.platform.open)

    async def snapshot(self) -> None:
        """Until the devices were read once more, and what was read is stored."""
        before = self.lists
        await self.until(lambda: self.lists >= before + 2 and self.state == "up")

    @property
    def lists(self) -> int:
        """Lists that were read to their end."""
        return sum("/sensors?" in call.target and call.outcome == "0" for call in self.kinot.asked)

    async def events(self, prefix: str = "") -> list[dict[str, Any]]:
        """What is stored, without the source's ups and downs, and without measures unless they are asked for."""
        found, after = list[dict[str, Any]](), 0
        while batch := await self.spool.read(after):
            found += [orjson.loads(record.body) for record in batch]
            after = batch[-1].seq
        left_out = ("pump.source",) if prefix == MEASURE else ("pump.source", MEASURE)
        return [event for event in found if event["type"].startswith(prefix) and not event["type"].startswith(left_out)]

    async def post(
        self, path: str, body: bytes | str, *, method: str = "POST", **headers: str
    ) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.base}{path}", data=body, headers=headers) as response,
        ):
            return response.status, orjson.loads(await response.read()), response.headers

    def sent(self, sn: int) -> Callback:
        """The last callback about a device."""
        return [each for each in self.kinot.platform.callbacks if each.sn == sn][-1]

    def counted(self, what: str) -> int:
        value = self.metrics.registry.get_sample_value("pump_source_incidents_total", {"source": "bays", "what": what})
        return int(value or 0)

    @property
    def state(self) -> str:
        return self.intake.component.state


@asynccontextmanager
async def kinot_site(
    folder: Path, *, clock: Clock | None = None, kinot: Simulator | None = None, running: bool = True, **settings: Any
) -> AsyncIterator[Site]:
    """A site; without `kinot` a vendor of its own with 30 bays. `running=False`: nothing calls the source's `run`."""
    clock = clock or Clock()
    async with AsyncExitStack() as stack:
        if kinot is None:
            kinot = await stack.enter_async_context(vendor(clock))
        spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=Metrics())
        stack.push_async_callback(spool.close)
        spool.set_holders({"out": True})
        site = Site(kinot, spool, clock, settings)
        stack.push_async_callback(site.stop)
        await site.start(running=running)
        if not running:
            kinot.register(site.base)
        yield site


def vendor(clock: Clock, **more: Any) -> Simulator:
    """A Kinot that knows this site's key."""
    return Simulator(clock=clock, app_key=APP_KEY, app_secret=APP_SECRET, **more)
