"""A simulated server of Hik-Connect for Teams."""

from pump.vendors.hik_connect.simulator.server import Simulator, simulate

__all__ = ["Simulator", "simulate"]
