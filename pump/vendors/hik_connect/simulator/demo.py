"""Hik-Connect in `pump demo`: two queues, a lost token, a batch that comes twice, a record that nobody can read."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any, Final

from pump.core.clock import Clock
from pump.simulation.stage import Say
from pump.vendors.hik_connect.simulator import messages as traffic
from pump.vendors.hik_connect.simulator.account import QueueName
from pump.vendors.hik_connect.simulator.server import Fault, Simulator

_QUEUES: Final[tuple[QueueName, ...]] = ("combine", "rawmsg")
_RATE: Final = 10
"""Records a second in each queue."""
_TICK: Final = 0.1
_HOLE: Final = 0.5
"""Seconds until a subscription is lost; this once."""
_MISSED: Final = 5
_RECORDS: Final = "acs/v1/event/certificaterecords/search"
"""The last call of a search."""
_BETWEEN: Final = 4.0
"""Seconds from one fault to the next."""
_FAILING: Final = 5
"""Requests for pictures that fail at a time."""
_FAULTS: Final = (
    (Fault("expired_token"), "the vendor let the token die; the pump logs in again"),
    (Fault("redeliver", path="combine/v1/mq/messages"), "the vendor handed a completed batch out again"),
    (Fault("poison", path="combine/v1/mq/messages"), "a record that nobody can read stands in the next batch"),
    (Fault("lost_answer", path="complete"), "the answer to a complete was lost on its way; the batch comes again"),
    (Fault("status", path="messages", times=2, status=503), "the vendor answers 503 twice"),
)


class Stage:
    """See `pump.simulation.stage.Stage`."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self.source: Mapping[str, Any] = {
            "type": "hik-connect",
            "server": simulator.url,
            "app_key": "ak",
            "secret_key": "sk",
            "queues": list(_QUEUES),
            "backfill_delay": "1s",
        }
        self._simulator = simulator
        self._clock = clock
        self._put: dict[str, float] = {}

    async def play(self, say: Say) -> None:
        """Traffic into the queues that the pump has subscribed to, and the faults in turn."""
        faults = cycle(_FAULTS)
        hole, filled = self._clock.monotonic() + _HOLE, False
        due = self._clock.monotonic() + _BETWEEN
        while True:
            for queue in _QUEUES:
                if self._simulator.account.queues[queue].subscribed:
                    records = self._simulator.make(queue, int(_RATE * _TICK))
                    now = self._clock.monotonic()
                    self._put.update(dict.fromkeys(self._simulator.put(queue, *records), now))
            if self._clock.monotonic() >= hole and self._simulator.account.queues["combine"].subscribed:
                hole = math.inf
                self._simulator.lose_subscription("combine")
                self._simulator.put("combine", *self._simulator.make("combine", _MISSED, "camera"))
                say(f"the vendor cancels a subscription; {_MISSED} events reach no queue, and the alarm log has them")
            if not filled and hole == math.inf and self._simulator.logs.asked[_RECORDS]:
                filled = True
                say("the pump has searched the vendor's logs: its gap is filled, with what is marked as reconciled")
            if self._clock.monotonic() >= due:
                due += _BETWEEN
                fault, words = next(faults)
                self._simulator.faults.push(fault)
                say(words)
                self._simulator.pictures.failing = _FAILING
                say(f"the host of pictures fails {_FAILING} times; the pump asks again before the links die")
            await self._clock.sleep(_TICK)

    def moment(self, event: Mapping[str, Any]) -> float | None:
        """By the running number that the simulator's records carry."""
        raw = event["data"].get("raw")
        return self._put.get(traffic.identity(raw)) if isinstance(raw, dict) else None

    def redelivered(self) -> int:
        """Handed out more than once, over all queues."""
        queues = self._simulator.account.queues.values()
        return sum(len(queue.handed) - len(set(queue.handed)) for queue in queues)


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Open the simulator on a free port of the loopback."""
    clock = Clock()
    async with Simulator(clock=clock) as simulator:
        yield Stage(simulator, clock)
