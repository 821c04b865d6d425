"""A simulated Device Gateway."""

from pump.vendors.hik_gateway.simulator.server import Simulator, simulate

__all__ = ["Simulator", "simulate"]
