"""Tuya parking: a lot agrees with us, window by window, on how many vehicles passed (docs/sinks.md)."""

from pump.sinks.tuya.sink import TuyaSink as SINK

__all__ = ["SINK"]
