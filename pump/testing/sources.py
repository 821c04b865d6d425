"""The duties of every source, as functions to be run on each: `CHECKS` by name, each given a fresh `Vendor`.

A source's author writes a `Vendor` for it, a harness around the simulator, and parametrises a test over `CHECKS`. A
check that needs what the vendor cannot do (`can`) is left out by `applies`.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from pathlib import Path
from typing import Final

from pump.testing.source_vendor import Pump, Vendor

__all__ = ["CHECKS", "Vendor", "applies"]

# --- the checks -----------------------------------------------------------------------------------------------------


async def delivers(folder: Path, make: Callable[..., Vendor]) -> None:
    """Every record becomes an event, once and in order, and the source is up."""
    async with Pump(folder, make()) as pump:
        await pump.connect()
        made = await pump.vendors[0].produce(40)
        pump.told_once(await pump.has(made), made)
        await pump.until(lambda: pump.intake.component.state == "up")


async def redelivery(folder: Path, make: Callable[..., Vendor]) -> None:
    """Records that come again are dropped, and nothing after them is."""
    async with Pump(folder, make()) as pump:
        vendor = pump.vendors[0]
        await pump.connect()
        made = await vendor.produce(20)
        await pump.has(made)
        await vendor.redeliver()
        await pump.during(vendor.ready())
        made += await vendor.produce(20)
        pump.told_once(await pump.has(made), made)


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
        pump.told_once(await pump.has(made), made)


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
        pump.told_once(events, owed)
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
        pump.told_once(await pump.has(made), made)


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
        pump.told_once(await pump.has(made), made)
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
        pump.told_once(await pump.has(made), made)


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
        pump.told_once(await pump.has(made), made)


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
        pump.told_once(await pump.has(made + later), made + later)
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
            events = await pump.has(made[number], number)
            pump.told_once(events, made[number], number)
            assert len(pump.identities(events, number)) == len(made[number])
        await pump.end(0)
        made[1] += await second.produce(5)
        pump.told_once(await pump.has(made[1], 1), made[1], 1)


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
    """The number that this process has; 0 where the system does not say."""
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
    """True where the vendor can do what the check needs."""
    return check not in _NEEDS or _NEEDS[check] in vendor.can
