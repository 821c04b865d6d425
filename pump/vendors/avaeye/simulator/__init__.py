"""A fleet of simulated cameras that push to a pump (ANPR APIs 2.1)."""

from typing import Any, Final

from pump.vendors.avaeye.simulator.server import Fleet, simulate

__all__ = ["ACCOUNT", "Fleet", "simulate"]

ACCOUNT: Final[dict[str, Any]] = {"park_ids": ["10000"]}
"""What a source's table wants to reach it: "{url}" is its address."""
