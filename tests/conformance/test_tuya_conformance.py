"""The conformance suite of sinks, on the ledger of a parking lot: what counts is that each event is counted once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pump.core.clock import Clock
from pump.core.record import State
from pump.sink import Sink
from pump.sinks.tuya.ledger import read
from pump.sinks.tuya.settings import TuyaSettings
from pump.sinks.tuya.simulator import ACCOUNT, Cloud
from pump.sinks.tuya.sink import TuyaSink
from pump.testing.sink_conformance import CHECKS, Peer, applies


class DayAfter(Clock):
    """The machine's clock, a day ahead: every window is over."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=1)

    def now_ms(self) -> int:
        return super().now_ms() + 86_400_000


class LotPeer(Peer):
    """A lot that agrees. It names no event, so that the ledger says how many there were.

    An event is delivered once it is counted, whether or not the cloud is there: it cannot "stop" as brokers do.
    """

    can = frozenset({"stall"})
    exactly_once = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.clock = DayAfter()
        self.cloud = Cloud(clock=self.clock)
        self._memory: dict[str, Any] = {}
        self._last: TuyaSink | None = None

    async def start(self) -> None:
        await self.cloud.come_back()

    async def stall(self) -> None:
        self.cloud.stalled.clear()

    async def resume(self) -> None:
        self.cloud.stalled.set()

    def settings(self) -> TuyaSettings:
        return TuyaSettings.model_validate(
            {**ACCOUNT, "type": "tuya", "host": self.cloud.url, "directions": {"gate": "in"}}
        )

    def make(self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str) -> Sink[Any]:
        self._last = TuyaSink(name, settings, state=state, clock=self.clock, site=site)
        self._last.recall(self._memory)
        return self._last

    async def received(self) -> list[int]:
        memory: Mapping[str, Any] = self._last._memory if self._last is not None else {}
        return list(range(1, sum(window.count("in") for _, window in read(memory)) + 1))


@pytest.mark.parametrize("check", [check for check in CHECKS if applies(check, LotPeer)])
async def test_a_lot_keeps_the_contract(tmp_path: Path, check: str) -> None:
    peer = LotPeer(tmp_path)
    await peer.start()
    try:
        await CHECKS[check](peer)
    finally:
        await peer.resume()
        await peer.cloud.go_away()
