"""A simulated Kinot platform."""

from pump.vendors.kinot.simulator.server import Simulator, simulate

__all__ = ["Simulator", "simulate"]
