"""A simulated Device Gateway."""

from typing import Any, Final

from pump.vendors.hik_gateway.simulator.server import Simulator, simulate

__all__ = ["ACCOUNT", "Simulator", "simulate"]

ACCOUNT: Final[dict[str, Any]] = {"url": "{url}", "username": "admin", "password": "secret1"}
"""What a source's table wants to reach it: "{url}" is its address."""
