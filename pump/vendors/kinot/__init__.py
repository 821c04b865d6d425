"""Kinot: LoRa parking sensors and parking locks, pushed and read."""

from pump.vendors.kinot.source import Kinot

SOURCE = Kinot
