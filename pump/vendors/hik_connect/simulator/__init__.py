"""A simulated server of Hik-Connect for Teams."""

from typing import Any, Final

from pump.vendors.hik_connect.simulator.server import Simulator, simulate

__all__ = ["ACCOUNT", "Simulator", "simulate"]

ACCOUNT: Final[dict[str, Any]] = {"server": "{url}", "app_key": "ak", "secret_key": "sk"}
"""What a source's table wants to reach it: "{url}" is its address."""
