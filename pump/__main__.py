"""`python -m pump`, and the command `pump`.

The daemon takes its signals before anything large is imported: a stop that comes while it still loads is a stop like
any other. Nothing is open by then, so it ends at once, and with 0.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line of this process and exit."""
    if sys.argv[1:2] == ["run"]:
        _take_signals()
    from pump.cli import main

    main()


def _take_signals() -> None:
    """Until the daemon takes them over (`pump.runtime.signals`) a stop ends the process, and a reload does nothing."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


if __name__ == "__main__":
    main()
