"""The environment of a pump that a test starts: bare, but of the same day as the test."""

from __future__ import annotations

import os
from typing import Final

_MOVES_THE_CLOCK: Final = ("LD_PRELOAD", "FAKETIME", "DONT_FAKE_MONOTONIC", "PYTHONPATH", "TZ")
"""The beginnings of the names that `tests/any_day.sh` sets."""

BARE: Final = {"PATH": "/usr/bin:/bin"} | {
    name: value for name, value in os.environ.items() if "FAKETIME" in os.environ and name.startswith(_MOVES_THE_CLOCK)
}
"""Nothing of the developer's own. Without the clock's part it would run today, its certificates not yet valid."""
