"""The two ends of the sources' conformance suite: a `Vendor`, the other end of a source, and a `Pump` around it.

The spool, the intake, the push listener and the sockets are real; only the intake can be made to refuse, as a full
spool does.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final

import orjson

from pump.config.model import ServerSettings
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event, Unparsed
from pump.ingest.intake import Intake
from pump.ingest.push.listener import PushListener, Route
from pump.source import PushSource, Source
from pump.spool import Receipt, Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics

PATIENCE: Final = 60.0
"""Seconds after which a check has failed: far beyond what any source needs."""


class Vendor(ABC):
    """The other end of a source. The suite starts it, makes it send, disturbs it, and asks what it was answered.

    `start` comes first and `stop` last; what the suite does between is up to each check.
    """

    can: ClassVar[frozenset[str]] = frozenset()
    """Its abilities beside the plain: "redeliver", "stall", "vanish", "half_open", "garbage", "acknowledge"."""
    keeps: ClassVar[bool] = False
    """True where what was not acknowledged comes again: a queue does that, a stream does not."""
    ordered: ClassVar[bool] = True
    """True where its records come one after another; False where many are under way at a time."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        """Its number among the vendors of one check: another seed, another account. Its source is named s<number>."""
        self.push_url = ""
        """The address of the pump's push listener, for those that push; set before `start`."""

    @abstractmethod
    async def start(self) -> None:
        """Listen on a free port of the loopback."""

    @abstractmethod
    async def stop(self) -> None:
        """Close everything."""

    @abstractmethod
    def make(self, name: str, clock: Clock) -> Source[Any]:
        """The source, aimed here; its time-outs short: a check waits for them in the world's time."""

    @abstractmethod
    async def ready(self) -> None:
        """Wait until what is produced from now on reaches the source, or is kept for it."""

    @abstractmethod
    async def produce(self, n: int) -> list[Hashable]:
        """Make `n` records, each of one event; their identities in order."""

    @abstractmethod
    def identity(self, event: Mapping[str, Any]) -> Hashable | None:
        """The identity of the record that became this event, None of events that are no record's."""

    async def redeliver(self) -> None:
        """Send again what was sent last."""
        raise NotImplementedError("redeliver")

    async def stall(self) -> None:
        """Say nothing; connections stand."""
        raise NotImplementedError("stall")

    async def resume(self) -> None:
        """Go on after `stall`."""
        raise NotImplementedError("resume")

    async def vanish(self) -> None:
        """Be gone: connections break, new ones are refused."""
        raise NotImplementedError("vanish")

    async def come_back(self) -> None:
        """Be there again, at the same address."""
        raise NotImplementedError("come_back")

    async def half_open(self) -> None:
        """The connections that stand are dead, and nothing says so; new ones work."""
        raise NotImplementedError("half_open")

    async def garbage(self) -> None:
        """Send, once, what is no record; a source is connected, or polls."""
        raise NotImplementedError("garbage")

    def acknowledged(self) -> set[Hashable]:
        """The records that the source has said it has."""
        raise NotImplementedError("acknowledge")


class Watched(Intake):
    """The real intake; refuses when it is asked to, and counts that."""

    refusing = False
    refusals = 0

    async def put(
        self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None, stranger: bool = False
    ) -> Receipt:
        """As Intake.put."""
        if self.refusing and (items or state):
            self.refusals += 1
            raise Unavailable("the spool is full", retry_after=0.05)
        return await super().put(*items, state=state, stranger=stranger)


class Pump:
    """A spool in a folder, and sources that run into it."""

    def __init__(self, folder: Path, vendor: Vendor, *others: Vendor) -> None:
        self.vendors = (vendor, *others)
        self.clock = Clock()
        self._folder = folder
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.routes: dict[int, Route] = {}
        self.intakes: dict[int, Watched] = {}

    async def __aenter__(self) -> Pump:
        metrics = Metrics()
        self.spool = await Spool.open(self._folder, SpoolSettings(), clock=self.clock, metrics=metrics)
        health = Health(self.clock)
        server = ServerSettings.model_validate({"listen": "127.0.0.1:0", "device_rate": 0.0})
        self.listener = PushListener(server, clock=self.clock, registry=metrics.registry)
        await self.listener.open()
        for number, vendor in enumerate(self.vendors):
            vendor.push_url = self.listener.url
            await vendor.start()
            self.intakes[number] = Watched(
                f"s{number}", spool=self.spool, site="testing", clock=self.clock, metrics=metrics, health=health
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in list(self.tasks):
            await self.end(number)
        for vendor in self.vendors:
            await vendor.stop()
        await self.listener.close()
        await self.spool.close()

    @property
    def intake(self) -> Watched:
        """The first source's."""
        return self.intakes[0]

    def begin(self, number: int = 0) -> asyncio.Task[None]:
        """Run the source as the supervisor does: again, a moment later, when it raises what it may raise.

        One that is pushed to is reached from here on, until `end`.
        """
        source = self.vendors[number].make(f"s{number}", self.clock)
        if isinstance(source, PushSource):
            self.routes[number] = Route(source, self.intakes[number])
            self.listener.swap([*self.routes.values()])
        task = asyncio.create_task(self._supervise(source, self.intakes[number]), name=f"source s{number}")
        self.tasks[number] = task
        return task

    async def end(self, number: int = 0) -> None:
        """Cancel the source and wait for its end; what is pushed to it from here on finds nobody."""
        self.routes.pop(number, None)
        self.listener.swap([*self.routes.values()])
        task = self.tasks.pop(number)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def connect(self, number: int = 0) -> None:
        """Begin, and wait until the vendor reaches the source."""
        self.begin(number)
        await self.during(self.vendors[number].ready())

    async def during(self, wait: Awaitable[None]) -> None:
        """Wait for the vendor, failing with the source."""
        waiting = asyncio.ensure_future(wait)
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.wait({waiting, *self.tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not waiting.done():
                waiting.cancel()
            self._raise_of_ended()
        await waiting

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until it is so, failing with the source."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._raise_of_ended()
                await asyncio.sleep(0.005)

    async def has(self, wanted: list[Hashable], number: int = 0) -> list[dict[str, Any]]:
        """All events of a source, once all the wanted ones are among them."""
        async with asyncio.timeout(PATIENCE):
            while True:
                head = self.spool.head
                events = await self.events(number)
                if set(wanted) <= set(self.identities(events, number)):
                    return events
                while self.spool.head == head:
                    self._raise_of_ended()
                    await asyncio.sleep(0.005)

    async def events(self, number: int = 0) -> list[dict[str, Any]]:
        """The stored events of a source, in order."""
        events, after = [], 0
        while batch := await self.spool.read(after):
            events += [orjson.loads(record.body) for record in batch if record.source == f"s{number}"]
            after = batch[-1].seq
        return events

    def identities(self, events: list[dict[str, Any]], number: int = 0) -> list[Hashable]:
        """The records among the events."""
        found = (self.vendors[number].identity(event) for event in events)
        return [identity for identity in found if identity is not None]

    def told_once(self, events: list[dict[str, Any]], wanted: list[Hashable], number: int = 0) -> None:
        """Each wanted record is there once, in the vendor's order where it has one; nothing is there twice."""
        found = self.identities(events, number)
        assert len(found) == len(set(found)), "twice"
        told = [one for one in found if one in set(wanted)]
        if self.vendors[number].ordered:
            assert told == wanted, "missing, or out of order"
        else:
            assert set(told) == set(wanted), "missing"

    def _raise_of_ended(self) -> None:
        for task in self.tasks.values():
            if task.done():
                task.result()

    async def _supervise(self, source: Source[Any], intake: Intake) -> None:
        while True:
            try:
                await source.run(intake)
            except Unavailable as error:
                intake.down(error.reason)
                await asyncio.sleep(min(1.0, error.retry_after or 0.1))
