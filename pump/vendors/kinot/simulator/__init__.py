"""A simulated Kinot platform."""

from typing import Any, Final

from pump.vendors.kinot.simulator.server import Simulator, simulate

__all__ = ["ACCOUNT", "Simulator", "simulate"]

ACCOUNT: Final[dict[str, Any]] = {
    "server": "{url}", "app_key": "ak", "app_secret": "sk", "callback_base": "http://127.0.0.1:8080",
}  # fmt: skip
"""What a source's table wants to reach it: "{url}" is its address."""
