"""A simulated Kinot platform."""

import re
from typing import Any, Final

from pump.core.clock import Clock
from pump.simulation.playing.play import Asked, Gate, Given, Play
from pump.vendors.kinot.numbers import decode
from pump.vendors.kinot.simulator import api_gateway
from pump.vendors.kinot.simulator.callbacks import signed
from pump.vendors.kinot.simulator.server import Simulator, simulate

__all__ = ["ACCOUNT", "PLAY", "Simulator", "simulate"]

ACCOUNT: Final[dict[str, Any]] = {
    "server": "{url}", "app_key": "ak", "app_secret": "sk", "callback_base": "http://127.0.0.1:8080",
}  # fmt: skip
"""What a source's table wants to reach it: "{url}" is its address."""

_SIGN: Final = re.compile(rb'("sign"\s*:\s*")[^"]*')


def _gate(clock: Clock) -> Gate:
    """The API gateway of the simulator before whatever is played."""
    gateway = api_gateway.Gate(ACCOUNT["app_key"], ACCOUNT["app_secret"])

    def check(asked: Asked) -> Given | None:
        try:
            gateway.check(asked.method, asked.target, asked.headers, asked.body, clock.now_ms())
        except api_gateway.Refusal as refusal:
            return Given(refusal.status, {"X-Ca-Error-Message": refusal.message}, b"")
        return None

    return check


def _sign(body: bytes) -> bytes:
    """A callback with the sign of the simulator's key; one that has none, or cannot be read, as it is."""
    try:
        fields = decode(body.decode("utf-8-sig"))
    except ValueError:
        return body
    if not isinstance(fields, dict) or not fields.get("sign"):
        return body
    made = signed({name: value for name, value in fields.items() if name != "sign"}, ACCOUNT["app_secret"])
    return _SIGN.sub(lambda one: one[1] + made.encode(), body)


PLAY: Final = Play(sign=_sign, gate=_gate)
