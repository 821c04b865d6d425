"""The conformance suite of sources, on Nameless vendor."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pump.cli.new.templates.nameless_vendor.simulator.server import Fault, Simulator
from pump.cli.new.templates.nameless_vendor.source import NamelessVendor
from pump.core.clock import Clock
from pump.source import Source
from pump.testing.sources import CHECKS, Vendor, applies


class NamelessVendorHarness(Vendor):
    """The simulator, as the suite wants it."""

    can = frozenset({"redeliver", "stall", "vanish", "half_open", "garbage", "acknowledge"})
    keeps = True

    async def start(self) -> None:
        self.vendor = Simulator(clock=Clock(), seed=self.number)
        await self.vendor.__aenter__()

    async def stop(self) -> None:
        await self.vendor.__aexit__(None, None, None)

    def make(self, name: str, clock: Clock) -> Source[Any]:
        table = {
            "type": "nameless-vendor",
            "server": self.vendor.url,
            "api_key": "key",
            "poll_interval": "10ms",
            "timeout": "500ms",
        }
        return NamelessVendor(name, NamelessVendor.Settings.model_validate(table), clock)

    async def ready(self) -> None:
        """Nothing to wait for: a record is kept until it is confirmed."""

    async def produce(self, n: int) -> list[Hashable]:
        return [record["id"] for record in self.vendor.produce(n)]

    def identity(self, event: Mapping[str, Any]) -> Hashable | None:
        raw = event["data"].get("raw")
        own = event["data"]["vendor"] == "nameless-vendor" and isinstance(raw, dict)
        return str(raw["id"]) if own else None

    async def redeliver(self) -> None:
        while self.vendor.account.waiting:  # the simulator informs nobody
            await asyncio.sleep(0.005)
        self.vendor.account.redeliver(10)

    async def stall(self) -> None:
        self.vendor.stall()

    async def resume(self) -> None:
        self.vendor.resume()

    async def vanish(self) -> None:
        await self.vendor.go_away()

    async def come_back(self) -> None:
        await self.vendor.come_back()

    async def half_open(self) -> None:
        self.vendor.half_open()

    async def garbage(self) -> None:
        self.vendor.faults.append(Fault("garbage"))
        self.vendor.account.add("no record", None, {"kind": "opened"}, {"id": ""})

    def acknowledged(self) -> set[Hashable]:
        return {record["id"] for record in self.vendor.account.confirmed if isinstance(record, dict)}


@pytest.mark.parametrize("check", [check for check in CHECKS if applies(check, NamelessVendorHarness)])
def test_the_source_keeps_the_contract(check: str, tmp_path: Path) -> None:
    asyncio.run(CHECKS[check](tmp_path, NamelessVendorHarness))  # type: ignore[arg-type]  # a coroutine, as all are
