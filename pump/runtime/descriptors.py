"""File descriptors: as many as the system grants, and of them a reserve that devices' connections never take.

Every connection of a device takes one. Where they run out nothing can be opened any more: no file of the spool's, no
sink's socket, no probe's connection, and asyncio tries its accepts again in a busy loop, a traceback each.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any, Final

import structlog

from pump.config.model import ServerSettings
from pump.config.probe import RESERVE
from pump.core.clock import Clock
from pump.core.failure import scarcity

log = structlog.get_logger()

_MOST: Final = 1 << 16
"""What is asked for where the system grants any number; poll-like calls and copies of the table cost by it."""
_FEWEST: Final = 8
"""Connections of devices, however few descriptors there are."""
_EVERY: Final = 60.0
"""Seconds between two lines of the log about the same lack."""
_CLOSED: Final = "the handler is closed"
"""uvloop's words (0.23, `handles/handle.pyx`) in a RuntimeError, for which it has no type of its own."""


def raise_limit() -> int:
    """Raise the soft limit as far as the hard one lets it; how many descriptors this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return soft_limit()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError) as error:  # a container or a unit may forbid the call itself
        log.warning("The limit of file descriptors cannot be raised", limit=soft, reason=str(error))
        return soft
    return most


def soft_limit() -> int:
    """How many descriptors this process may have, its limit left as it is."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else soft


def connections(wanted: int, descriptors: int) -> int:
    """How many connections devices may have open, of the `wanted` ones."""
    return max(_FEWEST, min(wanted, descriptors - RESERVE))


def for_operators(wanted: int, descriptors: int) -> int:
    """How many connections the ops listener may have open, of the `wanted` ones: they are of the reserve."""
    return max(_FEWEST, min(wanted, descriptors // 16))


def bounded(server: ServerSettings, descriptors: int) -> ServerSettings:
    """The push listener's settings, with no more connections than the descriptors allow; fewer are in the log."""
    most = connections(server.max_connections, descriptors)
    if most < server.max_connections:
        log.warning(
            "Devices may have fewer connections than max_connections, for file descriptors are few",
            connections=most, descriptors=descriptors,
        )  # fmt: skip
    return server.model_copy(update={"max_connections": most})


class Lack:
    """The event loop's exception handler: a lack of descriptors is one line a minute, all else as ever.

    Except that a peer which goes in the middle of TLS is no error of the pump's: uvloop writes to the socket that it
    has just closed itself, and calls that fatal. Whoever had the connection hears of its end and reports it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: float | None = None
        self._count = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """As `loop.set_exception_handler` wants it."""
        error = context.get("exception")
        if isinstance(error, RuntimeError) and str(error).endswith(_CLOSED) and "SSL" in str(context.get("message")):
            log.debug("A TLS connection ended while something was to be written to it", reason=str(error))
            return
        lack = scarcity(error) if isinstance(error, OSError) else None
        if lack is None or "accept" not in str(context.get("message")):
            loop.default_exception_handler(context)
            return
        self._count += 1
        now = self._clock.monotonic()
        if self._told is None or now - self._told >= _EVERY:
            log.error(
                "Connections cannot be accepted, for the system has no more file descriptors",
                times=self._count, reason=lack,
            )  # fmt: skip
            self._told, self._count = now, 0
