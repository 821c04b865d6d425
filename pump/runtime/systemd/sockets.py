"""Sockets that the service manager opened and keeps open over restarts: sd_listen_fds(3), without a library."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Final

import structlog

log = structlog.get_logger()

FIRST: Final = 3
"""The number of the first descriptor that is handed over."""
PUSH: Final = "push"
"""FileDescriptorName= of the socket unit where devices push to."""


def inherited(environ: MutableMapping[str, str] = os.environ) -> dict[str, list[socket.socket]]:
    """The listening stream sockets by their names, where $LISTEN_PID names this process; asked again there are none.

    What is no such socket is named in the log and left alone. None is handed on to a child.
    """
    pid, count, names = (environ.pop(f"LISTEN_{what}", "") for what in ("PID", "FDS", "FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal():
        return {}
    found: dict[str, list[socket.socket]] = {}
    called = names.split(":") if names else []
    for place, descriptor in enumerate(range(FIRST, FIRST + int(count))):
        name = called[place] if place < len(called) else "unknown"
        try:
            os.set_inheritable(descriptor, False)
            one = socket.socket(fileno=descriptor)
        except OSError as error:
            log.warning("A descriptor of the service manager is no socket", name=name, reason=error.strerror)
            continue
        if one.type != socket.SOCK_STREAM or not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            log.warning("A socket of the service manager does not listen for streams", name=name)
            one.detach()
            continue
        found.setdefault(name, []).append(one)
    return found
