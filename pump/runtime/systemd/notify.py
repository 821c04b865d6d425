"""Messages to systemd: sd_notify(3) and sd_watchdog_enabled(3), over one unix datagram each, without a library."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

import structlog

log = structlog.get_logger()


class Notifier:
    """Reports to the service manager how the process fares; without $NOTIFY_SOCKET every call does nothing.

    Calls come from the event loop and never wait: a manager that does not read costs a lost datagram. None raises.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        # "@name" stands for the abstract socket "\0name"; other forms (vsock) are not ours to know
        self._address = "\0" + name[1:] if name.startswith("@") else name if name.startswith("/") else ""
        self._watchdog = _watchdog_seconds(environ)
        self._told = False

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two `watchdog` calls: half of what systemd allows; None where it does not ask."""
        return self._watchdog / 2 if self._watchdog is not None and self._address else None

    def ready(self, status: str = "") -> None:
        """READY=1: started, whatever is ordered after the unit may start."""
        self._send("READY=1", *_status(status))

    def reloading(self) -> None:
        """RELOADING=1: the configuration is read again; `ready` follows, whatever comes of it.

        With the time of it, which Type=notify-reload of systemd 253 and later wants.
        """
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "", within: float = 0.0) -> None:
        """STOPPING=1: the stop has begun, and takes so many seconds at the most, if that is known."""
        self._send("STOPPING=1", *_status(status), *_extended(within))

    def more_time(self, seconds: float, status: str = "") -> None:
        """EXTEND_TIMEOUT_USEC: what is under way, a start or a stop, takes so much longer from now on, unless it asks
        again; without it the manager's own time-out holds."""
        self._send(*_status(status), *_extended(seconds))

    def watchdog(self) -> None:
        """WATCHDOG=1: the process makes progress."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """STATUS=…: one line that `systemctl status` shows."""
        self._send(*_status(text))

    def _send(self, *lines: str) -> None:
        if not self._address or not lines:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._told:
                self._told = True
                log.warning("The service manager cannot be told", error=str(error))


def _status(text: str) -> tuple[str, ...]:
    line = " ".join(text.split())
    return (f"STATUS={line}",) if line else ()


def _extended(seconds: float) -> tuple[str, ...]:
    return (f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}",) if seconds else ()


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """The time that $WATCHDOG_USEC allows, seconds, where $WATCHDOG_PID is absent or names this process."""
    pid = environ.get("WATCHDOG_PID")
    if pid is not None and pid != str(os.getpid()):
        return None
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 1_000_000 if microseconds > 0 else None
