"""A simulated Device Gateway."""

import re
from typing import Any, Final

from pump.core.clock import Clock
from pump.simulation.playing.play import Asked, Gate, Given, Play
from pump.vendors.hik_gateway.simulator.http import Digest, Request
from pump.vendors.hik_gateway.simulator.quirks import Quirks
from pump.vendors.hik_gateway.simulator.server import Simulator, simulate

__all__ = ["ACCOUNT", "PLAY", "Simulator", "simulate"]

ACCOUNT: Final[dict[str, Any]] = {"url": "{url}", "username": "admin", "password": "secret1"}
"""What a source's table wants to reach it: "{url}" is its address."""

_CHALLENGE: Final = re.compile(rb"(?m)^WWW-Authenticate: ([^\r\n]*)")


def _gate(clock: Clock) -> Gate:
    """The simulator's login before whatever is played."""
    digest = Digest(clock, Quirks(), ACCOUNT["username"], ACCOUNT["password"])

    def check(asked: Asked) -> Given | None:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        refusal = digest.check(Request(asked.method, asked.target, headers, asked.body))
        if refusal is None:
            return None
        head, _, body = refusal.partition(b"\r\n\r\n")
        challenges = ", ".join(one.decode() for one in _CHALLENGE.findall(head))
        return Given(401, {"WWW-Authenticate": challenges, "Content-Type": "application/json"}, body)

    return check


PLAY: Final = Play(gate=_gate, greeting=b'{"SubscribeDeviceMgmtRsp": {"id": 1}}')
