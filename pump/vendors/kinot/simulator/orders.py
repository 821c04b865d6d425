"""The commands that a simulated platform is given: their states, and an account of what the devices did."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pump.core.clock import Clock
from pump.vendors.kinot.numbers import Number
from pump.vendors.kinot.simulator.fleet import Bay

_DID: Final = {(True, 1): "reset code", (False, 1): "activate", (False, 2): "freeze"}
"""What a lock (True) or a sensor does at a value ("Request body detail")."""
_FLAGS: Final[dict[str, Mapping[str, int]]] = {
    "activate": {"active": 1}, "freeze": {"active": 0}, "raise": {"locked": 1}, "lower": {"locked": 0},
}  # fmt: skip


class Action(NamedTuple):
    """Something that a device did."""

    at: float
    """Monotonic seconds."""
    sn: int
    did: str


@dataclass
class Order:
    """One command."""

    guid: str
    bay: Bay
    value: int
    parameter: Mapping[str, Any]
    state: str = "sending"

    def listed(self) -> dict[str, Any]:
        """As both calls have it."""
        return {
            "sn": Number(self.bay.sn), "guid": self.guid, "command": Number(1), "command_status": self.state,
            "parameter": self.parameter,
        }  # fmt: skip


@dataclass
class Orders:
    """`tell` sends the callback of an order's state, with a reason."""

    clock: Clock
    rng: random.Random
    tell: Callable[[Order, str], None]
    delay: float = 0.0
    """Seconds until a device has it."""
    fails: str = ""
    """The reason with which devices fail; empty: they obey."""
    silent: bool = False
    """Devices act and never say so: an order stays "arrived"."""
    lock_values: dict[int, str] = field(default_factory=dict)
    """Values beyond the document by which these locks "raise" and "lower"."""
    actions: list[Action] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)

    def take(self, bays: Mapping[int, Bay], body: Any) -> tuple[int, Order | None]:
        """A command as it was posted: the code, and the order where it was taken."""
        parameter = body.get("parameter") if isinstance(body, dict) else None
        if not isinstance(parameter, dict) or set(parameter) != {"key", "value"} or set(body) != _KEYS:
            return 10012, None
        sn, command, value = (_whole(part) for part in (body["sn"], body["command"], parameter["value"]))
        if sn is None or command != 1 or value is None:
            return 10012, None
        bay = bays.get(sn)
        if bay is None:
            return 10111, None
        if self.did(bay, value) is None:
            return 10012, None
        guid = uuid.UUID(int=self.rng.getrandbits(128)).hex.upper()
        order = self.orders[guid] = Order(guid, bay, value, parameter)
        return 0, order

    def did(self, bay: Bay, value: int) -> str | None:
        """What a value has this device do; None for nothing."""
        return _DID.get((bay.lock, value)) or (self.lock_values.get(value) if bay.lock else None)

    async def carry_out(self, order: Order) -> None:
        """Have the device do it, as `delay`, `fails` and `silent` have it."""
        order.state = "pending"
        self.tell(order, "NULL")
        if self.delay:
            await self.clock.sleep(self.delay)
        order.state = "arrived"
        self.tell(order, "NULL")
        await asyncio.sleep(0)
        if self.fails:
            order.state = "failed"
            self.tell(order, self.fails)
            return
        did = self.did(order.bay, order.value)
        assert did is not None, "an order that no device understands was taken"
        self.actions.append(Action(self.clock.monotonic(), order.bay.sn, did))
        order.bay.set(self.clock.now(), **_FLAGS.get(did, {}))
        if not self.silent:
            order.state = "succeeded"
            self.tell(order, "NULL")


_KEYS: Final = {"sn", "command", "parameter"}


def _whole(value: object) -> int | None:
    """A number that was sent as one."""
    found = value.value if isinstance(value, Number) else None
    return found if isinstance(found, int) else None
