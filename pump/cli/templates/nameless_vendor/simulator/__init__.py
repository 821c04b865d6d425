"""A simulated Nameless vendor."""

from pump.cli.templates.nameless_vendor.simulator.server import Simulator, simulate

__all__ = ["Simulator", "simulate"]
