"""Ports of loopback for servers that come back at the same one."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Final

_PORTS: Final = range(15_000, 32_000)
SHARE: Final = 250
"""Ports that one process draws from; the numbers of workers that begin together follow one another."""
_turns: Final = count(random.randrange(SHARE))


def drawn() -> Iterator[int]:
    """Ports that may be free, without end.

    From below those that the system gives to whoever asks for any: one of these may be another's by the time it is
    used. For the same reason processes which look at once have shares of their own, and none is given again so soon.
    """
    share = _PORTS[os.getpid() % (len(_PORTS) // SHARE) * SHARE :][:SHARE]
    while True:
        yield share[next(_turns) % SHARE]


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    for port in drawn():
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("they are without end")
