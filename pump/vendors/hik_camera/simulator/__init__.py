"""A simulated local device with an alertStream."""

from typing import Any, Final

from pump.core.clock import Clock
from pump.simulation.playing.play import Asked, Gate, Given, Play
from pump.vendors.hik_camera.simulator.account import Account
from pump.vendors.hik_camera.simulator.login import Login
from pump.vendors.hik_camera.simulator.quirks import Quirks
from pump.vendors.hik_camera.simulator.server import Simulator, simulate

__all__ = ["ACCOUNT", "PLAY", "Simulator", "simulate"]

ACCOUNT: Final[dict[str, Any]] = {"url": "{url}", "username": "admin", "password": "Camera-1"}
"""What a source's table wants to reach it: "{url}" is its address."""


def _gate(clock: Clock) -> Gate:
    """The simulator's login before whatever is played."""
    login = Login(clock, Account(), ACCOUNT["username"], ACCOUNT["password"])

    def check(asked: Asked) -> Given | None:
        said = asked.headers.get("Authorization", "").partition("Digest ")[2]
        challenge = login.check(asked.method, asked.target, said, Quirks())
        return None if challenge is None else Given(401, {"WWW-Authenticate": challenge}, b"")

    return check


PLAY: Final = Play(gate=_gate)
