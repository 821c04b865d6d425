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
    _fill_streams()
    if sys.argv[1:2] == ["run"]:
        _take_signals()
    from pump.cli import main

    main()


def _fill_streams() -> None:
    """Give a standard stream that was closed to the process, as cron jobs and old init scripts do it, to nobody.

    Else the log would have nowhere to go, and what is written to that number would reach the next file that has it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # as long as we


def _take_signals() -> None:
    """Until the daemon takes them over (`pump.runtime.signals`) a stop ends the process, and a reload does nothing."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


if __name__ == "__main__":
    main()
