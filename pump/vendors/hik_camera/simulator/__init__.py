"""A simulated local device with an alertStream."""

from typing import Any, Final

from pump.vendors.hik_camera.simulator.server import Simulator, simulate

__all__ = ["ACCOUNT", "Simulator", "simulate"]

ACCOUNT: Final[dict[str, Any]] = {"url": "{url}", "username": "admin", "password": "Camera-1"}
"""What a source's table wants to reach it: "{url}" is its address."""
