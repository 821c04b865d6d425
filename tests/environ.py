"""The environment of the tests, without what is the machine's own, and of a pump that a test starts: bare, but of the
same day as the test."""

from __future__ import annotations

import os
import tempfile
from typing import Final

_MOVES_THE_CLOCK: Final = ("LD_PRELOAD", "FAKETIME", "DONT_FAKE_MONOTONIC", "PYTHONPATH", "TZ")
"""The beginnings of the names that `tests/any_day.sh` sets."""

BARE: Final = {"PATH": "/usr/bin:/bin"} | {
    name: value for name, value in os.environ.items() if "FAKETIME" in os.environ and name.startswith(_MOVES_THE_CLOCK)
}
"""Nothing of the developer's own. Without the clock's part it would run today, its certificates not yet valid."""

ALONE: Final = {"RUNTIME_DIRECTORY": "/nonexistent"}
"""For a command that is to find no daemon: not even one of a pump that is installed here."""

_SERVICE: Final = (
    "CONFIGURATION_DIRECTORY", "CREDENTIALS_DIRECTORY", "JOURNAL_STREAM", "LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID",
    "LOGS_DIRECTORY", "NOTIFY_SOCKET", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "WATCHDOG_PID", "WATCHDOG_USEC",
)  # fmt: skip
"""Where a service of systemd runs the tests."""
_SHOWN: Final = ("CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "PY_COLORS")
_LONGEST: Final = 16
"""Characters of TMPDIR: sockets lie below it, whose addresses have 108 bytes, most for pytest's and the test's name."""


def forget() -> None:
    """Take out of this process's environment what another machine has not: calls to simulators would go to a proxy."""
    for name in [*os.environ]:
        if name.lower().endswith("_proxy") or name in (*_SERVICE, *_SHOWN):
            del os.environ[name]
    long = len(tempfile.gettempdir()) > _LONGEST
    if long and os.access("/tmp", os.W_OK) and not os.environ.get("PYTEST_DEBUG_TEMPROOT"):
        os.environ["PYTEST_DEBUG_TEMPROOT"] = "/tmp"
