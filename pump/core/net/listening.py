"""The address at which a listener that was opened really listens."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Any


def listening_url(addresses: Sequence[Any], *, tls: bool) -> str:
    """The first of a runner's `addresses` as a URL.

    Raises OSError where there is none: asyncio passes over every socket that cannot be made, also for want of file
    descriptors, and is content to listen nowhere.
    """
    if not addresses:
        with socket.socket():  # says itself what is scarce
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    host, port = addresses[0][:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
