"""A simulated Nameless vendor."""

from pump.cli.new.templates.nameless_vendor.simulator.server import Simulator, simulate

__all__ = ["Simulator", "simulate"]
