"""A simulated local device with an alertStream."""

from pump.vendors.hik_camera.simulator.server import Simulator, simulate

__all__ = ["Simulator", "simulate"]
