"""A fleet of simulated cameras that push to a pump (ANPR APIs 2.1)."""

from pump.vendors.avaeye.simulator.server import Fleet, simulate

__all__ = ["Fleet", "simulate"]
