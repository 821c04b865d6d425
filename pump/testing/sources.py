"""What every source must do, as functions to be run on each: `CHECKS` by name, each given a fresh `Vendor`.

A source's author writes a `Vendor` for it, a harness around the simulator, and parametrises a test over `CHECKS`. A
check that needs what the vendor cannot do (`can`) is left out by `applies`. The spool, the intake and the sockets
are real; only the intake can be told to refuse, as a full spool does.
"""

from __future__ import annotations

import asyncio
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final

import orjson

from pump.clock import Clock
from pump.errors import Unavailable
from pump.event import Event, Unparsed
from pump.health import Health
from pump.intake import Intake
from pump.metrics import Metrics
from pump.source import Source
from pump.spool import Receipt, Spool, SpoolSettings

PATIENCE: Final = 60.0
"""Seconds after which a check has failed: far beyond what any source needs."""


class Vendor(ABC):
    """The other end of a source. The suite starts it, makes it send, disturbs it, and asks what it was told.

    `start` comes first and `stop` last; what the suite does between is up to each check.
    """

    can: ClassVar[frozenset[str]] = frozenset()
    """What it offers beside the plain: "redeliver", "stall", "vanish", "half_open", "garbage", "acknowledge"."""
    keeps: ClassVar[bool] = False
    """Whether what was not acknowledged comes again: a queue does that, a stream does not."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        """Tells several vendors of one check apart: another seed, another account."""

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
        """What the source has said it has."""
        raise NotImplementedError("acknowledge")


class Watched(Intake):
    """The real intake; refuses when it is told to, and counts that."""

    refusing = False
    refusals = 0

    async def put(self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None) -> Receipt:
        """As Intake.put."""
        if self.refusing and (items or state):
            self.refusals += 1
            raise Unavailable("the spool is full", retry_after=0.05)
        return await super().put(*items, state=state)


class Pump:
    """A spool in a folder, and sources that run into it."""

    def __init__(self, folder: Path, vendor: Vendor, *others: Vendor) -> None:
        self.vendors = (vendor, *others)
        self.clock = Clock()
        self._folder = folder
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.intakes: dict[int, Watched] = {}

    async def __aenter__(self) -> Pump:
        metrics = Metrics()
        self.spool = await Spool.open(self._folder, SpoolSettings(), clock=self.clock, metrics=metrics)
        health = Health(self.clock)
        for number, vendor in enumerate(self.vendors):
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
        await self.spool.close()

    @property
    def intake(self) -> Watched:
        """The first source's."""
        return self.intakes[0]

    def begin(self, number: int = 0) -> asyncio.Task[None]:
        """Run the source as the supervisor does: again, a moment later, when it raises what it may raise."""
        source = self.vendors[number].make(f"s{number}", self.clock)
        task = asyncio.create_task(self._supervise(source, self.intakes[number]), name=f"source s{number}")
        self.tasks[number] = task
        return task

    async def end(self, number: int = 0) -> None:
        """Cancel the source and wait for its end."""
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
        """What is stored of a source, in order."""
        events, after = [], 0
        while batch := await self.spool.read(after):
            events += [orjson.loads(record.body) for record in batch if record.source == f"s{number}"]
            after = batch[-1].seq
        return events

    def identities(self, events: list[dict[str, Any]], number: int = 0) -> list[Hashable]:
        """The records among the events."""
        found = (self.vendors[number].identity(event) for event in events)
        return [identity for identity in found if identity is not None]

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


# --- the checks -----------------------------------------------------------------------------------------------------


def once_in_order(found: list[Hashable], wanted: list[Hashable]) -> None:
    """Each wanted record is there once, in the vendor's order; nothing is there twice."""
    assert len(found) == len(set(found)), "twice"
    assert [one for one in found if one in set(wanted)] == wanted, "missing, or out of order"


async def delivers(folder: Path, make: Callable[..., Vendor]) -> None:
    """Every record becomes an event, once and in order, and the source is up."""
    async with Pump(folder, make()) as pump:
        await pump.connect()
        made = await pump.vendors[0].produce(40)
        once_in_order(pump.identities(await pump.has(made)), made)
        await pump.until(lambda: pump.intake.component.state == "up")


async def redelivery(folder: Path, make: Callable[..., Vendor]) -> None:
    """What comes again is dropped, and nothing after it is."""
    async with Pump(folder, make()) as pump:
        vendor = pump.vendors[0]
        await pump.connect()
        made = await vendor.produce(20)
        await pump.has(made)
        await vendor.redeliver()
        await pump.during(vendor.ready())
        made += await vendor.produce(20)
        once_in_order(pump.identities(await pump.has(made)), made)


async def restart(folder: Path, make: Callable[..., Vendor]) -> None:
    """Stopped and started, several times: nothing twice; nothing missing of what the vendor keeps meanwhile."""
    async with Pump(folder, make()) as pump:
        vendor = pump.vendors[0]
        made: list[Hashable] = []
        for _ in range(4):
            await pump.connect()
            made += await vendor.produce(10)
            await pump.has(made)
            await pump.end()
            if vendor.keeps:
                made += await vendor.produce(5)
        await pump.connect()
        once_in_order(pump.identities(await pump.has(made)), made)


async def cancelled(folder: Path, make: Callable[..., Vendor]) -> None:
    """Cancelled at many points while records come: the next start works, nothing is twice or torn."""
    async with Pump(folder, make()) as pump:
        vendor = pump.vendors[0]
        owed: list[Hashable] = []
        for turns in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144):
            await pump.connect()
            made = await vendor.produce(5)
            if vendor.keeps:
                owed += made
            for _ in range(turns):
                await asyncio.sleep(0)
            await pump.end()
        for turns in (0, 1, 2, 4, 8, 16, 32, 64):
            pump.begin()
            for _ in range(turns):
                await asyncio.sleep(0)
            await pump.end()
        await pump.connect()
        owed += await vendor.produce(5)
        events = await pump.has(owed)
        once_in_order(pump.identities(events), owed)
        torn = [event for event in events if event["type"] == "pump.record.unparsed"]
        assert not torn, "a stop tore records apart"


async def slow_vendor(folder: Path, make: Callable[..., Vendor]) -> None:
    """A vendor that falls silent and goes on: what it sends then is there, nothing twice."""
    async with Pump(folder, make()) as pump:
        vendor = pump.vendors[0]
        await pump.connect()
        made = await vendor.produce(5)
        await pump.has(made)
        await vendor.stall()
        await asyncio.sleep(0.3)
        await vendor.resume()
        await pump.during(vendor.ready())
        made += await vendor.produce(5)
        once_in_order(pump.identities(await pump.has(made)), made)


async def vendor_that_comes_and_goes(folder: Path, make: Callable[..., Vendor]) -> None:
    """A vendor that is away makes the source down, not dead; back, it is found again by itself."""
    async with Pump(folder, make()) as pump:
        vendor = pump.vendors[0]
        await pump.connect()
        made = await vendor.produce(5)
        await pump.has(made)
        await vendor.vanish()
        await pump.until(lambda: pump.intake.component.state == "down")
        assert pump.intake.component.reason, "down, and nobody says why"
        await vendor.come_back()
        await pump.during(vendor.ready())
        made += await vendor.produce(5)
        once_in_order(pump.identities(await pump.has(made)), made)
        await pump.until(lambda: pump.intake.component.state == "up")


async def dead_connection(folder: Path, make: Callable[..., Vendor]) -> None:
    """A connection that is dead without a word is noticed and made anew."""
    async with Pump(folder, make()) as pump:
        vendor = pump.vendors[0]
        await pump.connect()
        made = await vendor.produce(5)
        await pump.has(made)
        await vendor.half_open()
        await pump.during(vendor.ready())
        made += await vendor.produce(5)
        once_in_order(pump.identities(await pump.has(made)), made)


async def garbage(folder: Path, make: Callable[..., Vendor]) -> None:
    """Garbage costs no record before or after it, and does not end the source."""
    async with Pump(folder, make()) as pump:
        vendor = pump.vendors[0]
        await pump.connect()
        made = await vendor.produce(5)
        await pump.has(made)
        await vendor.garbage()
        await pump.during(vendor.ready())
        made += await vendor.produce(5)
        once_in_order(pump.identities(await pump.has(made)), made)


async def spool_that_refuses(folder: Path, make: Callable[..., Vendor]) -> None:
    """While the spool refuses nothing is acknowledged; then everything is stored, once."""
    async with Pump(folder, make()) as pump:
        vendor = pump.vendors[0]
        await pump.connect()
        made = await vendor.produce(5)
        await pump.has(made)
        acknowledges = "acknowledge" in vendor.can
        if acknowledges:
            await pump.until(lambda: vendor.acknowledged() >= set(made))
        pump.intake.refusing = True
        later = await vendor.produce(5)
        await pump.until(lambda: pump.intake.refusals >= 3)
        assert not acknowledges or not vendor.acknowledged() & set(later), "acknowledged, and not stored"
        assert not set(pump.identities(await pump.events())) & set(later)
        pump.intake.refusing = False
        once_in_order(pump.identities(await pump.has(made + later)), made + later)
        if acknowledges:
            await pump.until(lambda: vendor.acknowledged() >= set(later))
        await pump.until(lambda: pump.intake.component.state == "up")


async def side_by_side(folder: Path, make: Callable[..., Vendor]) -> None:
    """Two sources of one kind take their own vendor's records alone; the end of one is nothing to the other."""
    async with Pump(folder, make(0), make(1)) as pump:
        first, second = pump.vendors
        await pump.connect(0)
        await pump.connect(1)
        made = [await first.produce(10), await second.produce(12)]
        for number in (0, 1):
            found = pump.identities(await pump.has(made[number], number), number)
            once_in_order(found, made[number])
            assert len(found) == len(made[number])
        await pump.end(0)
        made[1] += await second.produce(5)
        once_in_order(pump.identities(await pump.has(made[1], 1), 1), made[1])


async def leaves_nothing(folder: Path, make: Callable[..., Vendor]) -> None:
    """A stopped source leaves no task and no socket, wherever it was stopped."""
    async with Pump(folder, make()) as pump:
        vendor = pump.vendors[0]
        tasks, sockets = asyncio.all_tasks(), _sockets()
        for turns in (0, 3, 30, 300):
            pump.begin()
            for _ in range(turns):
                await asyncio.sleep(0)
            await pump.end()
        await pump.connect()
        await pump.has(await vendor.produce(3))
        await vendor.produce(3)
        await pump.end()
        try:
            async with asyncio.timeout(10.0):  # the vendor's end of a connection needs a moment
                while asyncio.all_tasks() - tasks or _sockets() > sockets:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0.005)
        except TimeoutError:
            names = sorted(task.get_name() for task in asyncio.all_tasks() - tasks)
            raise AssertionError(f"left behind: {names}, {_sockets() - sockets} sockets") from None


def _sockets() -> int:
    """How many this process has; 0 where the system does not tell."""
    found = 0
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with suppress(OSError):
            found += stat.S_ISSOCK(os.stat(f"/proc/self/fd/{name}").st_mode)
    return found


CHECKS: Final[dict[str, Callable[[Path, Callable[..., Vendor]], Awaitable[None]]]] = {
    check.__name__: check
    for check in (
        delivers,
        redelivery,
        restart,
        cancelled,
        slow_vendor,
        vendor_that_comes_and_goes,
        dead_connection,
        garbage,
        spool_that_refuses,
        side_by_side,
        leaves_nothing,
    )
}
_NEEDS: Final = {
    "redelivery": "redeliver",
    "slow_vendor": "stall",
    "vendor_that_comes_and_goes": "vanish",
    "dead_connection": "half_open",
    "garbage": "garbage",
}


def applies(check: str, vendor: type[Vendor]) -> bool:
    """Whether the vendor can do what the check needs."""
    return check not in _NEEDS or _NEEDS[check] in vendor.can
