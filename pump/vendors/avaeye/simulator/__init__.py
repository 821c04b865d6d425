"""A fleet of simulated cameras that push to a pump (ANPR APIs 2.1)."""

from typing import Any, Final

from pump.simulation.playing.play import Play
from pump.vendors.avaeye.simulator.server import Fleet, simulate

__all__ = ["ACCOUNT", "PLAY", "Fleet", "simulate"]

ACCOUNT: Final[dict[str, Any]] = {"park_ids": ["10000"]}
"""What a source's table wants to reach it: "{url}" is its address."""

PLAY: Final = Play(claim="/api/upark", account={})
"""Cameras have no login and sign nothing; a recording's parks have other numbers."""
