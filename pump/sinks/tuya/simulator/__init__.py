"""A parking lot in Tuya's cloud that has our counts verified (records/sync)."""

from typing import Any, Final

from pump.sinks.tuya.simulator.lot import Claim, Lot, Own
from pump.sinks.tuya.simulator.server import CLIENT_ID, DEVICE, SECRET, Cloud, simulate

__all__ = ["ACCOUNT", "Claim", "Cloud", "Lot", "Own", "simulate"]

ACCOUNT: Final[dict[str, Any]] = {
    "host": "{url}",
    "client_id": CLIENT_ID,
    "client_secret": SECRET,
    "device_id": DEVICE,
}
"""What a sink's table wants to reach it: "{url}" is its address."""
