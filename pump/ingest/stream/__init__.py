"""Endless responses of devices: opened, watched, read, lost, opened again."""
